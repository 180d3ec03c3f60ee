/** Mixtures of experts as dispatches. Each route is a row of its own, in the order of the tokens. */

import type { OpRecorder } from '../contract.ts';
import { isQuantized } from '../formats.ts';
import type { WebGpuConstant, WebGpuRoutes, WebGpuTensor, WebGpuWeight } from './buffers.ts';
import { expertKernel, KERNELS, type KernelConstants } from './kernels.ts';
import { sumShape } from './layout.ts';
import { domainCode, ELEMENT_THREADS, type Recorded, type Recording, rowsOf } from './recording.ts';

/** Threads of a workgroup of the kernels that share work, and weight rows that each of them takes. */
const [THREADS, OUTS_PER_THREAD] = [128, 2];
/** The kernel for many routes notes so many at a time: enough that each expert finds some of its own, as far as they fit. */
const LISTED_PER_EXPERT = 16;
const MOST_LISTED = 1024;

export function recordRoute(recording: Recording, op: Parameters<OpRecorder['route']>[0]): void {
  const scores = op.scores as WebGpuTensor;
  const { experts, perToken, chosen, weights } = op.routes as WebGpuRoutes;
  recording.add([], {
    kernel: KERNELS.route,
    args: [
      experts,
      perToken,
      scores.stride,
      op.normalize ? 1 : 0,
      { float: op.scale ?? 1 },
      op.groups?.count ?? 1,
      op.groups?.chosen ?? 1,
    ],
    buffers: [scores.buffer, chosen, weights],
    workgroups: ({ rows }) => [rows],
    constants: { THREADS: recording.variants.rowThreads },
  });
}

export function recordGatherRoutes(recording: Recording, op: Parameters<OpRecorder['gatherRoutes']>[0]): void {
  const [x, out] = [op.x as WebGpuTensor, op.out as WebGpuTensor];
  recording.add([out], {
    kernel: KERNELS.gatherRoutes,
    args: [x.stride, op.routes.perToken],
    buffers: [x.buffer, out.buffer],
    workgroups: (counts) => [Math.ceil((rowsOf(out, counts) * x.stride) / ELEMENT_THREADS)],
  });
}

export function recordMixRoutes(recording: Recording, op: Parameters<OpRecorder['mixRoutes']>[0]): void {
  const [x, out] = [op.x as WebGpuTensor, op.out as WebGpuTensor];
  const { perToken, weights } = op.routes as WebGpuRoutes;
  recording.add([out], {
    kernel: KERNELS.mixRoutes,
    args: [x.stride, perToken],
    buffers: [x.buffer, weights, out.buffer],
    workgroups: ({ rows }) => [Math.ceil((rows * out.stride) / ELEMENT_THREADS)],
  });
}

/**
 * Weights side by side, each in one or more buffers: every buffer's dispatch writes the outputs whose rows it holds. A step
 * with more routes than experts takes them expert by expert.
 */
export function recordExpertLinear(recording: Recording, op: Parameters<OpRecorder['expertLinear']>[0]): void {
  const [x, out] = [op.x as WebGpuTensor, op.out as WebGpuTensor];
  const { chosen, experts } = op.routes as WebGpuRoutes;
  const bias = op.bias as WebGpuConstant | undefined;
  const { variants, unused } = recording;
  const kernels: Recorded[] = [];
  // Fewer read less weights by themselves.
  const isMany = (routes: number) => routes >= 2 * experts;
  // Narrow matrices have more sums in a workgroup than its memory holds.
  const manyOuts = (segments: number) => (segments >= 8 ? OUTS_PER_THREAD : 1);
  let column = 0;
  for (const { format, vectors, parts, rows: allRows } of op.weights as readonly WebGpuWeight[]) {
    const { blocks, segments } = sumShape(format, x.cols);
    const quantized = isQuantized(format) ? recording.quantized(x) : undefined;
    const expertRows = allRows / experts;
    for (const part of parts) {
      part.bound = true;
      const { buffer, base, firstRow, rows } = part;
      const kernel = (
        routes: Parameters<typeof expertKernel>[1],
        workgroups: (routes: number) => [count: number, times: number],
        constants?: KernelConstants,
      ): Recorded => ({
        kernel: expertKernel(format, routes, variants.packedDot),
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
          domainCode(x),
          bias ? 1 : 0,
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
        workgroups: (counts) => workgroups(rowsOf(x, counts)),
        constants,
      });
      if (variants.plainLinear) {
        kernels.push(kernel('plain', (routes) => [Math.ceil(expertRows / ELEMENT_THREADS), routes]));
        continue;
      }
      const groups = (outs: number) => Math.ceil(expertRows / ((outs * THREADS) / segments));
      kernels.push(
        kernel('rows', (routes) => [isMany(routes) ? 0 : groups(OUTS_PER_THREAD), routes], {
          THREADS,
          OUTS: OUTS_PER_THREAD,
          SEGMENTS: segments,
        }),
        kernel('many', (routes) => [isMany(routes) ? groups(manyOuts(segments)) : 0, experts], {
          THREADS,
          OUTS: manyOuts(segments),
          SEGMENTS: segments,
          LIST: Math.min(MOST_LISTED, THREADS * Math.ceil((LISTED_PER_EXPERT * experts) / THREADS)),
        }),
      );
    }
    column += expertRows;
  }
  recording.add([out], ...kernels);
}
