/**
 * Experts' matrices together with the op that takes their results, for few routes: the gated activation of gate and up, and
 * the sum over a token's experts. The experts' own kernels for few routes are then taken out of the plan.
 */

import type { OpRecorder } from '../contract.ts';
import { isQuantized } from '../formats.ts';
import type { WebGpuConstant, WebGpuRoutes, WebGpuTensor } from './buffers.ts';
import { expertGatedKernel, expertMixKernel, type KernelConstants } from './kernels.ts';
import { BLOCK, sumShape } from './layout.ts';
import { gatedTile } from './record-fused-linear.ts';
import type { FewRows, Quantized, Recorded, Recording, RunExperts } from './recording.ts';

const MIX_THREADS = 128;
/** Blocks of weights that each of the latter has on their way: outputs times experts. */
const MIX_LOADS = 8;
/** Beyond so many experts of a token a thread keeps too many sums. */
const MOST_MIXED = 16;
/** What every adapter grants a workgroup. */
const WORKGROUP_BYTES = 16384;

/** Kernels that do a gated activation with the experts before it; none where the two do not suit. */
export function expertGatedKernels(recording: Recording, op: Parameters<OpRecorder['gatedActivation']>[0]) {
  const [x, out] = [op.x as WebGpuTensor, op.out as WebGpuTensor];
  const experts = recording.fewRoutes(x);
  if (!experts || out.cols % BLOCK !== 0) return undefined;
  const { format, bases, expertRows, routes, isFew } = experts;
  const { segments } = sumShape(format, experts.x.cols);
  if (segments === 1 || bases.length > 2 || bases.length * expertRows !== 2 * out.cols) return undefined;
  const [gate, up = gate + out.cols] = bases;
  const run = takeExperts(recording, experts);
  const kernel = (form: Quantized | undefined, constants: KernelConstants): Recorded => ({
    kernel: expertGatedKernel(format, form !== undefined, recording.variants),
    args: [...run.args(gate, up), out.cols, out.stride, experts.sharing, { float: op.limit ?? 0 }],
    buffers: [...run.buffers, ...(form ? [form.codes, form.scales] : [out.buffer])],
    workgroups: ({ rows }) => {
      const count = rows * routes.perToken;
      return [isFew(count) ? out.cols / BLOCK : 0, count];
    },
    constants: {
      ...run.constants,
      ...constants,
      ...gatedTile(segments),
      ...(form ? { CODES_BINDING: 7, SCALES_BINDING: 8 } : {}),
    },
  });
  return {
    takes: isFew,
    /** The one that writes codes, and the one that writes floats, as far as they are wanted. */
    kernels: (form: Quantized, isWanted: boolean, asFloats: boolean, constants: KernelConstants) => [
      isWanted ? kernel(form, constants) : undefined,
      asFloats ? kernel(undefined, constants) : undefined,
    ],
  };
}

/** Kernels that sum the results of the experts before them; none where the two do not suit. */
export function mixKernels(recording: Recording, op: Parameters<OpRecorder['mixRoutes']>[0]) {
  const [x, out] = [op.x as WebGpuTensor, op.out as WebGpuTensor];
  const { perToken, weights } = op.routes as WebGpuRoutes;
  const experts = recording.fewRoutes(x);
  if (!recording.variants.fused || !experts) return undefined;
  const { format, bases, expertRows, isFew } = experts;
  const { segments } = sumShape(format, experts.x.cols);
  if (bases.length > 1 || expertRows !== out.cols || perToken > MOST_MIXED) return undefined;
  const bytes = (outs: number) => 4 * (MIX_THREADS / segments) * outs * perToken * (segments + 1);
  let outs = 2 ** Math.floor(Math.log2(Math.max(1, MIX_LOADS / perToken)));
  while (outs > 1 && bytes(outs) > WORKGROUP_BYTES) outs /= 2;
  const run = takeExperts(recording, experts);
  const kernel: Recorded = {
    kernel: expertMixKernel(format, recording.variants),
    args: [...run.args(bases[0], 0), out.cols, out.stride, experts.sharing, { float: 0 }],
    buffers: [...run.buffers, out.buffer, weights],
    workgroups: ({ rows }) => [
      isFew(rows * perToken) ? Math.ceil(out.cols / ((MIX_THREADS / segments) * outs)) : 0,
      rows,
    ],
    constants: { ...run.constants, THREADS: MIX_THREADS, OUTS: outs, ROUTES: perToken },
  };
  return { takes: isFew, kernels: [kernel] };
}

/** Takes over experts' matrices that were recorded last. */
function takeExperts(recording: Recording, experts: FewRows<RunExperts>) {
  const { x, format, vectors, buffer, routes, expertRows } = experts;
  const bias: WebGpuConstant | undefined = experts.bias;
  const { blocks, segments } = sumShape(format, x.cols);
  const { codes, scales } = isQuantized(format)
    ? recording.quantized(x, true)
    : { codes: x.buffer, scales: recording.unused.read };
  recording.takeFewRows(experts);
  return {
    args: (first: number, firstUp: number) => [blocks, vectors, first, firstUp, expertRows],
    buffers: [buffer, routes.chosen, codes, scales, bias?.buffer ?? recording.unused.read],
    constants: {
      SEGMENTS: segments,
      BLOCKS: recording.gpu.features.software ? 0 : blocks,
      BIAS: bias !== undefined,
    },
  };
}
