/**
 * How weights lie in GPU buffers: rows of whole vectors of 16 bytes, so that one load brings a thread its part of a block.
 *
 * | format    | a row                                                                        |
 * |-----------|------------------------------------------------------------------------------|
 * | F32       | floats, padded with zeros to 32 columns                                      |
 * | F16, BF16 | halves, padded with zeros to 32 columns                                      |
 * | Q8_0      | two vectors of signed bytes a block, then a half-precision scale a block     |
 * | Q4_0      | one vector of nibbles a block as in the file, then a half-precision scale a block |
 * | others    | codes, then scales and mins: see `pack-affine.ts`                            |
 */

import { blockShape, convert, type FileFormat, isQuantized, rowBytes, type WeightFormat } from '../formats.ts';
import { AFFINE_LAYOUTS, type AffineFormat, packAffineRow } from './pack-affine.ts';

/** True for formats whose scales and mins a shader of their own reads. */
export function isAffine(format: WeightFormat): format is AffineFormat {
  return format in AFFINE_LAYOUTS;
}

/** Columns that the kernels take at a time, whatever the format. */
export const BLOCK = 32;
/** Columns of float weights that linear takes together. */
const FLOAT_BLOCK = 8;
/** Segments of a wide matrix; see `shaders/linear-group.wgsl`. */
const MAX_SEGMENTS = 32;
const VECTOR_BYTES = 16;
const SCALE_BYTES = 2;

export function blocksOf(cols: number): number {
  return Math.ceil(cols / BLOCK);
}

/**
 * How linear sums a row: blocks of 32 columns for quantised weights, of 8 for floats, and the segments that they are dealt
 * to, the least power of two that gives every block its own, up to 32.
 */
export function sumShape(format: WeightFormat, cols: number): { readonly blocks: number; readonly segments: number } {
  const blocks = isQuantized(format) ? blocksOf(cols) : blocksOf(cols) * (BLOCK / FLOAT_BLOCK);
  return { blocks, segments: Math.min(MAX_SEGMENTS, 2 ** Math.ceil(Math.log2(blocks))) };
}

/** Vectors of 16 bytes in a row. */
export function rowVectors(format: WeightFormat, cols: number): number {
  const blocks = blocksOf(cols);
  if (isAffine(format)) {
    const { codeVectors, factorVectors } = AFFINE_LAYOUTS[format];
    return codeVectors * blocks + factorVectors(blocks);
  }
  if (!isQuantized(format)) return (blocks * BLOCK * blockShape(format).bytes) / VECTOR_BYTES;
  return (blocks * codeBytes(format)) / VECTOR_BYTES + Math.ceil((blocks * SCALE_BYTES) / VECTOR_BYTES);
}

/** Rows in file layout, converted to `format` where they are not of it, as they lie in the buffer. */
export function packRows(
  format: WeightFormat,
  cols: number,
  data: Uint8Array,
  sourceFormat: FileFormat,
): Uint8Array<ArrayBuffer> {
  const source = convert(sourceFormat, format, data);
  const from = rowBytes(format, cols);
  const to = VECTOR_BYTES * rowVectors(format, cols);
  const rows = source.length / from;
  const target = new Uint8Array(rows * to);
  for (let r = 0; r < rows; r++) {
    const row = source.subarray(r * from, (r + 1) * from);
    if (isAffine(format)) packAffineRow(format, target, r * to, row);
    else if (isQuantized(format)) packBlocks(target, r * to, row, codeBytes(format));
    else target.set(row, r * to);
  }
  return target;
}

function codeBytes(format: WeightFormat): number {
  return blockShape(format).bytes - SCALE_BYTES;
}

function packBlocks(target: Uint8Array, at: number, row: Uint8Array, codes: number): void {
  const bytes = codes + SCALE_BYTES;
  const blocks = row.length / bytes;
  for (let b = 0; b < blocks; b++) {
    target.set(row.subarray(b * bytes + SCALE_BYTES, (b + 1) * bytes), at + b * codes);
    target.set(row.subarray(b * bytes, b * bytes + SCALE_BYTES), at + blocks * codes + b * SCALE_BYTES);
  }
}
