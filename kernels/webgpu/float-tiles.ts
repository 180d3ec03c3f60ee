/** Tiles of linear for many rows and float weights (`shaders/linear-many-rows-float.wgsl`), and which rows take which. */

import type { KernelConstants } from './kernels.ts';
import type { Variants } from './variants.ts';

export interface FloatTile {
  readonly rows: number;
  readonly outs: number;
  /** Rows and outputs that a thread takes, each 4 or 8. */
  readonly threadRows: number;
  readonly threadOuts: number;
  /** Blocks of 8 columns at a time: 1, 2 or 4. */
  readonly step: number;
}

/** For a few rows more than one reading of the weights serves. */
const NARROW: FloatTile = { rows: 16, outs: 32, threadRows: 4, threadOuts: 4, step: 4 };
const NARROW_ROWS = 32;
/** For matrices and prompts that give a GPU too few of the wide ones. */
const MIDDLE: FloatTile = { rows: 64, outs: 64, threadRows: 8, threadOuts: 4, step: 2 };

/** The tiles of a matrix with so many rows of its own, in the order of {@link takesTile}. */
export function floatTiles({ wideRows, wideOuts, wideThreadOuts }: Variants): readonly FloatTile[] {
  // What fits 16 KiB of workgroup memory.
  const step = wideRows + wideOuts <= 128 ? 2 : 1;
  return [NARROW, MIDDLE, { rows: wideRows, outs: wideOuts, threadRows: 8, threadOuts: wideThreadOuts, step }];
}

/** True when so many rows of x are for the i-th of {@link floatTiles}. */
export function takesTile(variants: Variants, outs: number, rows: number, i: number): boolean {
  if (rows <= NARROW_ROWS) return i === 0;
  const { wideRows, wideOuts, wideWorkgroups } = variants;
  const isWide = Math.ceil(rows / wideRows) * Math.ceil(outs / wideOuts) >= wideWorkgroups;
  return i === (isWide ? 2 : 1);
}

export function floatTileConstants({ rows, outs, threadRows, threadOuts, step }: FloatTile): KernelConstants {
  const threads = (rows / threadRows) * (outs / threadOuts);
  return {
    TILE_ROWS: rows,
    TILE_OUTS: outs,
    ROW_FOURS: threadRows / 4,
    OUT_FOURS: threadOuts / 4,
    STEP: step,
    LOADS: Math.ceil((((rows + outs) / 4) * 2 * step) / threads),
  };
}
