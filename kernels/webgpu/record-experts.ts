/** Mixtures of experts as dispatches. Each route is a row of its own, in the order of the tokens. */

import type { OpRecorder } from '../contract.ts';
import { isQuantized } from '../formats.ts';
import type { WebGpuConstant, WebGpuRoutes, WebGpuTensor, WebGpuWeight } from './buffers.ts';
import {
  expertKernel,
  expertMatrixKernel,
  hasMatrixKernel,
  KERNELS,
  type Kernel,
  type KernelConstants,
} from './kernels.ts';
import { sumShape } from './layout.ts';
import { matrixTile } from './matrix-tile.ts';
import { mixKernels } from './record-fused-experts.ts';
import { domainCode, ELEMENT_THREADS, type Recorded, type Recording, rowsOf } from './recording.ts';
import { stackParts } from './stack.ts';
import type { Variants } from './variants.ts';

/** Threads of a workgroup of the kernels that share work, and weight rows that each of them takes. */
const [THREADS, OUTS_PER_THREAD] = [128, 2];
/** The kernel for many routes notes so many at a time: enough that each expert finds some of its own, as far as they fit. */
const LISTED_PER_EXPERT = 16;
const MOST_LISTED = 1024;
/** Routes and outputs of a tile of matrix units, which leaves room for that list, and how many routes make it worth while. */
const MATRIX_TILE = 32;
const MATRIX_ROUTES_PER_EXPERT = 4;

/** A thread for each expert on a GPU, up to what a workgroup has. */
function routeThreads(experts: number, { rowThreads }: Variants): number {
  return Math.min(4 * rowThreads, Math.max(rowThreads, 2 ** Math.ceil(Math.log2(experts))));
}

export function recordRoute(recording: Recording, op: Parameters<OpRecorder['route']>[0]): void {
  const scores = op.scores as WebGpuTensor;
  const { experts, perToken, chosen, weights } = op.routes as WebGpuRoutes;
  recording.add([], {
    kernel: KERNELS.route,
    args: [
      experts,
      scores.stride,
      op.normalize ? 1 : 0,
      { float: op.scale ?? 1 },
      op.groups?.count ?? 1,
      op.groups?.chosen ?? 1,
    ],
    buffers: [scores.buffer, chosen, weights],
    workgroups: ({ rows }) => [rows],
    constants: { THREADS: routeThreads(experts, recording.variants), PER_TOKEN: perToken },
  });
}

/** Kernels of experts read the rows where they are. */
export function recordGatherRoutes(recording: Recording, op: Parameters<OpRecorder['gatherRoutes']>[0]): void {
  recording.noteGathered(op.out as WebGpuTensor, op.x as WebGpuTensor);
}

export function recordMixRoutes(recording: Recording, op: Parameters<OpRecorder['mixRoutes']>[0]): void {
  const [x, out] = [op.x as WebGpuTensor, op.out as WebGpuTensor];
  const { perToken, weights } = op.routes as WebGpuRoutes;
  const withExperts = mixKernels(recording, op);
  recording.add(
    [out],
    {
      kernel: KERNELS.mixRoutes,
      args: [x.stride, perToken],
      buffers: [x.buffer, weights, out.buffer],
      workgroups: ({ rows }) => [
        withExperts?.takes(rows * perToken) ? 0 : Math.ceil((rows * out.stride) / ELEMENT_THREADS),
      ],
    },
    ...(withExperts?.kernels ?? []),
  );
}

/**
 * Weights side by side, each in one or more buffers: every buffer's dispatch writes the outputs whose rows it holds. A step
 * with more routes than experts takes them expert by expert.
 */
