/**
 * Norms and residual sums as dispatches. The norm of what a block puts out, its sum with the residual stream and the norm of
 * that (Gemma 2 and 3, OLMo 2) are one kernel, where rows are whole blocks.
 */

import type { OpRecorder } from '../contract.ts';
import type { WebGpuConstant, WebGpuTensor } from './buffers.ts';
import { KERNELS } from './kernels.ts';
import { BLOCK } from './layout.ts';
import { linearNormKernels, MOST_NORM_TURNS, NORM_THREADS } from './record-fused-linear.ts';
import {
  domainCode,
  ELEMENT_THREADS,
  type QuantizingKernels,
  type Recording,
  rowsOf,
  type Workgroups,
} from './recording.ts';

export function recordNorm(recording: Recording, op: Parameters<OpRecorder['norm']>[0]): void {
  const [x, out] = [op.x as WebGpuTensor, op.out as WebGpuTensor];
  const add = op.add as WebGpuTensor | undefined;
  const { variants, unused } = recording;
  for (const read of [x, add]) if (read) recording.readFloats(read);
  const inPlace = x === out;
  const isRange = op.columns !== undefined;
  if (isRange && add) recordAddScaled(recording, { x, add, scale: op.addScale });
  const isPlain = !(isRange || op.centered || op.bias);
  const args = [op.weight.length, x.stride, domainCode(x), { float: op.eps }, { float: op.addScale ?? 1 }];
  const [residual, weight] = [add?.buffer ?? unused.read, (op.weight as WebGpuConstant).buffer];
  const workgroups: Workgroups = (counts) => [rowsOf(x, counts)];
  const turns = turnsOf(x);
  if (variants.fused && isPlain && isWholeBlocks(x) && turns <= MOST_NORM_TURNS) {
    if (add && !inPlace && recordPair(recording, { x, add, scale: op.addScale ?? 1 }, op)) return;
    const withLinear = inPlace ? undefined : linearNormKernels(recording, op);
    const kernels: QuantizingKernels = (form, isWanted, asFloats) => [
      {
        kernel: KERNELS.normRows,
        args,
        buffers: [form.codes, form.scales, x.buffer, residual, weight, inPlace ? unused.write[2] : out.buffer],
        workgroups: (counts) => (withLinear?.takes(rowsOf(x, counts)) ? [0] : workgroups(counts)),
        constants: {
          RESIDUAL: add !== undefined,
          IN_PLACE: inPlace,
          QUANTIZE: isWanted,
          THREADS: NORM_THREADS,
          TURNS: turns,
        },
      },
      ...(withLinear?.kernels(form, isWanted, asFloats) ?? []),
    ];
    recording.add([x]);
    recording.addQuantizing(out, kernels);
    if (inPlace && !add) recording.noteNorm(out, { weight: op.weight as WebGpuConstant, eps: op.eps });
    return;
  }
  recording.add([x, out], {
    kernel: KERNELS.norm,
    args: [...args, op.columns?.first ?? 0],
    buffers: [
      x.buffer,
      residual,
      weight,
      inPlace ? unused.write[0] : out.buffer,
      (op.bias as WebGpuConstant | undefined)?.buffer ?? unused.read,
    ],
    workgroups,
    constants: {
      THREADS: variants.rowThreads,
      RESIDUAL: add !== undefined && !isRange,
      IN_PLACE: inPlace,
      CENTERED: op.centered ?? false,
      BIAS: op.bias !== undefined,
    },
  });
}

export function recordAddScaled(recording: Recording, op: Parameters<OpRecorder['addScaled']>[0]): void {
  const [x, add] = [op.x as WebGpuTensor, op.add as WebGpuTensor];
  const gate = op.gate as WebGpuTensor | undefined;
  for (const read of [x, add, gate]) if (read) recording.readFloats(read);
  if (!gate && recordPair(recording, { x, add, scale: op.scale ?? 1 })) return;
  recording.add([x], {
    kernel: KERNELS.addScaled,
    args: [x.cols, x.stride, gate?.stride ?? 0, domainCode(x), { float: op.scale ?? 1 }],
    buffers: [x.buffer, add.buffer, gate?.buffer ?? recording.unused.read],
    workgroups: (counts) => [Math.ceil((rowsOf(x, counts) * x.cols) / ELEMENT_THREADS)],
    constants: { GATED: gate !== undefined },
  });
}

interface Sum {
  readonly x: WebGpuTensor;
  readonly add: WebGpuTensor;
  readonly scale: number;
}

/** Records a sum, and perhaps a norm of it, together with the norm of `add` before it; false where there was none. */
function recordPair(
  recording: Recording,
  { x, add, scale }: Sum,
  norm?: Pick<Parameters<OpRecorder['norm']>[0], 'weight' | 'eps' | 'out'>,
): boolean {
  const first = recording.takeNorm(add);
  if (!first || x === add) return false;
  const { unused } = recording;
  const args = [x.cols, x.stride, domainCode(x), { float: norm?.eps ?? 0 }, { float: scale }, { float: first.eps }];
  const out = norm?.out as WebGpuTensor | undefined;
  const weight = (norm?.weight as WebGpuConstant | undefined)?.buffer ?? unused.read;
  const kernels: QuantizingKernels = ({ codes, scales }, isWanted) => [
    {
      kernel: KERNELS.normPair,
      args,
      buffers: [...[codes, scales, x.buffer, add.buffer, weight, out?.buffer ?? unused.write[2]], first.weight.buffer],
      workgroups: (counts) => [rowsOf(x, counts)],
      constants: { NORM: norm !== undefined, QUANTIZE: isWanted, THREADS: NORM_THREADS, TURNS: turnsOf(x) },
    },
  ];
  recording.add([x, add]);
  recording.addQuantizing(out ?? x, kernels);
  return true;
}

function turnsOf(x: WebGpuTensor): number {
  return Math.ceil(x.cols / 4 / NORM_THREADS);
}

/** The kernels for whole rows take blocks of 32 columns. */
export function isWholeBlocks({ cols }: WebGpuTensor): boolean {
  return cols % BLOCK === 0;
}
