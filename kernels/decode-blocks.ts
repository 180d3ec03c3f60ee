/**
 * From blocks in file layout to float32, operation by operation in float32 as ggml computes it (`ggml-quants.c`).
 *
 * | format | elements | bytes | fields in order                                | element i                                    |
 * |--------|----------|-------|------------------------------------------------|----------------------------------------------|
 * | Q4_0   | 32       | 18    | d, qs[16]                                      | d · (q − 8)                                  |
 * | Q4_1   | 32       | 20    | d, m, qs[16]                                   | d · q + m                                    |
 * | Q5_0   | 32       | 22    | d, qh[4], qs[16]                               | d · (q − 16), bit i of qh above the nibble   |
 * | Q5_1   | 32       | 24    | d, m, qh[4], qs[16]                            | d · q + m                                    |
 * | Q8_0   | 32       | 34    | d, qs[32]                                      | d · q                                        |
 * | Q2_K   | 256      | 84    | scales[16], qs[64], d, dmin                    | d · sc · q − dmin · mn, sc and mn for each 16 |
 * | Q3_K   | 256      | 110   | hmask[32], qs[64], scales[12], d               | d · (sc − 32) · (q − 4), sc for each 16      |
 * | Q4_K   | 256      | 144   | d, dmin, scales[12], qs[128]                   | d · sc · q − dmin · mn, sc and mn for each 32 |
 * | Q5_K   | 256      | 176   | d, dmin, scales[12], qh[32], qs[128]           | as Q4_K                                      |
 * | Q6_K   | 256      | 210   | ql[128], qh[64], scales[16], d                 | d · sc · (q − 32), sc for each 16            |
 * | IQ4_NL | 32       | 18    | d, qs[16]                                      | d · {@link IQ4_VALUES}[q]                    |
 * | IQ4_XS | 256      | 136   | d, scales_h[2], scales_l[4], qs[128]           | d · (sc − 32) · IQ4_VALUES[q], sc for each 32 |
 * | MXFP4  | 32       | 17    | e, qs[16]                                      | 2^(e − 128) · {@link MXFP4_VALUES}[q]        |
 *
 * In blocks of 32 the low nibbles are elements 0 … 15 and the high ones elements 16 … 31. `d`, `dmin` and `m` are halves.
 */

import type { QuantizedFormat } from './formats.ts';
import { halfValues } from './half.ts';

type Decode = (data: Uint8Array, out: Float32Array) => void;

const fround = Math.fround;

/** What the nibbles of IQ4_NL and IQ4_XS stand for: denser around zero. */
export const IQ4_VALUES = Int8Array.of(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);

/** Twice the values of E2M1, so that they are whole. */
export const MXFP4_VALUES = Int8Array.of(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);

/** 2^(e − 128): half of an E8M0 scale, exact also where it is subnormal. */
export function halfOfE8m0(e: number): number {
  return fround(2 ** (e - 128));
}

/**
 * Scales and mins of the eight sub-blocks of Q4_K and Q5_K: six bits each, packed in twelve bytes at `at`. Fills
 * `scales` and `mins` `[8]`.
 */
export function unpackScalesAndMins(data: Uint8Array, at: number, scales: Uint8Array, mins: Uint8Array): void {
  for (let s = 0; s < 4; s++) {
    scales[s] = data[at + s] & 63;
    mins[s] = data[at + s + 4] & 63;
    scales[s + 4] = (data[at + s + 8] & 15) | ((data[at + s] >> 6) << 4);
    mins[s + 4] = (data[at + s + 8] >> 4) | ((data[at + s + 4] >> 6) << 4);
  }
}

/** Scales of the sixteen sub-blocks of Q3_K, less 32: six bits each, packed in twelve bytes at `at`. */
export function unpackQ3Scales(data: Uint8Array, at: number, scales: Int8Array): void {
  for (let s = 0; s < 16; s++) {
    const low = s < 8 ? data[at + s] & 15 : data[at + s - 8] >> 4;
    const high = (data[at + 8 + (s % 4)] >> (2 * (s >> 2))) & 3;
    scales[s] = (low | (high << 4)) - 32;
  }
}