export function recordExpertLinear(recording: Recording, op: Parameters<OpRecorder['expertLinear']>[0]): void {
  const out = op.out as WebGpuTensor;
  const { x, sharing } = recording.gathered(op.x as WebGpuTensor);
  const routes = op.routes as WebGpuRoutes;
  const { chosen, experts } = routes;
  const bias = op.bias as WebGpuConstant | undefined;
  const { variants, unused } = recording;
  const weights = op.weights as readonly WebGpuWeight[];
  const areQuantized = weights.every(({ format }) => isQuantized(format));
  if (!areQuantized) recording.readFloats(x);
  const few: Recorded[] = [];
  const others: Recorded[] = [];
  // Fewer read less weights by themselves.
  const isMany = (routes: number) => routes >= 2 * experts;
  // Narrow matrices have more sums in a workgroup than its memory holds.
  const manyOuts = (segments: number) => (segments >= 8 ? OUTS_PER_THREAD : 1);
  // What is multiplied by the same rows should lie in one buffer.
  stackParts(recording.gpu, recording.memory, weights);
  let column = 0;
  for (const { format, vectors, parts, rows: allRows } of weights) {
    const { blocks, segments } = sumShape(format, x.cols);
    const quantized = isQuantized(format) ? recording.quantized(x, areQuantized) : undefined;
    const expertRows = allRows / experts;
    for (const part of parts) {
      const { buffer, base, firstRow, rows } = part;
      const kernel = (
        which: Parameters<typeof expertKernel>[1] | Kernel,
        workgroups: (routes: number) => [count: number, times: number],
        constants?: KernelConstants,
      ): Recorded => ({
        kernel: typeof which === 'string' ? expertKernel(format, which, variants) : which,
        args: [
          blocks,
          segments,
          vectors,
          base,
          firstRow,
          rows,
          expertRows,
          column,
          out.stride,
          out.cols,
          domainCode(out),
          bias ? 1 : 0,
          sharing,
        ],
        buffers: [
          buffer,
          buffer,
          quantized?.codes ?? x.buffer,
          quantized?.scales ?? unused.read,
          bias?.buffer ?? unused.read,
          out.buffer,
          chosen,
        ],
        workgroups: (counts) => workgroups(rowsOf(out, counts)),
        constants,
      });
      if (variants.plainLinear) {
        others.push(kernel('plain', (routes) => [Math.ceil(expertRows / ELEMENT_THREADS), routes]));
        continue;
      }
      const groups = (outs: number) => Math.ceil(expertRows / ((outs * THREADS) / segments));
      few.push(
        kernel('rows', (routes) => [isMany(routes) ? 0 : groups(OUTS_PER_THREAD), routes], {
          THREADS,
          OUTS: OUTS_PER_THREAD,
          SEGMENTS: segments,
        }),
      );
      const LIST = Math.min(MOST_LISTED, THREADS * Math.ceil((LISTED_PER_EXPERT * experts) / THREADS));
      const units = hasMatrixKernel(format) ? variants.matrices : undefined;
      const suitsMatrices = (routes: number) => units !== undefined && routes >= MATRIX_ROUTES_PER_EXPERT * experts;
      others.push(
        kernel(
          'many',
          (routes) => [isMany(routes) && !suitsMatrices(routes) ? groups(manyOuts(segments)) : 0, experts],
          { THREADS, OUTS: manyOuts(segments), SEGMENTS: segments, LIST },
        ),
      );
      if (units) {
        others.push(
          kernel(
            expertMatrixKernel(format, units.k, variants),
            (routes) => [suitsMatrices(routes) ? Math.ceil(expertRows / MATRIX_TILE) : 0, experts],
            { ...matrixTile(units, MATRIX_TILE, MATRIX_TILE), LIST },
          ),
        );
      }
    }
    column += expertRows;
  }
  recording.add([out], ...others, ...few);
  const [{ format, vectors, parts }] = weights;
  const isOneRun = weights.every((weight) => {
    const [{ buffer }] = weight.parts;
    return weight.parts.length === 1 && buffer === parts[0].buffer && weight.rows === weights[0].rows;
  });
  if (!isOneRun || few.length === 0) return;
  recording.noteFewRoutes(out, few.length, {
    x,
    sharing,
    routes,
    format,
    vectors,
    buffer: parts[0].buffer,
    bases: weights.map((weight) => weight.parts[0].base),
    expertRows: weights[0].rows / experts,
    bias,
    isFew: (count) => !isMany(count),
  });
}
