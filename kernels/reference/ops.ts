/**
 * The ops in plain code over float32 arrays: slow, obviously right, and the oracle of every kernel test.
 *
 * Dot products are summed in float32 from the first element to the last, one rounding for each product and each sum.
 * Everything else is computed in double precision and rounded when it is stored.
 */

import type { Activation } from '../contract.ts';
import { KV_BLOCK_SIZE } from '../contract.ts';
import { roundToEven } from './quantized-linear.ts';

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

/** (x − mean(x)) / sqrt(mean((x − mean(x))²) + eps) · weight over `x[at … at + weight.length]`, into the same place. */
export function layerNorm(x: Float32Array, at: number, weight: Float32Array, eps: number): void {
  const n = weight.length;
  let sum = 0;
  for (let i = 0; i < n; i++) sum += x[at + i];
  const mean = sum / n;
  let squares = 0;
  for (let i = 0; i < n; i++) squares += (x[at + i] - mean) ** 2;
  const scale = 1 / Math.sqrt(squares / n + eps);
  for (let i = 0; i < n; i++) x[at + i] = (x[at + i] - mean) * scale * weight[i];
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

export function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

export function activate(activation: Activation, x: number): number {
  switch (activation) {
    case 'silu':
      return x * sigmoid(x);
    case 'quick_gelu':
      return x * sigmoid(1.702 * x);
    case 'gelu':
      return 0.5 * x * (1 + erf(x / Math.SQRT2));
    case 'gelu_tanh':
      return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x)));
    case 'relu':
      return Math.max(x, 0);
  }
}

/**
 * The error function: its power series below 3, where no term is large enough to cost digits that matter, and a continued
 * fraction of 1 − erf beyond. Source: Abramowitz and Stegun, 7.1.6 and 7.1.14.
 */
export function erf(x: number): number {
  if (x < 0) return -erf(-x);
  if (x > 6) return 1;
  if (x < 3) {
    let term = x;
    let sum = x;
    for (let n = 1; term > sum * 1e-17; n++) {
      term *= (2 * x * x) / (2 * n + 1);
      sum += term;
    }
    return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
  }
  let fraction = x;
  for (let n = 60; n > 0; n--) fraction = x + n / 2 / fraction;
  return 1 - Math.exp(-x * x) / (Math.sqrt(Math.PI) * fraction);
}

/** cap · tanh(scale · x / cap), or scale · x without a cap. */
export function scaleAndCap(x: number, scale: number, cap: number | undefined): number {
  return cap === undefined ? scale * x : cap * Math.tanh((scale * x) / cap);
}

/** How experts are chosen: see `route` of the device contract. */
export interface Choosing {
  readonly normalize: boolean;
  readonly scale?: number;
  readonly groups?: { readonly count: number; readonly chosen: number };
}

/** The `count` greatest of the scores, of equals the first, and their shares of the softmax over all of them. */
export function chooseExperts(
  scores: Float32Array,
  count: number,
  { normalize, scale = 1, groups }: Choosing,
): { chosen: number[]; weights: number[] } {
  const byScore = (of: Float32Array) => Array.from(of, (_, i) => i).sort((a, b) => of[b] - of[a] || a - b);
  const perGroup = scores.length / (groups?.count ?? 1);
  const best = Float32Array.from({ length: groups?.count ?? 1 }, (_, g) =>
    scores.subarray(g * perGroup, (g + 1) * perGroup).reduce((a, b) => Math.max(a, b)),
  );
  const eligible = new Set(byScore(best).slice(0, groups?.chosen));
  const chosen = byScore(scores)
    .filter((i) => eligible.has(Math.floor(i / perGroup)))
    .slice(0, count);
  const greatest = scores[chosen[0]];
  const powers = chosen.map((i) => Math.exp(scores[i] - greatest));
  const among = normalize ? powers : Array.from(scores, (score) => Math.exp(score - greatest));
  const total = among.reduce((sum, power) => sum + power, 0);
  return { chosen, weights: powers.map((power) => (power / total) * scale) };
}

/** Keys or values of one layer: `[blocks, kvHeads, KV_BLOCK_SIZE, headDim]`. */
export interface Pages {
  readonly data: Float32Array;
  readonly kvHeads: number;
  readonly headDim: number;
}

const LEAST_SCALED = 1e-30;

/** Numbers rounded to whole multiples, -127 to 127, of 1/127 of the largest; all 0 when that is next to nothing. */
export function roundedToBytes(values: Float32Array): Float32Array {
  const max = values.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
  if (!(max > LEAST_SCALED)) return new Float32Array(values.length);
  const step = fround(max / 127);
  const inverse = fround(1 / step);
  return values.map((x) => roundToEven(fround(x * inverse)) * step);
}

/** Where one position's vector of one K/V head begins. */
export function pageOffset(pages: Pages, blockTable: ArrayLike<number>, position: number, kvHead: number): number {
  const block = blockTable[Math.floor(position / KV_BLOCK_SIZE)];
  return ((block * pages.kvHeads + kvHead) * KV_BLOCK_SIZE + (position % KV_BLOCK_SIZE)) * pages.headDim;
}

/** What is done to the scores of one head: see `attention` of the device contract. */
export interface Scoring {
  readonly scale: number;
  readonly softcap?: number;
  readonly sink?: number;
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
  { scale, softcap, sink }: Scoring,
  out: Float32Array,
  outAt: number,
): void {
  const { headDim } = keys;
  const scores: number[] = [];
  for (let p = first; p <= last; p++) {
    const product = dot(q, qAt, keys.data, pageOffset(keys, blockTable, p, kvHead), headDim);
    scores.push(scaleAndCap(product, scale, softcap));
  }
  const max = Math.max(...scores, sink ?? Number.NEGATIVE_INFINITY);
  const weights = scores.map((score) => Math.exp(score - max));
  const total = weights.reduce((sum, weight) => sum + weight, sink === undefined ? 0 : Math.exp(sink - max));
  for (let d = 0; d < headDim; d++) {
    let sum = 0;
    for (let p = first; p <= last; p++) {
      sum += weights[p - first] * values.data[pageOffset(values, blockTable, p, kvHead) + d];
    }
    out[outAt + d] = sum / total;
  }
}
