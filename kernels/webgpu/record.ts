/** Turns recorded ops into kernels with their arguments. */

import type { OpRecorder } from '../contract.ts';
import { WebGpuConstant, type WebGpuKvCache, type WebGpuTensor, type WebGpuWeight } from './buffers.ts';
import type { Gpu, GpuMemory } from './gpu.ts';
import { ACTIVATION_CODE, embedKernel, KERNELS, ropeAndCacheKernel } from './kernels.ts';
import { blocksOf } from './layout.ts';
import type { Pipelines } from './pipelines.ts';
import { recordAttention } from './record-attention.ts';
import { recordExpertLinear, recordGatherRoutes, recordMixRoutes, recordRoute } from './record-experts.ts';
import { expertGatedKernels } from './record-fused-experts.ts';
import { gatedKernels, headConstants, ropeKernels } from './record-fused-linear.ts';
import { MOST_FEW_ROWS, recordLinear } from './record-linear.ts';
import { isWholeBlocks, recordAddScaled, recordNorm } from './record-norm.ts';
import { type Dispatch, domainCode, ELEMENT_THREADS, Recording, rowsOf, type UnusedBindings } from './recording.ts';
import type { WebGpuReduction } from './reductions.ts';
import type { StepBuffers, StepCounts } from './step-buffers.ts';
import type { Variants } from './variants.ts';

export class WebGpuRecorder implements OpRecorder {
  readonly #recording: Recording;
  readonly caches = new Set<WebGpuKvCache>();
  readonly reductions = new Set<WebGpuReduction>();
  /** Limits that a step's inputs are checked against. */
  vocabSize = Number.POSITIVE_INFINITY;
  positions = Number.POSITIVE_INFINITY;
  blocks = Number.POSITIVE_INFINITY;

  constructor(
    gpu: Gpu,
    memory: GpuMemory,
    pipelines: Pipelines,
    variants: Variants,
    step: StepBuffers,
    unused: UnusedBindings,
  ) {
    this.#recording = new Recording(gpu, memory, pipelines, variants, step, unused);
  }

  finish(): Dispatch[] {
    return this.#recording.finish();
  }