/** Codes 0 … 7 of the 256 elements of a Q3_K block at `at`. */
export function unpackQ3Codes(data: Uint8Array, at: number, codes: Uint8Array): void {
  for (let i = 0; i < 256; i++) {
    const run = i >> 5;
    const low = (data[at + 32 + 32 * (i >> 7) + (i & 31)] >> (2 * (run & 3))) & 3;
    codes[i] = low | (((data[at + (i & 31)] >> run) & 1) << 2);
  }
}

/** Codes 0 … 63 of the 256 elements of a Q6_K block at `at`. */
export function unpackQ6Codes(data: Uint8Array, at: number, codes: Uint8Array): void {
  for (let half = 0; half < 2; half++) {
    const ql = at + 64 * half;
    const qh = at + 128 + 32 * half;
    for (let l = 0; l < 32; l++) {
      const high = data[qh + l];
      const to = 128 * half + l;
      codes[to] = (data[ql + l] & 15) | ((high & 3) << 4);
      codes[to + 32] = (data[ql + l + 32] & 15) | (((high >> 2) & 3) << 4);
      codes[to + 64] = (data[ql + l] >> 4) | (((high >> 4) & 3) << 4);
      codes[to + 96] = (data[ql + l + 32] >> 4) | ((high >> 6) << 4);
    }
  }
}

/** Codes of the 256 elements of a Q4_K or Q5_K block, `qs` at `at`; `qh` −1 where there is no fifth bit. */
export function unpackKCodes(data: Uint8Array, qs: number, qh: number, codes: Uint8Array): void {
  for (let run = 0; run < 4; run++) {
    for (let l = 0; l < 32; l++) {
      const byte = data[qs + 32 * run + l];
      const bits = qh < 0 ? 0 : data[qh + l] >> (2 * run);
      codes[64 * run + l] = (byte & 15) | ((bits & 1) << 4);
      codes[64 * run + 32 + l] = (byte >> 4) | ((bits & 2) << 3);
    }
  }
}

/** Codes of the 32 elements of a block of nibbles, `qs` at `at`; `qh` −1 where there is no fifth bit. */
export function unpackNibbles(data: Uint8Array, qs: number, qh: number, codes: Uint8Array): void {
  const bits = qh < 0 ? 0 : data[qh] | (data[qh + 1] << 8) | (data[qh + 2] << 16) | (data[qh + 3] << 24);
  for (let i = 0; i < 16; i++) {
    codes[i] = (data[qs + i] & 15) | (((bits >> i) & 1) << 4);
    codes[i + 16] = (data[qs + i] >> 4) | (((bits >> (i + 16)) & 1) << 4);
  }
}

/** Calls `each` for every block: its place in the file, and that of its first element. */
function forEachBlock(data: Uint8Array, bytes: number, elements: number, each: (at: number, to: number) => void): void {
  for (let at = 0, to = 0; at < data.length; at += bytes, to += elements) each(at, to);
}

const halfAt = (data: Uint8Array, at: number) => halfValues()[data[at] | (data[at + 1] << 8)];

/** Blocks of 32: d · (code − zeroPoint), or d · code + m where there is a min. */
function decodeSmall(bytes: number, fifthBit: boolean, zeroPoint: number | 'min'): Decode {
  const codes = new Uint8Array(32);
  const first = zeroPoint === 'min' ? 4 : 2;
  return (data, out) =>
    forEachBlock(data, bytes, 32, (at, to) => {
      const d = halfAt(data, at);
      unpackNibbles(data, at + first + (fifthBit ? 4 : 0), fifthBit ? at + first : -1, codes);
      if (zeroPoint === 'min') {
        const m = halfAt(data, at + 2);
        for (let i = 0; i < 32; i++) out[to + i] = fround(d * codes[i]) + m;
      } else {
        for (let i = 0; i < 32; i++) out[to + i] = d * (codes[i] - zeroPoint);
      }
    });
}

function decodeTable(bytes: number, first: number, values: Int8Array, scaleAt: (d: Uint8Array, at: number) => number) {
  const codes = new Uint8Array(32);
  return (data: Uint8Array, out: Float32Array) =>
    forEachBlock(data, bytes, 32, (at, to) => {
      const d = scaleAt(data, at);
      unpackNibbles(data, at + first, -1, codes);
      for (let i = 0; i < 32; i++) out[to + i] = d * values[codes[i]];
    });
}

