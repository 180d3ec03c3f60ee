/**
 * Attention as dispatches. Rows that follow one another in a sequence (prompts) go in runs that share what they read; a row
 * alone (decode) takes a workgroup, or several over its splits where the rows are few and their contexts long.
 */

import type { OpRecorder } from '../contract.ts';
import type { WebGpuConstant, WebGpuKvCache, WebGpuTensor } from './buffers.ts';
import { attentionKernels, KERNELS, type KernelConstants } from './kernels.ts';
import { BLOCK } from './layout.ts';
import type { Recorded, Recording } from './recording.ts';
import { SPLIT, type StepCounts } from './step-buffers.ts';
import type { Variants } from './variants.ts';

/** What every adapter grants a workgroup. */
const WORKGROUP_BYTES = 16384;
/** Up to so many rows each head has a workgroup of its own: reading keys once for a group is not worth the wait then. */
const SINGLE_ROWS = 4;
/** Attention spreads a row's splits over workgroups while there are no more rows than this, */
const SPREAD_ROWS = 16;
/** and their results fit here. */
const PARTIAL_BYTES = 32 * 2 ** 20;

export function recordAttention(recording: Recording, op: Parameters<OpRecorder['attention']>[0]): void {
  const [qkv, out] = [op.qkv as WebGpuTensor, op.out as WebGpuTensor];
  const cache = op.cache as WebGpuKvCache;
  const { kvHeads, headDim } = cache;
  const { heads } = op;
  const { variants, step, unused } = recording;
  const reading = attentionKernels(cache.format, variants);
  const sharing = heads / kvHeads;
  const inRuns = variants.promptRuns && headDim % BLOCK === 0;
  const group = groupSize(sharing, headDim, variants);
  const lineGroup = sharing % 2 === 0 ? 2 : 1;
  const args = (groups: number) => [
    heads,
    kvHeads,
    groups,
    qkv.stride,
    out.stride,
    op.window ?? 0,
    { float: op.scale },
    { float: op.softcap ?? 0 },
  ];
  const partials = step.partials(heads, headDim, PARTIAL_BYTES, SPREAD_ROWS);
  const lone = (counts: StepCounts) =>
    inRuns ? { rows: counts.loneRows, splits: counts.loneSplits } : { rows: counts.rows, splits: counts.splits };
  const spreads = (counts: StepCounts) => lone(counts).splits > 1 && lone(counts).rows <= partials.rows;
  const sinks = (op.sinks as WebGpuConstant | undefined)?.buffer ?? unused.read;
  const inputs = [qkv.buffer, cache.keys[op.layer], cache.values[op.layer]];
  const shared = { HEAD_DIM: headDim, SOFTCAP: op.softcap !== undefined };
  const end = { SINKS: op.sinks !== undefined };
  const chunk = (heads: number) => ({
    ...shared,
    ALL_ROWS: !inRuns,
    THREADS: variants.attentionThreads,
    GROUP: heads,
  });
  // Heads that a workgroup takes together, and whether a step's rows are for workgroups of so many.
  const sizes =
    group === 1 || variants.headGroup <= 2
      ? [{ size: group, takes: () => true }]
      : [
          { size: 1, takes: (rows: number) => rows <= SINGLE_ROWS },
          { size: group, takes: (rows: number) => rows > SINGLE_ROWS },
        ];

  const kernels = (codes: GPUBuffer, scales: GPUBuffer, quantize: KernelConstants): Recorded[] => {
    const merging = { ...end, ...quantize };
    const list: Recorded[] = [
      ...sizes.flatMap(({ size, takes }): Recorded[] => [
        {
          kernel: reading.attention,
          args: args(sharing / size),
          buffers: [codes, scales, ...inputs, out.buffer, sinks],
          workgroups: (counts) => {
            const { rows } = lone(counts);
            return [spreads(counts) || !takes(rows) ? 0 : (rows * heads) / size];
          },
          constants: { ...chunk(size), ...merging },
        },
        {
          kernel: reading.split,
          args: args(sharing / size),
          buffers: [...unused.write.slice(0, 2), ...inputs, partials.buffer],
          workgroups: (counts) => {
            const { rows, splits } = lone(counts);
            return [spreads(counts) && takes(rows) ? (rows * splits * heads) / size : 0];
          },
          constants: chunk(size),
        },
      ]),
      {
        kernel: KERNELS.attentionMerge,
        args: args(1),
        buffers: [codes, scales, partials.buffer, unused.read, unused.read, out.buffer, sinks],
        workgroups: (counts) => [spreads(counts) ? lone(counts).rows * heads : 0],
        constants: { ...shared, ALL_ROWS: !inRuns, ...merging },
      },
    ];
    if (inRuns) {
      list.push({
        kernel: reading.prompt,
        args: args(sharing / lineGroup),
        buffers: [codes, scales, ...inputs, out.buffer, sinks],
        workgroups: (counts) => [(counts.runs * heads) / lineGroup],
        constants: { ...shared, ...merging, GROUP: lineGroup, PIECES: headDim / BLOCK },
      });
    }
    return list;
  };
  if (variants.fused && headDim % BLOCK === 0) {
    recording.addQuantizing(out, ({ codes, scales }, isWanted) => kernels(codes, scales, { QUANTIZE: isWanted }));
  } else {
    const [codes, scales] = unused.write;
    recording.add([out], ...kernels(codes, scales, {}));
  }
}

/** Query heads that share a K/V head and that one workgroup takes together: as many as its memory holds. */
function groupSize(heads: number, headDim: number, { headGroup, attentionThreads, subgroups }: Variants): number {
  const tiles = SPLIT / 32;
  const shared = 4 * (tiles * headDim + attentionThreads);
  const spans = subgroups ? SPLIT / subgroups : 0;
  const bytesPerHead = 4 * (headDim + SPLIT + 2 * tiles + spans) + 4 * (headDim / 4) * 8;
  for (let size = Math.min(heads, headGroup); size > 1; size--) {
    if (heads % size === 0 && size * bytesPerHead + shared <= WORKGROUP_BYTES) return size;
  }
  return 1;
}
