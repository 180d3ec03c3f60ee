/**
 * A linear for few rows together with the op that takes its result: one dispatch fewer a layer each. The linear's own kernels
 * for few rows are then taken out of the plan.
 */

import type { OpRecorder } from '../contract.ts';
import { isQuantized } from '../formats.ts';
import type { WebGpuConstant, WebGpuKvCache, WebGpuTensor } from './buffers.ts';
import {
  type KernelConstants,
  linearGatedKernel,
  linearHeadsKernel,
  linearNormKernel,
  linearRopeKernel,
} from './kernels.ts';
import { BLOCK, sumShape } from './layout.ts';
import { FEW_ROWS, isWithin, MOST_FEW_ROWS } from './record-linear.ts';
import { domainCode, type Quantized, type Recorded, type Recording, rowsOf } from './recording.ts';
import type { StepCounts } from './step-buffers.ts';

/** Most threads of a workgroup that takes 32 columns of a gated activation. */
const GATED_THREADS = 256;
/** Elements of a head that one thread rotates and stores. */
const COUPLE = 8;
/** Threads of a workgroup that takes heads' elements, weight rows that each team of them takes, blocks at a time: whole couples. */
const ROPE_TILE = { threads: 128, outs: 4, steps: 2 };
/** With fewer weight rows than this there are few workgroups, which take more threads to have as many loads on their way. */
const SMALL_ROPE_ROWS = 4096;
const SMALL_ROPE_TILE = { threads: 256, outs: 2, steps: 4 };

/** Kernels for few rows that do a gated activation with the linear before it; none where the two do not suit. */
export function gatedKernels(recording: Recording, op: Parameters<OpRecorder['gatedActivation']>[0]) {
  const [x, out] = [op.x as WebGpuTensor, op.out as WebGpuTensor];
  const linear = takeLinear(recording, x, (segments, bias) => !bias && segments > 1);
  if (!linear) return undefined;
  const args = linear.args(op.limit ?? 0);
  const { run, codes, scales } = linear;
  const kernels = (form: Quantized, isWanted: boolean, _: boolean, constants: KernelConstants) =>
    FEW_ROWS.map((most, i) => ({
      kernel: linearGatedKernel(run.format, recording.variants),
      args,
      buffers: [run.buffer, out.buffer, codes, scales, form.codes, x.buffer, form.scales],
      workgroups: (counts: StepCounts) => [isWithin(rowsOf(x, counts), i) ? out.cols / BLOCK : 0] as const,
      constants: {
        ...constants,
        ...linear.constants,
        QUANTIZE: isWanted,
        ...gatedTile(linear.segments),
        ROWS: most,
        CODES_BINDING: 6,
        SCALES_BINDING: 8,
      },
    }));
  return { takes: (rows: number) => rows <= MOST_FEW_ROWS, kernels };
}

/** Such a workgroup's threads, and the pairs of gate and up rows, and rows, that each team of them takes. */
export function gatedTile(segments: number): KernelConstants {
  const threads = Math.min(GATED_THREADS, BLOCK * segments);
  const pairs = (BLOCK * segments) / threads;
  return { THREADS: threads, PAIRS: pairs, OUTS: 2 * pairs };
}

type RopeAndCache = Parameters<OpRecorder['ropeAndCache']>[0];

/** Constants of what becomes of a head, of which so many threads take the elements in turn. */
export function headConstants({ heads, rotaryDim, qNorm, kNorm, cache }: RopeAndCache, lanes: number): KernelConstants {
  return {
    HEADS: heads,
    KV_HEADS: (cache as WebGpuKvCache).kvHeads,
    HEAD_DIM: (cache as WebGpuKvCache).headDim,
    ROTARY: rotaryDim,
    Q_NORM: qNorm !== undefined,
    K_NORM: kNorm !== undefined,
    LANES: lanes,
  };
}

