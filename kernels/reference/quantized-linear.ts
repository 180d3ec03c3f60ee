/**
 * The integer path of `linear` in plain code: what the wasm kernels compute for block-quantised weights, bit for bit.
 *
 * Activations are rounded to 8 bits in blocks of 32: d = max|x| / 127, q = round(x · (1 / d)), halves to even. Within a
 * block the products are summed exactly; blocks are added up in float32 in order:
 * sum += (Σ code·q · scale) · dActivation, with + Σq · min in the brackets where the format has mins. Q6_K, whose scales
 * hold for 16 columns, adds up each half of a block by itself.
 */

import {
  halfOfE8m0,
  IQ4_VALUES,
  MXFP4_VALUES,
  unpackKCodes,
  unpackNibbles,
  unpackQ6Codes,
  unpackScalesAndMins,
} from '../decode-blocks.ts';
import { blockShape, halfToFloat, type QuantizedWeightFormat } from '../formats.ts';

const fround = Math.fround;
const BLOCK = 32;

/** One row of activations in 8 bits: `codes` `[cols]`, `scales` `[cols / 32]`. */
export interface QuantizedRow {
  readonly codes: Int8Array;
  readonly scales: Float32Array;
}

export function quantizeActivationRow(x: Float32Array): QuantizedRow {
  const blocks = x.length / BLOCK;
  const codes = new Int8Array(x.length);
  const scales = new Float32Array(blocks);
  for (let b = 0; b < blocks; b++) {
    const block = x.subarray(b * BLOCK, (b + 1) * BLOCK);
    const max = block.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    if (max < fround(1e-30)) continue;
    scales[b] = max / 127;
    const inverse = fround(1 / scales[b]);
    block.forEach((value, i) => {
      codes[b * BLOCK + i] = roundToEven(fround(value * inverse));
    });
  }
  return { codes, scales };
}

/** x · weightᵀ for one row of x; `weight` holds rows of blocks in file layout. */
export function linearQuantized(x: Float32Array, weight: Uint8Array, format: QuantizedWeightFormat): Float32Array {
  const { elements, bytes } = blockShape(format);
  const row = quantizeActivationRow(x);
  const rowBlocks = x.length / elements;
  const outs = weight.length / (rowBlocks * bytes);
  return Float32Array.from({ length: outs }, (_, o) => {
    let sum = 0;
    for (let b = 0; b < rowBlocks; b++) {
      const at = (o * rowBlocks + b) * bytes;
      for (const run of runsOf[format](weight.subarray(at, at + bytes))) {
        const first = b * elements + run.first;
        let exact = 0;
        let activations = 0;
        run.codes.forEach((code, i) => {
          exact += code * row.codes[first + i];
          activations += row.codes[first + i];
        });
        let scaled = fround(exact * run.scale);
        if (run.min !== undefined) scaled = fround(scaled + fround(activations * run.min));
        sum = fround(sum + fround(scaled * row.scales[Math.floor(first / BLOCK)]));
      }
    }
    return sum;
  });
}

/** Columns of a block that share a scale: an element is scale · code, or scale · code + min. */
interface Run {
  /** First column in the block. */
  readonly first: number;
  readonly scale: number;
  readonly min?: number;
  readonly codes: readonly number[] | Uint8Array | Int8Array;
}

const half = (block: Uint8Array, at: number) => halfToFloat(block[at] | (block[at + 1] << 8));

function nibbles(block: Uint8Array, qs: number, qh = -1): number[] {
  const codes = new Uint8Array(32);
  unpackNibbles(block, qs, qh, codes);
  return [...codes];
}

/** Q4_K and Q5_K. */
function runsWithMins(block: Uint8Array, qs: number, qh: number): Run[] {
  const [codes, scales, mins] = [new Uint8Array(256), new Uint8Array(8), new Uint8Array(8)];
  unpackKCodes(block, qs, qh, codes);
  unpackScalesAndMins(block, 4, scales, mins);
  return Array.from({ length: 8 }, (_, s) => ({
    first: 32 * s,
    scale: fround(half(block, 0) * scales[s]),
    min: -fround(half(block, 2) * mins[s]),
    codes: codes.subarray(32 * s, 32 * s + 32),
  }));
}

const runsOf: Readonly<Record<QuantizedWeightFormat, (block: Uint8Array) => Run[]>> = {
  Q8_0: (block) => [{ first: 0, scale: half(block, 0), codes: Int8Array.from(block.subarray(2)) }],
  Q4_0: (block) => [{ first: 0, scale: half(block, 0), codes: nibbles(block, 2).map((q) => q - 8) }],
  Q4_1: (block) => [{ first: 0, scale: half(block, 0), min: half(block, 2), codes: nibbles(block, 4) }],
  Q5_1: (block) => [{ first: 0, scale: half(block, 0), min: half(block, 2), codes: nibbles(block, 8, 4) }],
  Q4_K: (block) => runsWithMins(block, 16, -1),
  Q5_K: (block) => runsWithMins(block, 48, 16),
  Q6_K: (block) => {
    const codes = new Uint8Array(256);
    unpackQ6Codes(block, 0, codes);
    return Array.from({ length: 16 }, (_, s) => ({
      first: 16 * s,
      scale: fround(half(block, 208) * ((block[192 + s] << 24) >> 24)),
      codes: Array.from(codes.subarray(16 * s, 16 * s + 16), (q) => q - 32),
    }));
  },
  IQ4_NL: (block) => [{ first: 0, scale: half(block, 0), codes: nibbles(block, 2).map((q) => IQ4_VALUES[q]) }],
  MXFP4: (block) => [{ first: 0, scale: halfOfE8m0(block[0]), codes: nibbles(block, 1).map((q) => MXFP4_VALUES[q]) }],
};

export function roundToEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  if (rest !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
}
