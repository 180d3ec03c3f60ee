/** Which rows of a step attention takes together, since they read the same keys and values. */

import type { StepInput } from '../contract.ts';

/** Rows of a block at most. */
export const BLOCK_ROWS = 4;

/** First row and number of rows. */
export type RowBlock = readonly [row: number, rows: number];

/**
 * Cuts rows into runs of one sequence at positions that follow one another. Those that see most come first: what is dealt
 * out last keeps the other threads waiting.
 */
export function rowBlocks({ positions, slots }: Pick<StepInput, 'positions' | 'slots'>): RowBlock[] {
  const blocks: [row: number, rows: number][] = [];
  for (let row = 0; row < positions.length; row++) {
    const open = blocks.at(-1);
    const follows = row > 0 && slots[row] === slots[row - 1] && positions[row] === positions[row - 1] + 1;
    if (open && follows && open[1] < BLOCK_ROWS) open[1]++;
    else blocks.push([row, 1]);
  }
  const seen = ([row, rows]: RowBlock) => rows * positions[row];
  return blocks.sort((a, b) => seen(b) - seen(a));
}
