/**
 * From float32 to blocks in file layout.
 *
 * Q8_0 and Q4_0 follow ggml's rules to the bit. Q8_0: d = max|x| / 127, q = round(x / d), halves away from zero. Q4_0:
 * m = the element of greatest magnitude, d = m / −8, q = min(15, trunc(x / d + 8.5)). Both divide by the unrounded d and
 * store it as a half.
 *
 * The others are our own: where a format has scales and mins, a few scales around (max − min) / most are tried for each
 * run of columns, the mean of squares decides, and codes are chosen anew for the scales as they are stored.
 */

import { IQ4_VALUES, MXFP4_VALUES } from './decode-blocks.ts';
import type { QuantizedWeightFormat } from './formats.ts';
import { floatToHalf, halfToFloat, putHalf } from './half.ts';

type Encode = (x: Float32Array, out: Uint8Array) => void;

const fround = Math.fround;

export const encodeBlocks: Readonly<Record<QuantizedWeightFormat, Encode>> = {
  Q8_0: (x, out) => {
    const bits = new Int32Array(x.buffer, x.byteOffset, x.length);
    for (let from = 0, at = 0; from < x.length; from += 32, at += 34) {
      let max = 0;
      for (let i = 0; i < 32; i++) max = Math.max(max, Math.abs(x[from + i]));
      const d = fround(max / 127);
      const inverse = d === 0 ? 0 : fround(1 / d);
      putHalf(out, at, floatToHalf(d));
      for (let i = 0; i < 32; i++) {
        // Half away from zero. The sign comes from the bits, without a branch: no processor can predict it.
        const magnitude = Math.floor(Math.abs(fround(x[from + i] * inverse)) + 0.5) | 0;
        const sign = bits[from + i] >> 31;
        out[at + 2 + i] = (magnitude ^ sign) - sign;
      }
    }
  },
  Q4_0: (x, out) => {
    for (let from = 0, at = 0; from < x.length; from += 32, at += 18) {
      let extreme = 0;
      for (let i = 0; i < 32; i++) if (Math.abs(x[from + i]) > Math.abs(extreme)) extreme = x[from + i];
      const d = fround(extreme / -8);
      const inverse = d === 0 ? 0 : fround(1 / d);
      putHalf(out, at, floatToHalf(d));
      for (let i = 0; i < 16; i++) {
        const low = Math.min(15, fround(fround(x[from + i] * inverse) + 8.5) | 0);
        const high = Math.min(15, fround(fround(x[from + 16 + i] * inverse) + 8.5) | 0);
        out[at + 2 + i] = low | (high << 4);
      }
    }
  },
  Q4_1: encodeWithHalfMins(20, 15, (out, at, codes) => putNibbles(out, at + 4, codes)),
  Q5_1: encodeWithHalfMins(24, 31, (out, at, codes) => {
    for (let bit = 0; bit < 32; bit++) out[at + 4 + (bit >> 3)] |= (codes[bit] >> 4) << (bit & 7);
    putNibbles(out, at + 8, codes);
  }),
  Q4_K: encodeWithByteMins(144, 15, (out, at, codes) => putRuns(out, at + 16, codes)),
  Q5_K: encodeWithByteMins(176, 31, (out, at, codes) => {
    for (let i = 0; i < 256; i++) out[at + 16 + (i & 31)] |= (codes[i] >> 4) << (i >> 5);
    putRuns(out, at + 48, codes);
  }),
  Q6_K: encodeQ6,
  IQ4_NL: (x, out) => {
    const codes = new Uint8Array(32);
    for (let from = 0, at = 0; from < x.length; from += 32, at += 18) {
      const block = x.subarray(from, from + 32);
      const d = halfToFloat(putScale(out, at, extremeOf(block, 0, 32) / -127));
      for (let i = 0; i < 32; i++) codes[i] = d === 0 ? 8 : nearest(IQ4_VALUES, block[i] / d);
      putNibbles(out, at + 2, codes);
    }
  },
  MXFP4: (x, out) => {
    const codes = new Uint8Array(32);
    for (let from = 0, at = 0; from < x.length; from += 32, at += 17) {
      const block = x.subarray(from, from + 32);
      // The greatest value, 6, takes the two lowest exponents above the scale's: OCP MX specification, section 6.3.
      const most = Math.abs(extremeOf(block, 0, 32));
      const e = most === 0 ? 0 : Math.min(254, Math.max(2, Math.floor(Math.log2(most)) - 2 + 127));
      const scale = 2 ** (e - 128);
      out[at] = e;
      for (let i = 0; i < 32; i++) codes[i] = nearest(MXFP4_VALUES, block[i] / scale);
      putNibbles(out, at + 1, codes);
    }
  },
};

