/** Rows of 8-bit floats or integers with a scale for each block of rows and columns. */

import { dequantize, type FloatFormat, putNearestHalf } from '../../kernels/index.ts';

/** A matrix `[rows, cols]` whose scales lie row-major, `across` of them for each run of `blockRows` rows. */
export interface ScaledLayout {
  readonly rows: number;
  readonly cols: number;
  readonly blockRows: number;
  readonly blockCols: number;
  readonly across: number;
  readonly scaleType: string;
}

/** Scales of a float type as float32. */
export function scaleValues(bytes: Uint8Array, type: string): Float32Array {
  return dequantize(type as FloatFormat, bytes);
}

/**
 * 8-bit floats of four exponent and three mantissa bits, without infinities, times their scales, as F16.
 * Source: Micikevicius et al., "FP8 Formats for Deep Learning", arXiv:2209.05433.
 */
export function fp8Rows(codes: Uint8Array, scaleBytes: Uint8Array, layout: ScaledLayout): Uint8Array {
  const scales = scaleValues(scaleBytes, layout.scaleType);
  const out = new Uint8Array(2 * codes.length);
  forEachElement(layout, scales, (at, scale) => putNearestHalf(out, 2 * at, FP8_VALUES[codes[at]] * scale));
  return out;
}

const FP8_VALUES = Float32Array.from({ length: 256 }, (_, code) => {
  const [sign, exponent, mantissa] = [code & 128 ? -1 : 1, (code >> 3) & 15, code & 7];
  if (exponent === 15 && mantissa === 7) return Number.NaN;
  return sign * (exponent === 0 ? mantissa * 2 ** -9 : (1 + mantissa / 8) * 2 ** (exponent - 7));
});

/** Signed bytes times the scale of their row: Q8_0 where rows are whole blocks of 32, else F16. */
export function integerRows(codes: Uint8Array, scaleBytes: Uint8Array, layout: ScaledLayout): Uint8Array {
  const scales = scaleValues(scaleBytes, layout.scaleType);
  const signed = new Int8Array(codes.buffer, codes.byteOffset, codes.length);
  if (layout.cols % 32 !== 0) {
    const out = new Uint8Array(2 * codes.length);
    forEachElement(layout, scales, (at, scale) => putNearestHalf(out, 2 * at, signed[at] * scale));
    return out;
  }
  const out = new Uint8Array((codes.length / 32) * 34);
  for (let from = 0, to = 0; from < codes.length; from += 32, to += 34) {
    putNearestHalf(out, to, scales[Math.floor(from / layout.cols / layout.blockRows)]);
    out.set(codes.subarray(from, from + 32), to + 2);
  }
  return out;
}

function forEachElement(layout: ScaledLayout, scales: Float32Array, each: (at: number, scale: number) => void): void {
  const { rows, cols, blockRows, blockCols, across } = layout;
  for (let row = 0, at = 0; row < rows; row++) {
    const first = Math.floor(row / blockRows) * across;
    for (let column = 0; column < cols; column++, at++) each(at, scales[first + Math.floor(column / blockCols)]);
  }
}
