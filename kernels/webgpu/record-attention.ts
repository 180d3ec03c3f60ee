/** Attention as dispatches: a row's splits in one workgroup, or spread over several and merged. */

import type { OpRecorder } from '../contract.ts';
import type { WebGpuKvCache, WebGpuTensor } from './buffers.ts';
import { KERNELS, type Variants } from './kernels.ts';
import type { Recording } from './recording.ts';
import { SPLIT, type StepCounts } from './step-buffers.ts';

/** What every adapter grants a workgroup. */
const WORKGROUP_BYTES = 16384;
/** Attention spreads a row's splits over workgroups while there are no more rows than this, */
const SPREAD_ROWS = 16;
/** and their results fit here. */
const PARTIAL_BYTES = 32 * 2 ** 20;

export function recordAttention(recording: Recording, op: Parameters<OpRecorder['attention']>[0]): void {
  const [qkv, out] = [op.qkv as WebGpuTensor, op.out as WebGpuTensor];
  const cache = op.cache as WebGpuKvCache;
  const { kvHeads, headDim } = cache;
  const { heads } = op;
  const { variants, step } = recording;
  const group = groupSize(heads / kvHeads, headDim, variants);
  const groups = heads / kvHeads / group;
  const constants = { THREADS: variants.rowThreads, HEAD_DIM: headDim, GROUP: group };
  const args = [heads, kvHeads, groups, qkv.stride, out.stride, op.window ?? 0, { float: op.scale }];
  const inputs = [qkv.buffer, cache.keys[op.layer], cache.values[op.layer]];
  const partials = step.partials(heads, headDim, PARTIAL_BYTES, SPREAD_ROWS);
  const spreads = ({ rows, splits }: StepCounts) => splits > 1 && rows <= partials.rows;

  recording.add(
    [out],
    {
      kernel: KERNELS.attention,
      args,
      buffers: [...inputs, out.buffer],
      workgroups: (counts) => [spreads(counts) ? 0 : counts.rows * kvHeads * groups],
      constants,
    },
    {
      kernel: KERNELS.attentionSplit,
      args,
      buffers: [...inputs, partials.buffer],
      workgroups: (counts) => [spreads(counts) ? counts.rows * counts.splits * kvHeads * groups : 0],
      constants,
    },
    {
      kernel: KERNELS.attentionMerge,
      args,
      buffers: [partials.buffer, out.buffer],
      workgroups: (counts) => [spreads(counts) ? counts.rows * heads : 0],
      constants,
    },
  );
}

/** Query heads that share a K/V head and that one workgroup takes together: as many as its memory holds. */
function groupSize(heads: number, headDim: number, { headGroup, rowThreads }: Variants): number {
  const bytesPerHead = 4 * (2 * headDim + SPLIT + rowThreads);
  for (let size = Math.min(heads, headGroup); size > 1; size--) {
    if (heads % size === 0 && size * bytesPerHead <= WORKGROUP_BYTES) return size;
  }
  return 1;
}
