/**
 * How the blocks of each quantised format lie in a panel, and what their codes mean. The many formats of files become a
 * few forms here, told apart by four things: bits of a code, kind of scale, columns of a scale, whether there is a min.
 *
 * A block is 32 columns of eight rows, in this order:
 * - scales: eight halves, eight exponents (E8M0), or eight bytes for each scale of the block;
 * - mins, where the form has them: eight halves or eight bytes, like the scales;
 * - codes. Eight bits: 16 vectors; vector 2c+g holds columns 4c … 4c+3 of rows 4g … 4g+3. Four bits: 8 vectors; vector
 *   2p+g holds columns 8p … 8p+3 (low nibbles) and 8p+4 … 8p+7 (high nibbles) of rows 4g … 4g+3.
 *
 * Where scales are bytes, eight blocks make a super-block, which begins with eight floats d and, where there are mins,
 * eight floats −dmin: a block's scale is d · byte, its min −dmin · byte, both rounded to float32 once, as when the
 * format is dequantised. Codes are stored without sign.
 */

import { IQ4_VALUES, MXFP4_VALUES } from '../decode-blocks.ts';
import type { QuantizedWeightFormat } from '../formats.ts';

/** Columns of a block. */
export const BLOCK = 32;
const SUPER_BLOCKS = 8;
const ROWS = 8;

export interface BlockForm {
  readonly bits: 4 | 8;
  /** What four-bit codes stand for, zero point added; the codes themselves where there is no table. */
  readonly table?: Uint8Array;
  /** All codes that are multiplied are below it. */
  readonly limit: 16 | 128 | 256;
  /** An element is scale · (code − zeroPoint), or scale · code + min. */
  readonly zeroPoint: number;
  readonly min: boolean;
  readonly scale: 'half' | 'exponent' | 'byte' | 'signed byte';
  /** Columns that share a scale. */
  readonly scaleColumns: 16 | 32;
}

const plain = { min: false, scale: 'half', scaleColumns: 32 } as const;
const withMin = { ...plain, zeroPoint: 0, min: true } as const;
const tableOf = (values: Int8Array, zeroPoint: number) => Uint8Array.from(values, (value) => value + zeroPoint);

export const BLOCK_FORMS: Readonly<Record<QuantizedWeightFormat, BlockForm>> = {
  Q4_0: { ...plain, bits: 4, limit: 16, zeroPoint: 8 },
  Q8_0: { ...plain, bits: 8, limit: 256, zeroPoint: 127 },
  Q4_1: { ...withMin, bits: 4, limit: 16 },
  Q5_1: { ...withMin, bits: 8, limit: 128 },
  Q4_K: { ...withMin, bits: 4, limit: 16, scale: 'byte' },
  Q5_K: { ...withMin, bits: 8, limit: 128, scale: 'byte' },
  Q6_K: { ...plain, bits: 8, limit: 128, zeroPoint: 32, scale: 'signed byte', scaleColumns: 16 },
  IQ4_NL: { ...plain, bits: 4, limit: 256, zeroPoint: 127, table: tableOf(IQ4_VALUES, 127) },
  MXFP4: { ...plain, bits: 4, limit: 128, zeroPoint: 12, table: tableOf(MXFP4_VALUES, 12), scale: 'exponent' },
};

/** Byte offsets and sizes that follow from a form. */
export interface BlockLayout {
  /** Columns and bytes of a block or, where there are such, a super-block with its header. */
  readonly unitColumns: number;
  readonly unitBytes: number;
  /** Bytes of the floats in front of a super-block. */
  readonly headerBytes: number;
  readonly blockBytes: number;
  /** In a block; scales begin at 0. */
  readonly mins: number;
  readonly codes: number;
}

export function blockLayout({ bits, scale, scaleColumns, min }: BlockForm): BlockLayout {
  const inBytes = scale === 'byte' || scale === 'signed byte';
  const scaleBytes = scale === 'half' ? 2 * ROWS : ROWS * (BLOCK / scaleColumns);
  const codes = scaleBytes + (min ? (inBytes ? ROWS : 2 * ROWS) : 0);
  const blockBytes = codes + (BLOCK * ROWS * bits) / 8;
  const blocks = inBytes ? SUPER_BLOCKS : 1;
  const headerBytes = inBytes ? 4 * ROWS * (min ? 2 : 1) : 0;
  return {
    unitColumns: BLOCK * blocks,
    unitBytes: headerBytes + blocks * blockBytes,
    headerBytes,
    blockBytes,
    mins: scaleBytes,
    codes,
  };
}

/** What Σq of a block of activations is multiplied by, negated: with a min, Σq itself is wanted. */
export function activationZeroPoint({ min, zeroPoint }: BlockForm): number {
  return min ? -1 : zeroPoint;
}
