/**
 * How the WASM kernels lay weights out: panels of eight rows, interleaved so that one vector holds the same few columns
 * of several rows. A lane then always belongs to one row, every row is a plain sequential sum over its columns, and no
 * kernel ever sums across lanes.
 *
 * | format    | unit of a panel                                                                                   |
 * |-----------|---------------------------------------------------------------------------------------------------|
 * | F32       | one column: 8 floats, rows 0 … 7                                                                   |
 * | F16, BF16 | one column: 8 halves, rows 0 4 1 5 2 6 3 7 (so that a shift and a mask split rows 0–3 from 4–7)    |
 * | others    | one block of 32 columns, or a super-block of eight such: see {@link BlockForm}                     |
 *
 * Columns of float panels are padded with zeros to a multiple of four, rows of every panel to eight.
 */

import { KV_BLOCK_SIZE, type KvFormat } from '../contract.ts';
import { DeviceError } from '../errors.ts';
import { convert, type FileFormat, type FloatFormat, isQuantized, rowBytes, type WeightFormat } from '../formats.ts';
import { BLOCK_FORMS, blockLayout } from './block-forms.ts';
import { packBlocks } from './pack-blocks.ts';

export const PANEL_ROWS = 8;

/** Elements that are converted at a time, so that what one pass leaves is in the cache for the next. */
const CONVERTED_AT_ONCE = 1 << 14;

/** Bytes of one number in a K/V cache. */
export const KV_ELEMENT_BYTES: Readonly<Record<KvFormat, number>> = { F32: 4, F16: 2, I8: 1 };

/** Bytes in front of the numbers of a head's page: for `I8` the scale of each position, a float. */
export const KV_PAGE_HEADER: Readonly<Record<KvFormat, number>> = { F32: 0, F16: 0, I8: 4 * KV_BLOCK_SIZE };

/** Bytes of one column of a panel of floats. */
export const COLUMN_BYTES = { F32: 4 * PANEL_ROWS, F16: 2 * PANEL_ROWS, BF16: 2 * PANEL_ROWS } as const;

/** Units along a panel: columns rounded up to four, or blocks or super-blocks. */
export function unitsOf(format: WeightFormat, cols: number): number {
  if (!isQuantized(format)) return 4 * Math.ceil(cols / 4);
  return cols / blockLayout(BLOCK_FORMS[format]).unitColumns;
}

export function panelBytes(format: WeightFormat, cols: number): number {
  return unitsOf(format, cols) * unitBytes(format);
}

/** Bytes of one unit of a panel. */
export function unitBytes(format: WeightFormat): number {
  return isQuantized(format) ? blockLayout(BLOCK_FORMS[format]).unitBytes : COLUMN_BYTES[format];
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
  const sourceRowBytes = rowBytes(sourceFormat, cols);
  const bytesPerRow = rowBytes(format, cols);
  const perPanel = panelBytes(format, cols);
  const rows = data.length / sourceRowBytes;
  if (!Number.isInteger(rows)) {
    throw new DeviceError(
      `${sourceFormat} rows of ${cols} must be a multiple of ${sourceRowBytes} bytes; got ${data.length}`,
    );
  }
  const rowsAtOnce = Math.max(1, Math.floor(CONVERTED_AT_ONCE / cols));
  for (let r = 0; r < rows; r += rowsAtOnce) {
    const count = Math.min(rowsAtOnce, rows - r);
    const source = convert(sourceFormat, format, data.subarray(r * sourceRowBytes, (r + count) * sourceRowBytes));
    for (let i = 0; i < count; i++) {
      const row = firstRow + r + i;
      const panel = Math.floor(row / PANEL_ROWS) * perPanel;
      if (isQuantized(format)) packBlocks(format, target, panel, row % PANEL_ROWS, source, i * bytesPerRow, cols);
      else packColumns(format, target, panel, row % PANEL_ROWS, source, i * bytesPerRow, cols);
    }
  }
}

type ElementArray = new (buffer: ArrayBufferLike, offset?: number, length?: number) => Uint16Array | Uint32Array;

/** Puts a row of floats into its lane of a panel: element k of the row becomes element `lane` of column k. */
function packColumns(
  format: FloatFormat,
  target: Uint8Array,
  panel: number,
  lane: number,
  source: Uint8Array,
  from: number,
  cols: number,
): void {
  const Elements: ElementArray = format === 'F32' ? Uint32Array : Uint16Array;
  const size = format === 'F32' ? 4 : 2;
  const start = source.byteOffset + from;
  // Typed arrays begin at whole elements; a row in a file may begin anywhere.
  const row =
    start % size === 0
      ? new Elements(source.buffer, start, cols)
      : new Elements(source.slice(from, from + cols * size).buffer);
  const panels = new Elements(target.buffer, target.byteOffset, target.length / size);
  const place = format === 'F32' ? lane : lane < 4 ? 2 * lane : 2 * (lane - 4) + 1;
  for (let k = 0, to = panel / size + place; k < cols; k++, to += PANEL_ROWS) panels[to] = row[k];
}
