/**
 * A linear for few rows together with the op that takes its result: one dispatch fewer a layer each. The linear's own kernels
 * for few rows are then taken out of the plan.
 */

import type { OpRecorder } from '../contract.ts';
import { isQuantized } from '../formats.ts';
import type { WebGpuConstant, WebGpuKvCache, WebGpuTensor } from './buffers.ts';
import { type KernelConstants, linearGatedKernel, linearRopeKernel } from './kernels.ts';
import { BLOCK, sumShape } from './layout.ts';
import { FEW_ROWS, isWithin } from './record-linear.ts';
import { domainCode, type Quantized, type Recorded, type Recording, rowsOf } from './recording.ts';

/** Threads of a workgroup that takes 32 columns of a gated activation. */
const GATED_THREADS = 256;
/** Threads of a workgroup that takes pairs of a head's elements, pairs that each team of them takes, blocks at a time. */
const [ROPE_THREADS, ROPE_PAIRS, ROPE_STEPS] = [128, 2, 2];

/** Kernels for few rows that do a gated activation with the linear before it; none where the two do not suit. */
export function gatedKernels(
  recording: Recording,
  op: Parameters<OpRecorder['gatedActivation']>[0],
): ((form: Quantized, constants: KernelConstants) => readonly Recorded[]) | undefined {
  const [x, out] = [op.x as WebGpuTensor, op.out as WebGpuTensor];
  const linear = takeLinear(recording, x, (segments) => GATED_THREADS / segments <= BLOCK);
  if (!linear) return undefined;
  const args = [...linear.args, { float: op.limit ?? 0 }];
  const { run, codes, scales } = linear;
  return (form, constants) =>
    FEW_ROWS.map((most, i) => ({
      kernel: linearGatedKernel(run.format, recording.variants.packedDot),
      args,
      buffers: [run.buffer, out.buffer, codes, scales, form.codes, x.buffer, form.scales],
      workgroups: (counts) => [isWithin(rowsOf(x, counts), i) ? out.cols / BLOCK : 0],
      constants: {
        ...constants,
        ...linear.constants,
        THREADS: GATED_THREADS,
        ROWS: most,
        PAIRS: (BLOCK * linear.segments) / GATED_THREADS,
        OUTS: (2 * BLOCK * linear.segments) / GATED_THREADS,
        CODES_BINDING: 6,
        SCALES_BINDING: 8,
      },
    }));
}

/** Kernels for few rows that rotate and cache with the linear before it; none where the two do not suit. */
export function ropeKernels(
  recording: Recording,
  op: Parameters<OpRecorder['ropeAndCache']>[0],
): readonly Recorded[] | undefined {
  const { heads, rotaryDim, layer, rope } = op;
  const { kvHeads, headDim, keys, values, format } = op.cache as WebGpuKvCache;
  // A word of the cache has elements of several threads then.
  if (format !== 'F32') return undefined;
  if (!recording.variants.fused || !rope || op.qNorm || op.kNorm || rotaryDim !== headDim) return undefined;
  const qkv = op.qkv as WebGpuTensor;
  const linear = takeLinear(recording, qkv, () => true);
  if (!linear) return undefined;
  const { args, run, codes, scales, segments } = linear;
  const perGroup = (ROPE_THREADS / segments) * ROPE_PAIRS;
  const groups = Math.ceil(((heads + 2 * kvHeads) * headDim) / 2 / perGroup);
  return FEW_ROWS.map((most, i) => ({
    kernel: linearRopeKernel(run.format, recording.variants.packedDot),
    args,
    buffers: [run.buffer, (rope as WebGpuConstant).buffer, codes, scales, keys[layer], qkv.buffer, values[layer]],
    workgroups: (counts) => [isWithin(counts.rows, i) ? groups : 0],
    constants: {
      ...linear.constants,
      THREADS: ROPE_THREADS,
      ROWS: most,
      PAIRS: ROPE_PAIRS,
      OUTS: 2 * ROPE_PAIRS,
      STEPS: ROPE_STEPS,
      HEADS: heads,
      KV_HEADS: kvHeads,
      HEAD_DIM: headDim,
    },
  }));
}

/** Takes over the linear op that was recorded last, if it made `out` of quantised weights and no bias. */
function takeLinear(recording: Recording, out: WebGpuTensor, suits: (segments: number) => boolean) {
  const linear = recording.fewRows(out);
  if (!linear || !isQuantized(linear.run.format)) return undefined;
  const { x, run } = linear;
  const { blocks, segments } = sumShape(run.format, x.cols);
  if (!suits(segments)) return undefined;
  const { codes, scales } = recording.quantized(x);
  recording.takeFewRows(linear);
  return {
    run,
    codes,
    scales,
    segments,
    args: [blocks, segments, run.vectors, run.base, run.rows, 0, out.stride, x.stride, domainCode(out), 0],
    constants: { SEGMENTS: segments, BLOCKS: recording.gpu.features.software ? 0 : blocks },
  };
}