/** Kernels for few rows that rotate and cache with the linear before it; none where the two do not suit. */
export function ropeKernels(recording: Recording, op: RopeAndCache): readonly Recorded[] | undefined {
  const { heads, rotaryDim, layer } = op;
  const [qNorm, kNorm] = [op.qNorm, op.kNorm] as (WebGpuConstant | undefined)[];
  const { kvHeads, headDim, keys, values, format } = op.cache as WebGpuKvCache;
  const { variants, unused } = recording;
  if (!variants.fused) return undefined;
  // A norm, and the scale of bytes, need the whole head.
  const inCouples = !qNorm && !kNorm && format !== 'I8' && headDim % COUPLE === 0 && rotaryDim % COUPLE === 0;
  const qkv = op.qkv as WebGpuTensor;
  if (!inCouples && !(variants.handover && qkv.handover !== undefined)) return undefined;
  const linear = takeLinear(recording, qkv, (_, bias) => !bias || bias.isUniform);
  if (!linear) return undefined;
  const { run, codes, scales, bias, segments } = linear;
  const { threads, outs, steps } = run.rows < SMALL_ROPE_ROWS ? SMALL_ROPE_TILE : ROPE_TILE;
  const perGroup = (threads / segments) * outs;
  const groups = inCouples
    ? Math.ceil(((heads + 2 * kvHeads) * headDim) / perGroup)
    : (heads + 2 * kvHeads) * Math.ceil(headDim / perGroup);
  const rope = (op.rope as WebGpuConstant | undefined)?.buffer ?? unused.read;
  const uniforms = inCouples ? [bias] : [bias, qNorm, kNorm];
  const fours = (constant?: WebGpuConstant) => (constant ? Math.ceil(constant.length / 4) : 1);
  const { HEADS, KV_HEADS, HEAD_DIM, ROTARY, ...whole } = headConstants(op, variants.rowThreads);
  return FEW_ROWS.map((most, i) => ({
    kernel: inCouples
      ? linearRopeKernel(run.format, format, variants)
      : linearHeadsKernel(run.format, format, variants),
    args: linear.args(op.normEps ?? 0),
    buffers: [
      ...[run.buffer, rope, codes, scales, keys[layer], qkv.buffer, values[layer]],
      ...uniforms.map((constant) => constant?.buffer ?? unused.uniform),
    ],
    workgroups: (counts) => [isWithin(counts.rows, i) ? groups : 0],
    constants: {
      ...linear.constants,
      THREADS: threads,
      ROWS: most,
      OUTS: outs,
      STEPS: steps,
      ...{ HEADS, KV_HEADS, HEAD_DIM, ROTARY },
      ...(inCouples
        ? { PAIRS: outs / 2 }
        : { ...whole, HANDOVER: qkv.handover ?? 0, Q_NORM_FOURS: fours(qNorm), K_NORM_FOURS: fours(kNorm) }),
      VALUES_BINDING: 8,
      BIAS: bias !== undefined,
      BIAS_FOURS: fours(bias),
    },
  }));
}

/** Threads of the norm of a whole row, and the most times four columns that each of them keeps. */
export const [NORM_THREADS, MOST_NORM_TURNS] = [256, 8];

/** Kernels for few rows that add and norm with the linear before that makes `add`; none where the two do not suit. */
export function linearNormKernels(recording: Recording, op: Parameters<OpRecorder['norm']>[0]) {
  const [x, add, out] = [op.x, op.add, op.out] as WebGpuTensor[];
  const weight = op.weight as WebGpuConstant;
  const { variants, unused } = recording;
  if (!variants.lastNorm || !variants.handover || (op.addScale ?? 1) !== 1) return undefined;
  if (add?.handover === undefined || !weight.isUniform) return undefined;
  const linear = takeLinear(recording, add, (_, bias) => !bias);
  if (!linear) return undefined;
  const { run, codes, scales, segments } = linear;
  const args = linear.args(op.eps);
  const kernels = (form: Quantized, isWanted: boolean, asFloats: boolean): (Recorded | undefined)[] => [
    ...FEW_ROWS.map((most, i): Recorded => {
      const end = asFloats ? [out.buffer, unused.write[0]] : [form.codes, form.scales];
      const outs = segments < 8 ? 1 : 2;
      return {
        kernel: linearNormKernel(run.format, !asFloats, variants),
        args,
        buffers: [run.buffer, end[0], codes, scales, x.buffer, add.buffer, end[1], weight.buffer],
        workgroups: (counts) => [
          isWithin(rowsOf(x, counts), i) ? Math.ceil(run.rows / ((NORM_THREADS / segments) * outs)) : 0,
        ],
        constants: {
          ...linear.constants,
          ...(asFloats ? {} : { CODES_BINDING: 3, SCALES_BINDING: 8 }),
          HANDOVER: add.handover as number,
          THREADS: NORM_THREADS,
          ROWS: most,
          OUTS: outs,
          STEPS: 4 / outs,
          TURNS: Math.ceil(x.cols / 4 / NORM_THREADS),
          NORM_FOURS: Math.ceil(weight.length / 4),
        },
      };
    }),
    // Floats and codes together would be a buffer too many.
    isWanted && asFloats ? recording.quantizing(out, form, (rows) => rows <= MOST_FEW_ROWS) : undefined,
  ];
  return { takes: (rows: number) => rows <= MOST_FEW_ROWS, kernels };
}

/** Takes over the linear op that was recorded last, if it made `out` of one run of weights. */
function takeLinear(
  recording: Recording,
  out: WebGpuTensor,
  suits: (segments: number, bias: WebGpuConstant | undefined) => boolean,
) {
  const linear = recording.fewRows(out);
  if (!linear) return undefined;
  const { x, run, bias } = linear;
  const { blocks, segments } = sumShape(run.format, x.cols);
  if (!suits(segments, bias)) return undefined;
  const { codes, scales } = isQuantized(run.format)
    ? recording.quantized(x, true)
    : { codes: x.buffer, scales: recording.unused.read };
  recording.takeFewRows(linear);
  return {
    run,
    codes,
    scales,
    bias,
    segments,
    /** @param float  the last argument, which depends on what follows */
    args: (float: number) => [
      ...[blocks, segments, run.vectors, run.base, run.rows, 0, out.stride, x.stride, domainCode(out), 0],
      { float },
    ],
    constants: { SEGMENTS: segments, BLOCKS: recording.gpu.features.software ? 0 : blocks },
  };
}
