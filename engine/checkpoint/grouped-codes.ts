/** Rows of 4-bit codes with a scale and a zero point for each group of columns, from the layouts that tools write. */

import { putNearestHalf } from '../../kernels/index.ts';
import { CheckpointError } from '../errors.ts';
import { show } from './json.ts';
import { scaleValues } from './scaled-rows.ts';

/** Sizes of a matrix `[rows, cols]`, and what it is to become. */
export interface GroupLayout {
  readonly file: string;
  readonly name: string;
  readonly rows: number;
  readonly cols: number;
  readonly groups: number;
  readonly scaleType: string;
  /** All zero points are 8. */
  readonly symmetric: boolean;
  readonly format: 'Q4_0' | 'Q4_1' | 'F16';
}

/** A matrix row by row. */
export interface GroupedCodes {
  /** Fills the codes 0 … 15 of a row, `[cols]`. */
  readRow(row: number, codes: Uint8Array): void;
  scale(row: number, group: number): number;
  zeroPoint(row: number, group: number): number;
  groupOf(column: number): number;
}

/** The place in a word of AWQ's of each of eight neighbouring columns. */
const AWQ_ORDER = [0, 4, 1, 5, 2, 6, 3, 7];

const BLOCK = 32;

/** The group of a column: columns are in the order of the groups, unless it is given for each. */
function groupsOf({ file, name, cols, groups }: GroupLayout, given?: Uint8Array): (column: number) => number {
  const size = cols / groups;
  if (given === undefined) return (column) => Math.floor(column / size);
  const order = words(given);
  if (order.every((group) => group >= 0 && group < groups)) return (column) => order[column];
  throw new CheckpointError(`${file}: g_idx of ${show(name)} names a group beyond the ${groups} there are`);
}

function words(bytes: Uint8Array): Int32Array {
  return new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4);
}

/** @param offset  what is added to zero points as they are stored */
export function gptqCodes(
  layout: GroupLayout,
  pieces: { codes: Uint8Array; zeros: Uint8Array; scales: Uint8Array; order?: Uint8Array },
  offset: number,
): GroupedCodes {
  const { rows, cols } = layout;
  const [codes, zeros] = [words(pieces.codes), words(pieces.zeros)];
  const scales = scaleValues(pieces.scales, layout.scaleType);
  return {
    readRow(row, into) {
      for (let i = 0; i < cols; i++) into[i] = (codes[(i >> 3) * rows + row] >>> (4 * (i & 7))) & 15;
    },
    scale: (row, group) => scales[group * rows + row],
    zeroPoint: (row, group) => ((zeros[group * (rows / 8) + (row >> 3)] >>> (4 * (row & 7))) & 15) + offset,
    groupOf: groupsOf(layout, pieces.order),
  };
}

export function awqCodes(
  layout: GroupLayout,
  pieces: { codes: Uint8Array; zeros: Uint8Array; scales: Uint8Array },
): GroupedCodes {
  const { rows, cols } = layout;
  const [codes, zeros] = [words(pieces.codes), words(pieces.zeros)];
  const scales = scaleValues(pieces.scales, layout.scaleType);
  const shift = (row: number) => 4 * AWQ_ORDER[row & 7];
  return {
    readRow(row, into) {
      for (let i = 0; i < cols; i++) into[i] = (codes[i * (rows / 8) + (row >> 3)] >>> shift(row)) & 15;
    },
    scale: (row, group) => scales[group * rows + row],
    zeroPoint: (row, group) => (zeros[group * (rows / 8) + (row >> 3)] >>> shift(row)) & 15,
    groupOf: groupsOf(layout),
  };
}

/** compressed-tensors: signed codes with 8 added, eight columns a word; zero points likewise, eight rows a word. */
export function packedCodes(
  layout: GroupLayout,
  pieces: { codes: Uint8Array; scales: Uint8Array; zeros?: Uint8Array; order?: Uint8Array },
): GroupedCodes {
  const { cols, groups } = layout;
  const codes = words(pieces.codes);
  const scales = scaleValues(pieces.scales, layout.scaleType);
  const zeros = pieces.zeros && words(pieces.zeros);
  return {
    readRow(row, into) {
      for (let i = 0; i < cols; i++) into[i] = (codes[(row * cols + i) >> 3] >>> (4 * (i & 7))) & 15;
    },
    scale: (row, group) => scales[row * groups + group],
    zeroPoint: (row, group) => (zeros ? (zeros[(row >> 3) * groups + group] >>> (4 * (row & 7))) & 15 : 8),
    groupOf: groupsOf(layout, pieces.order),
  };
}

/** @throws CheckpointError when a symmetric matrix has another zero point than 8 */
export function groupRows(layout: GroupLayout, matrix: GroupedCodes): Uint8Array {
  const { rows, cols, format } = layout;
  const codes = new Uint8Array(cols);
  const rowBytes = format === 'F16' ? 2 * cols : (cols / BLOCK) * (format === 'Q4_0' ? 18 : 20);
  const out = new Uint8Array(rows * rowBytes);
  for (let row = 0; row < rows; row++) {
    matrix.readRow(row, codes);
    if (format === 'F16') putHalves(out, row * rowBytes, row, codes, matrix);
    else putBlocks(out, row * rowBytes, row, codes, matrix, layout);
  }
  return out;
}

function putHalves(out: Uint8Array, at: number, row: number, codes: Uint8Array, matrix: GroupedCodes): void {
  codes.forEach((code, column) => {
    const group = matrix.groupOf(column);
    putNearestHalf(out, at + 2 * column, matrix.scale(row, group) * (code - matrix.zeroPoint(row, group)));
  });
}

function putBlocks(
  out: Uint8Array,
  at: number,
  row: number,
  codes: Uint8Array,
  matrix: GroupedCodes,
  { format, file, name }: GroupLayout,
): void {
  let to = at;
  for (let first = 0; first < codes.length; first += BLOCK) {
    const group = matrix.groupOf(first);
    const scale = matrix.scale(row, group);
    const zero = matrix.zeroPoint(row, group);
    putNearestHalf(out, to, scale);
    to += 2;
    if (format === 'Q4_1') {
      putNearestHalf(out, to, -scale * zero);
      to += 2;
    } else if (zero !== 8) {
      throw new CheckpointError(`${file}: ${show(name)} is said to be symmetric, but has a zero point of ${zero}`);
    }
    for (let i = 0; i < BLOCK / 2; i++) out[to + i] = codes[first + i] | (codes[first + i + 16] << 4);
    to += BLOCK / 2;
  }
}