/** Q4_K and Q5_K. */
function decodeWithMins(bytes: number, fifthBit: boolean): Decode {
  const codes = new Uint8Array(256);
  const scales = new Uint8Array(8);
  const mins = new Uint8Array(8);
  return (data, out) =>
    forEachBlock(data, bytes, 256, (at, to) => {
      const d = halfAt(data, at);
      const dmin = halfAt(data, at + 2);
      unpackScalesAndMins(data, at + 4, scales, mins);
      unpackKCodes(data, at + (fifthBit ? 48 : 16), fifthBit ? at + 16 : -1, codes);
      for (let s = 0; s < 8; s++) {
        const scale = fround(d * scales[s]);
        const min = fround(dmin * mins[s]);
        for (let i = 32 * s; i < 32 * s + 32; i++) out[to + i] = fround(scale * codes[i]) - min;
      }
    });
}

export const decodeBlocks: Readonly<Record<QuantizedFormat, Decode>> = {
  Q4_0: decodeSmall(18, false, 8),
  Q4_1: decodeSmall(20, false, 'min'),
  Q5_0: decodeSmall(22, true, 16),
  Q5_1: decodeSmall(24, true, 'min'),
  Q8_0: (data, out) =>
    forEachBlock(data, 34, 32, (at, to) => {
      const d = halfAt(data, at);
      for (let i = 0; i < 32; i++) out[to + i] = d * ((data[at + 2 + i] << 24) >> 24);
    }),
  Q2_K: (data, out) =>
    forEachBlock(data, 84, 256, (at, to) => {
      const d = halfAt(data, at + 80);
      const dmin = halfAt(data, at + 82);
      for (let s = 0; s < 16; s++) {
        const scale = fround(d * (data[at + s] & 15));
        const min = fround(dmin * (data[at + s] >> 4));
        // A run of 128 elements shares 32 bytes, two bits for each quarter of it.
        const shift = 2 * ((s >> 1) & 3);
        const qs = at + 16 + 32 * (s >> 3) + 16 * (s & 1);
        for (let i = 0; i < 16; i++) out[to + 16 * s + i] = fround(scale * ((data[qs + i] >> shift) & 3)) - min;
      }
    }),
  Q3_K: (data, out) => {
    const codes = new Uint8Array(256);
    const scales = new Int8Array(16);
    forEachBlock(data, 110, 256, (at, to) => {
      const d = halfAt(data, at + 108);
      unpackQ3Scales(data, at + 96, scales);
      unpackQ3Codes(data, at, codes);
      for (let i = 0; i < 256; i++) out[to + i] = fround(d * scales[i >> 4]) * (codes[i] - 4);
    });
  },
  Q4_K: decodeWithMins(144, false),
  Q5_K: decodeWithMins(176, true),
  Q6_K: (data, out) => {
    const codes = new Uint8Array(256);
    forEachBlock(data, 210, 256, (at, to) => {
      const d = halfAt(data, at + 208);
      unpackQ6Codes(data, at, codes);
      for (let i = 0; i < 256; i++) {
        const scale = (data[at + 192 + (i >> 4)] << 24) >> 24;
        out[to + i] = fround(d * scale) * (codes[i] - 32);
      }
    });
  },
  IQ4_NL: decodeTable(18, 2, IQ4_VALUES, halfAt),
  IQ4_XS: (data, out) => {
    const codes = new Uint8Array(32);
    forEachBlock(data, 136, 256, (at, to) => {
      const d = halfAt(data, at);
      const high = data[at + 2] | (data[at + 3] << 8);
      for (let s = 0; s < 8; s++) {
        const low = (data[at + 4 + (s >> 1)] >> (4 * (s & 1))) & 15;
        const scale = fround(d * ((low | (((high >> (2 * s)) & 3) << 4)) - 32));
        unpackNibbles(data, at + 8 + 16 * s, -1, codes);
        for (let i = 0; i < 32; i++) out[to + 32 * s + i] = scale * IQ4_VALUES[codes[i]];
      }
    });
  },
  MXFP4: decodeTable(17, 1, MXFP4_VALUES, (data, at) => halfOfE8m0(data[at])),
};