  embed(op: Parameters<OpRecorder['embed']>[0]): void {
    const table = op.table as WebGpuWeight;
    const out = op.out as WebGpuTensor;
    this.vocabSize = Math.min(this.vocabSize, table.rows);
    for (const part of table.parts) {
      part.bound = true;
      const { buffer, base, firstRow, rows } = part;
      const [vectors, blocks, scale] = [table.vectors, blocksOf(table.cols), { float: op.scale ?? 1 }];
      this.#recording.add([out], {
        kernel: embedKernel(table.format, this.#recording.variants),
        args: [vectors, blocks, base, firstRow, rows, table.cols, out.stride, scale],
        buffers: [buffer, buffer, out.buffer],
        workgroups: ({ rows: tokens }) => [Math.ceil((tokens * out.stride) / 4 / ELEMENT_THREADS)],
      });
    }
  }

  norm(op: Parameters<OpRecorder['norm']>[0]): void {
    recordNorm(this.#recording, op);
  }

  linear(op: Parameters<OpRecorder['linear']>[0]): void {
    recordLinear(this.#recording, op);
  }

  ropeAndCache(op: Parameters<OpRecorder['ropeAndCache']>[0]): void {
    this.#recording.readFloats(op.qkv as WebGpuTensor);
    const qkv = op.qkv as WebGpuTensor;
    const cache = op.cache as WebGpuKvCache;
    const { heads, rotaryDim, layer } = op;
    const { kvHeads } = cache;
    const { variants, unused } = this.#recording;
    if (op.rope) this.positions = Math.min(this.positions, op.rope.length / rotaryDim);
    this.blocks = Math.min(this.blocks, cache.blocks);
    this.caches.add(cache);
    const constants = [op.rope, op.qNorm, op.kNorm].map((constant) =>
      constant instanceof WebGpuConstant ? constant.buffer : unused.read,
    );
    const withLinear = ropeKernels(this.#recording, op);
    const least = withLinear ? MOST_FEW_ROWS + 1 : 1;
    this.#recording.add([qkv], ...(withLinear ?? []), {
      kernel: ropeAndCacheKernel(cache.format),
      args: [qkv.stride, { float: op.normEps ?? 0 }],
      buffers: [qkv.buffer, ...constants, cache.keys[layer], cache.values[layer]],
      workgroups: ({ rows }) => [rows < least ? 0 : rows * (heads + 2 * kvHeads)],
      constants: {
        THREADS: variants.rowThreads,
        ...headConstants(op, variants.rowThreads),
      },
    });
  }

  attention(op: Parameters<OpRecorder['attention']>[0]): void {
    recordAttention(this.#recording, op);
  }

  gatedActivation(op: Parameters<OpRecorder['gatedActivation']>[0]): void {
    this.#recording.readFloats(op.x as WebGpuTensor);
    const [x, out] = [op.x as WebGpuTensor, op.out as WebGpuTensor];
    const constants = { ACTIVATION: ACTIVATION_CODE[op.activation] };
    const limit = { float: op.limit ?? 0 };
    if (this.#recording.variants.fused && isWholeBlocks(out)) {
      const fused = gatedKernels(this.#recording, op) ?? expertGatedKernels(this.#recording, op);
      this.#recording.addQuantizing(out, (form, isWanted, asFloats) => [
        {
          kernel: KERNELS.gatedActivationRows,
          args: [out.cols, x.stride, domainCode(x), limit],
          buffers: [form.codes, form.scales, x.buffer, out.buffer],
          workgroups: (counts) => {
            const rows = rowsOf(x, counts);
            return [fused?.takes(rows) ? 0 : Math.ceil((rows * out.cols) / 4 / ELEMENT_THREADS)];
          },
          constants: { ...constants, QUANTIZE: isWanted },
        },
        ...(fused?.kernels(form, isWanted, asFloats, constants) ?? []),
      ]);
      return;
    }
    this.#recording.add([out], {
      kernel: KERNELS.gatedActivation,
      args: [out.cols, x.stride, out.stride, domainCode(x), limit],
      buffers: [x.buffer, out.buffer],
      workgroups: (counts) => [Math.ceil((rowsOf(x, counts) * out.cols) / ELEMENT_THREADS)],
      constants,
    });
  }

  activation(op: Parameters<OpRecorder['activation']>[0]): void {
    this.#recording.readFloats(op.x as WebGpuTensor);
    const [x, out] = [op.x as WebGpuTensor, op.out as WebGpuTensor];
    const inPlace = x === out;
    this.#recording.add([out], {
      kernel: KERNELS.activation,
      args: [x.cols, x.stride, domainCode(x)],
      buffers: [inPlace ? this.#recording.unused.read : x.buffer, out.buffer],
      workgroups: (counts) => [Math.ceil((rowsOf(x, counts) * x.cols) / ELEMENT_THREADS)],
      constants: { ACTIVATION: ACTIVATION_CODE[op.activation], IN_PLACE: inPlace },
    });
  }

  addScaled(op: Parameters<OpRecorder['addScaled']>[0]): void {
    recordAddScaled(this.#recording, op);
  }

  scaleAndCap(op: Parameters<OpRecorder['scaleAndCap']>[0]): void {
    this.#recording.readFloats(op.x as WebGpuTensor);
    const x = op.x as WebGpuTensor;
    this.#recording.add([x], {
      kernel: KERNELS.scaleAndCap,
      args: [x.cols, x.stride, domainCode(x), { float: op.scale }, { float: op.cap ?? 0 }],
      buffers: [x.buffer],
      workgroups: (counts) => [Math.ceil((rowsOf(x, counts) * x.cols) / ELEMENT_THREADS)],
    });
  }

  route(op: Parameters<OpRecorder['route']>[0]): void {
    this.#recording.readFloats(op.scores as WebGpuTensor);
    recordRoute(this.#recording, op);
  }

  gatherRoutes(op: Parameters<OpRecorder['gatherRoutes']>[0]): void {
    recordGatherRoutes(this.#recording, op);
  }

  expertLinear(op: Parameters<OpRecorder['expertLinear']>[0]): void {
    recordExpertLinear(this.#recording, op);
  }

  mixRoutes(op: Parameters<OpRecorder['mixRoutes']>[0]): void {
    this.#recording.readFloats(op.x as WebGpuTensor);
    recordMixRoutes(this.#recording, op);
  }

  gatherRows(op: Parameters<OpRecorder['gatherRows']>[0]): void {
    this.#recording.readFloats(op.x as WebGpuTensor);
    const [x, out] = [op.x as WebGpuTensor, op.out as WebGpuTensor];
    this.#recording.addQuantizing(out, ({ codes, scales }, isWanted) => [
      {
        kernel: KERNELS.gatherRows,
        args: [x.stride],
        buffers: [codes, scales, x.buffer, out.buffer],
        workgroups: (counts) => [Math.ceil((counts.logitRows * x.stride) / 4 / ELEMENT_THREADS)],
        constants: { QUANTIZE: isWanted },
      },
    ]);
  }

  reduceLogits(op: Parameters<OpRecorder['reduceLogits']>[0]): void {
    const reduction = op.out as WebGpuReduction;
    const { logits, words, sums, capacity, requestStride, foundStride, requests, maxima, found } = reduction;
    this.reductions.add(reduction);
    this.#recording.add(
      [],
      ...[KERNELS.logitMaxima, KERNELS.logitThreshold, KERNELS.logitList].map((kernel) => ({
        kernel,
        args: [logits.cols, logits.stride, words, requestStride, foundStride, sums],
        buffers: [logits.buffer, requests, maxima, found],
        workgroups: ({ reducedRows }: StepCounts) =>
          [kernel === KERNELS.logitThreshold ? 1 : sums, reducedRows] as const,
        constants: { CAPACITY: capacity },
      })),
    );
  }
}
