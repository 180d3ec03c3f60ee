/**
 * How a step's attention is dealt out to threads. Rows of one sequence that follow one another make a block, since they read
 * the same keys and values; a task is a block, or one split of a block that would keep a thread busy for longer than
 * the rest of the step takes.
 */

import type { StepInput } from '../contract.ts';

/** Rows of a block at most. */
export const BLOCK_ROWS = 4;

/** A block whose splits each have a task and leave partial results, one after the other from `slot` on. */
export interface SpreadBlock {
  readonly row: number;
  readonly rows: number;
  /** Counts partial results of a row. */
  readonly slot: number;
}

export interface AttentionTask extends SpreadBlock {
  /** −1: all of them, merged at once. */
  readonly split: number;
}

/** What {@link attentionTasks} needs to know of device and model. */
export interface Dealing {
  readonly threads: number;
  /** Every task is done once for each. */
  readonly kvHeads: number;
  /** Positions in a split. */
  readonly split: number;
  /** Room for partial results, each of a row and a split. */
  readonly slots: number;
}

/**
 * A block is spread when it makes up more than one of so many shares of the work: an even deal would need it cut. Without
 * other threads there is nothing to gain.
 */
function shares(threads: number): number {
  return threads > 1 ? 4 * threads : 0;
}

/** Partial results that there should be room for: enough for all blocks of a row that {@link attentionTasks} may spread. */
export function slotsFor(threads: number, kvHeads: number, maxSplits: number): number {
  const blocks = Math.floor(shares(threads) / kvHeads);
  return blocks === 0 ? 0 : maxSplits * Math.max(BLOCK_ROWS, blocks);
}

/** All tasks, the longest first: what is dealt out last keeps the other threads waiting. */
export function attentionTasks(
  step: Pick<StepInput, 'positions' | 'slots'>,
  { threads, kvHeads, split, slots }: Dealing,
): { tasks: AttentionTask[]; spread: SpreadBlock[] } {
  const blocks = rowBlocks(step).map(([row, rows]) => {
    const splits = Math.floor((step.positions[row] + rows - 1) / split) + 1;
    return { row, rows, splits, work: rows * (step.positions[row] + rows) };
  });
  blocks.sort((a, b) => b.work - a.work);
  const most = (blocks.reduce((sum, { work }) => sum + work, 0) * kvHeads) / shares(threads);
  const tasks: AttentionTask[] = [];
  const spread: SpreadBlock[] = [];
  let slot = 0;
  for (const { row, rows, splits, work } of blocks) {
    if (work > most && splits > 1 && slot + rows * splits <= slots) {
      spread.push({ row, rows, slot });
      for (let s = 0; s < splits; s++, slot += rows) tasks.push({ row, rows, split: s, slot });
    } else tasks.push({ row, rows, split: -1, slot: 0 });
  }
  return { tasks, spread };
}

/** Runs of rows of one sequence at positions that follow one another: first row and number of rows. */
function rowBlocks({ positions, slots }: Pick<StepInput, 'positions' | 'slots'>): [row: number, rows: number][] {
  const blocks: [row: number, rows: number][] = [];
  for (let row = 0; row < positions.length; row++) {
    const open = blocks.at(-1);
    const follows = row > 0 && slots[row] === slots[row - 1] && positions[row] === positions[row - 1] + 1;
    if (open && follows && open[1] < BLOCK_ROWS) open[1]++;
    else blocks.push([row, 1]);
  }
  return blocks;
}