/** The element of greatest magnitude among `count` from `from` on. */
function extremeOf(x: Float32Array, from: number, count: number): number {
  let extreme = 0;
  for (let i = from; i < from + count; i++) if (Math.abs(x[i]) > Math.abs(extreme)) extreme = x[i];
  return extreme;
}

/** Index of the value that is nearest to x. */
function nearest(values: Int8Array, x: number): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (Math.abs(values[i] - x) < Math.abs(values[best] - x)) best = i;
  return best;
}

/** Stores a scale as a half; gives its bits. */
function putScale(out: Uint8Array, at: number, scale: number): number {
  const bits = floatToHalf(fround(scale));
  putHalf(out, at, bits);
  return bits;
}

/** 32 codes: low nibbles the first half, high nibbles the second. */
function putNibbles(out: Uint8Array, at: number, codes: Uint8Array, from = 0): void {
  for (let i = 0; i < 16; i++) out[at + i] = (codes[from + i] & 15) | (codes[from + i + 16] << 4);
}

/** 256 codes: four runs of 32 bytes, low nibbles one sub-block, high nibbles the next. */
function putRuns(out: Uint8Array, at: number, codes: Uint8Array): void {
  for (let run = 0; run < 4; run++) {
    for (let i = 0; i < 32; i++) {
      out[at + 32 * run + i] = (codes[64 * run + i] & 15) | (codes[64 * run + 32 + i] << 4);
    }
  }
}

/** How far scales are tried around the one that just holds the range, in codes. */
const TRIED = [-0.9, -0.5, -0.2, 0, 0.4];

interface Affine {
  scale: number;
  min: number;
}

/**
 * The scale ≥ 0 and min of 32 elements from `from` on that keep them best with codes 0 … `most`: of the scales tried, each
 * with the codes it gives and then the least squares for these codes, the one whose squares are least.
 */
function fitAffine(x: Float32Array, from: number, most: number, mayBePositive: boolean): Affine {
  let least = x[from];
  let greatest = least;
  let x1 = 0;
  let x2 = 0;
  for (let i = from; i < from + 32; i++) {
    const value = x[i];
    if (value < least) least = value;
    if (value > greatest) greatest = value;
    x1 += value;
    x2 += value * value;
  }
  if (!mayBePositive && least > 0) least = 0;
  if (!(greatest > least)) return { scale: 0, min: least };
  let bestScale = (greatest - least) / most;
  let bestMin = least;
  let bestError = Infinity;
  for (const off of TRIED) {
    const inverse = (most + off) / (greatest - least);
    let q1 = 0;
    let q2 = 0;
    let qx = 0;
    for (let i = from; i < from + 32; i++) {
      const q = codeOf((x[i] - least) * inverse, most);
      q1 += q;
      q2 += q * q;
      qx += q * x[i];
    }
    const determinant = 32 * q2 - q1 * q1;
    if (determinant <= 0) continue;
    let scale = (32 * qx - q1 * x1) / determinant;
    let min = (x1 - scale * q1) / 32;
    if (!mayBePositive && min > 0) {
      min = 0;
      scale = qx / q2;
    }
    // Σ (x − scale·q − min)² at the least squares' solution.
    const error = x2 - scale * qx - min * x1;
    if (scale > 0 && error < bestError) {
      bestScale = scale;
      bestMin = min;
      bestError = error;
    }
  }
  return { scale: bestScale, min: bestMin };
}

/** The nearest of 0 … `most`. */
function codeOf(x: number, most: number): number {
  const rounded = x + 0.5;
  if (rounded < 1) return 0;
  return rounded >= most ? most : rounded | 0;
}

