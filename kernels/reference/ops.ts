/**
 * The ops in plain code over float32 arrays: slow, obviously right, and the oracle of every kernel test.
 *
 * Dot products are summed in float32 from the first element to the last, one rounding for each product and each sum.
 * Everything else is computed in double precision and rounded when it is stored.
 */

import type { Activation } from '../contract.ts';
import { KV_BLOCK_SIZE } from '../contract.ts';

const fround = Math.fround;

/** Sum over i of a[aAt + i] · b[bAt + i], in order, rounded to float32 after every operation. */
export function dot(a: Float32Array, aAt: number, b: Float32Array, bAt: number, length: number): number {
  let sum = 0;
  for (let i = 0; i < length; i++) sum = fround(sum + fround(a[aAt + i] * b[bAt + i]));
  return sum;
}

/** x[row] · weightᵀ + bias for `x` `[rows, cols]` and `weight` `[outs, cols]`; out is `[rows, outs]`. */
export function linear(
  x: Float32Array,
  weight: Float32Array,
  bias: Float32Array | undefined,
  rows: number,
  cols: number,
): Float32Array {
  const outs = weight.length / cols;
  const out = new Float32Array(rows * outs);
  for (let r = 0; r < rows; r++) {
    for (let o = 0; o < outs; o++) {
      const sum = dot(x, r * cols, weight, o * cols, cols);
      out[r * outs + o] = bias ? sum + bias[o] : sum;
    }
  }
  return out;
}

/** x / sqrt(mean(x²) + eps) · weight over `x[at … at + weight.length]`, into the same place. */
export function rmsNorm(x: Float32Array, at: number, weight: Float32Array, eps: number): void {
  const n = weight.length;
  let squares = 0;
  for (let i = 0; i < n; i++) squares += x[at + i] * x[at + i];
  const scale = 1 / Math.sqrt(squares / n + eps);
  for (let i = 0; i < n; i++) x[at + i] = x[at + i] * scale * weight[i];
}

/** Rotates the first `rotaryDim` elements of a head: pairs (i, i + rotaryDim/2), angle i of `position` in `table`. */
export function rotate(x: Float32Array, at: number, table: Float32Array, position: number, rotaryDim: number): void {
  const half = rotaryDim / 2;
  for (let i = 0; i < half; i++) {
    const cos = table[position * rotaryDim + i];
    const sin = table[position * rotaryDim + half + i];
    const a = x[at + i];
    const b = x[at + half + i];
    x[at + i] = a * cos - b * sin;
    x[at + half + i] = b * cos + a * sin;
  }
}

export function activate(activation: Activation, x: number): number {
  if (activation === 'silu') return x / (1 + Math.exp(-x));
  return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)));
}

/** Keys or values of one layer: `[blocks, kvHeads, KV_BLOCK_SIZE, headDim]`. */
export interface Pages {
  readonly data: Float32Array;
  readonly kvHeads: number;
  readonly headDim: number;
}

/** Where one position's vector of one K/V head begins. */
export function pageOffset(pages: Pages, blockTable: ArrayLike<number>, position: number, kvHead: number): number {
  const block = blockTable[Math.floor(position / KV_BLOCK_SIZE)];
  return ((block * pages.kvHeads + kvHead) * KV_BLOCK_SIZE + (position % KV_BLOCK_SIZE)) * pages.headDim;
}

/** softmax(scale · q · Kᵀ) · V of one query head over positions `first … last`; writes headDim values at `out[outAt]`. */
export function attendOne(
  q: Float32Array,
  qAt: number,
  keys: Pages,
  values: Pages,
  blockTable: ArrayLike<number>,
  kvHead: number,
  first: number,
  last: number,
  scale: number,
  out: Float32Array,
  outAt: number,
): void {
  const { headDim } = keys;
  const scores: number[] = [];
  for (let p = first; p <= last; p++) {
    scores.push(scale * dot(q, qAt, keys.data, pageOffset(keys, blockTable, p, kvHead), headDim));
  }
  const max = Math.max(...scores);
  const weights = scores.map((score) => Math.exp(score - max));
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  for (let d = 0; d < headDim; d++) {
    let sum = 0;
    for (let p = first; p <= last; p++) {
      sum += weights[p - first] * values.data[pageOffset(values, blockTable, p, kvHead) + d];
    }
    out[outAt + d] = sum / total;
  }
}
