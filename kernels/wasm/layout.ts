/**
 * How the WASM kernels lay weights out: panels of eight rows, interleaved so that one vector holds the same few columns
 * of several rows. A lane then always belongs to one row, every row is a plain sequential sum over its columns, and no
 * kernel ever sums across lanes.
 *
 * | format | unit of a panel                                                                                     |
 * |--------|-----------------------------------------------------------------------------------------------------|
 * | F32    | one column: 8 floats, rows 0 … 7                                                                      |
 * | F16, BF16 | one column: 8 halves, rows 0 4 1 5 2 6 3 7 (so that a shift and a mask split rows 0–3 from 4–7)    |
 * | Q8_0   | 32 columns: 8 half scales, then 16 vectors; vector 2c+g holds columns 4c … 4c+3 of rows 4g … 4g+3 as code + 127 |
 * | Q4_0   | 32 columns: 8 half scales, then 8 vectors; vector 2p+g holds columns 8p … 8p+3 (low nibbles) and 8p+4 … 8p+7 (high nibbles) of rows 4g … 4g+3 |
 *
 * Columns of float panels are padded with zeros to a multiple of four, rows of every panel to eight.
 */

import { KV_BLOCK_SIZE, type KvFormat } from '../contract.ts';
import { convert, type FileFormat, isQuantized, rowBytes, type WeightFormat } from '../formats.ts';

export const PANEL_ROWS = 8;

/** Bytes of one number in a K/V cache. */
export const KV_ELEMENT_BYTES: Readonly<Record<KvFormat, number>> = { F32: 4, F16: 2, I8: 1 };

/** Bytes in front of the numbers of a head's page: for `I8` the scale of each position, a float. */
export const KV_PAGE_HEADER: Readonly<Record<KvFormat, number>> = { F32: 0, F16: 0, I8: 4 * KV_BLOCK_SIZE };

/** Elements of a quantised block. */
export const BLOCK = 32;

/** Zero point of the unsigned codes in a panel. */
export const ZERO_POINT = { Q8_0: 127, Q4_0: 8 } as const;

/** Bytes of the eight half-precision scales in front of a block's codes. */
export const SCALE_BYTES = 16;

/** Bytes of one unit (a column of floats, a block of codes) of a panel. */
export const UNIT_BYTES: Readonly<Record<WeightFormat, number>> = {
  F32: 4 * PANEL_ROWS,
  F16: 2 * PANEL_ROWS,
  BF16: 2 * PANEL_ROWS,
  Q8_0: SCALE_BYTES + BLOCK * PANEL_ROWS,
  Q4_0: SCALE_BYTES + (BLOCK * PANEL_ROWS) / 2,
};

/** Units along a panel: columns rounded up to four, or blocks. */
export function unitsOf(format: WeightFormat, cols: number): number {
  return isQuantized(format) ? cols / BLOCK : 4 * Math.ceil(cols / 4);
}

export function panelBytes(format: WeightFormat, cols: number): number {
  return unitsOf(format, cols) * UNIT_BYTES[format];
}

export function panelCount(rows: number): number {
  return Math.ceil(rows / PANEL_ROWS);
}

/**
 * Interleaves rows in file layout into their panels.
 *
 * @param target  the bytes of the whole weight, `panelCount(rows) · panelBytes`
 * @param firstRow  row of the weight at which `data` begins; any row, so that a matrix can come in pieces
 */
export function packRows(
  target: Uint8Array,
  format: WeightFormat,
  cols: number,
  firstRow: number,
  data: Uint8Array,
  sourceFormat: FileFormat,
): void {
  const source = convert(sourceFormat, format, data);
  const bytesPerRow = rowBytes(format, cols);
  const perPanel = panelBytes(format, cols);
  const rows = source.length / bytesPerRow;
  for (let r = 0; r < rows; r++) {
    const row = firstRow + r;
    const panel = Math.floor(row / PANEL_ROWS) * perPanel;
    packRow[format](target, panel, row % PANEL_ROWS, source, r * bytesPerRow, cols);
  }
}

type PackRow = (
  target: Uint8Array,
  panel: number,
  lane: number,
  source: Uint8Array,
  from: number,
  cols: number,
) => void;

const packHalves: PackRow = (target, panel, lane, source, from, cols) => {
  let to = panel + 2 * (lane < 4 ? 2 * lane : 2 * (lane - 4) + 1);
  for (let k = 0; k < cols; k++, from += 2, to += UNIT_BYTES.F16) {
    target[to] = source[from];
    target[to + 1] = source[from + 1];
  }
};

const packRow: Record<WeightFormat, PackRow> = {
  F32: (target, panel, lane, source, from, cols) => {
    let to = panel + 4 * lane;
    for (let k = 0; k < cols; k++, from += 4, to += UNIT_BYTES.F32) {
      target[to] = source[from];
      target[to + 1] = source[from + 1];
      target[to + 2] = source[from + 2];
      target[to + 3] = source[from + 3];
    }
  },
  F16: packHalves,
  BF16: packHalves,
  Q8_0: (target, panel, lane, source, from, cols) => {
    const inVector = (lane % 4) * 4;
    const group = lane >> 2;
    for (let b = 0; b < cols / BLOCK; b++, from += 34, panel += UNIT_BYTES.Q8_0) {
      target[panel + 2 * lane] = source[from];
      target[panel + 2 * lane + 1] = source[from + 1];
      const to = panel + SCALE_BYTES + 16 * group + inVector;
      for (let i = 0; i < BLOCK; i++) {
        // A code of −128 exists in no file that ggml writes; it is taken as −127 so that codes + 127 stay in a byte.
        const code = Math.max(-127, (source[from + 2 + i] << 24) >> 24);
        target[to + 32 * (i >> 2) + (i & 3)] = code + ZERO_POINT.Q8_0;
      }
    }
  },
  Q4_0: (target, panel, lane, source, from, cols) => {
    const inVector = (lane % 4) * 4;
    const group = lane >> 2;
    for (let b = 0; b < cols / BLOCK; b++, from += 18, panel += UNIT_BYTES.Q4_0) {
      target[panel + 2 * lane] = source[from];
      target[panel + 2 * lane + 1] = source[from + 1];
      for (let p = 0; p < 4; p++) {
        const to = panel + SCALE_BYTES + 16 * (2 * p + group) + inVector;
        // Elements 0 … 15 are low nibbles of bytes 0 … 15 in the file, elements 16 … 31 the high ones.
        const shift = p < 2 ? 0 : 4;
        const at = from + 2 + 8 * (p & 1);
        for (let s = 0; s < 4; s++) {
          const low = (source[at + s] >> shift) & 15;
          const high = (source[at + 4 + s] >> shift) & 15;
          target[to + s] = low | (high << 4);
        }
      }
    }
  },
};