function putCodes(x: Float32Array, from: number, { scale, min }: Affine, most: number, codes: Uint8Array, to: number) {
  const inverse = scale === 0 ? 0 : 1 / scale;
  for (let i = 0; i < 32; i++) {
    codes[to + i] = codeOf((x[from + i] - min) * inverse, most);
  }
}

type PutCodes = (out: Uint8Array, at: number, codes: Uint8Array) => void;

/** Q4_1 and Q5_1. */
function encodeWithHalfMins(bytes: number, most: number, put: PutCodes): Encode {
  return (x, out) => {
    const codes = new Uint8Array(32);
    for (let from = 0, at = 0; from < x.length; from += 32, at += bytes) {
      const { scale, min } = fitAffine(x, from, most, true);
      const stored = { scale: halfToFloat(putScale(out, at, scale)), min: halfToFloat(putScale(out, at + 2, min)) };
      putCodes(x, from, stored, most, codes, 0);
      put(out, at, codes);
    }
  };
}

/** Q4_K and Q5_K. */
function encodeWithByteMins(bytes: number, most: number, put: PutCodes): Encode {
  return (x, out) => {
    const codes = new Uint8Array(256);
    const scales = new Uint8Array(8);
    const mins = new Uint8Array(8);
    for (let from = 0, at = 0; from < x.length; from += 256, at += bytes) {
      const fits = Array.from({ length: 8 }, (_, s) => fitAffine(x, from + 32 * s, most, false));
      const d = halfToFloat(putScale(out, at, fits.reduce((m, { scale }) => Math.max(m, scale), 0) / 63));
      const dmin = halfToFloat(putScale(out, at + 2, fits.reduce((m, { min }) => Math.max(m, -min), 0) / 63));
      fits.forEach(({ scale, min }, s) => {
        scales[s] = d === 0 ? 0 : Math.min(63, Math.round(scale / d));
        mins[s] = dmin === 0 ? 0 : Math.min(63, Math.round(-min / dmin));
        putCodes(x, from + 32 * s, { scale: d * scales[s], min: -dmin * mins[s] }, most, codes, 32 * s);
      });
      packScalesAndMins(out, at + 4, scales, mins);
      put(out, at, codes);
    }
  };
}

/** The reverse of `unpackScalesAndMins`. */
function packScalesAndMins(out: Uint8Array, at: number, scales: Uint8Array, mins: Uint8Array): void {
  for (let s = 0; s < 4; s++) {
    out[at + s] = scales[s] | ((scales[s + 4] >> 4) << 6);
    out[at + s + 4] = mins[s] | ((mins[s + 4] >> 4) << 6);
    out[at + s + 8] = (scales[s + 4] & 15) | ((mins[s + 4] & 15) << 4);
  }
}

/** Scales are signed bytes times d; each run's own is its extreme element over −32. */
function encodeQ6(x: Float32Array, out: Uint8Array): void {
  const codes = new Uint8Array(256);
  for (let from = 0, at = 0; from < x.length; from += 256, at += 210) {
    const wanted = Array.from({ length: 16 }, (_, s) => {
      return extremeOf(x, from + 16 * s, 16) / -32;
    });
    const greatest = wanted.reduce((most, scale) => (Math.abs(scale) > Math.abs(most) ? scale : most), 0);
    const d = halfToFloat(putScale(out, at + 208, greatest / -128));
    wanted.forEach((own, s) => {
      const scale = d === 0 ? 0 : Math.max(-128, Math.min(127, Math.round(own / d)));
      out[at + 192 + s] = scale;
      const inverse = scale === 0 ? 0 : 1 / (d * scale);
      for (let i = 16 * s; i < 16 * s + 16; i++) {
        codes[i] = codeOf(x[from + i] * inverse + 32, 63);
      }
    });
    for (let half = 0; half < 2; half++) {
      for (let l = 0; l < 32; l++) {
        const [a, b, c, e] = [0, 32, 64, 96].map((run) => codes[128 * half + run + l]);
        out[at + 64 * half + l] = (a & 15) | ((c & 15) << 4);
        out[at + 64 * half + 32 + l] = (b & 15) | ((e & 15) << 4);
        out[at + 128 + 32 * half + l] = (a >> 4) | ((b >> 4) << 2) | ((c >> 4) << 4) | ((e >> 4) << 6);
      }
    }
  }
}
