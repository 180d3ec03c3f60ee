/** Conversions between block formats that keep every value: the target holds the same scales and wider codes. */

import { IQ4_VALUES, unpackNibbles, unpackQ3Codes, unpackQ3Scales } from './decode-blocks.ts';

type Recode = (data: Uint8Array) => Uint8Array;

/** By `from to`. */
export const recodeBlocks: Readonly<Record<string, Recode | undefined>> = {
  'Q5_0 Q8_0': (data) => toBytes(data, 22, 6, 2, (code) => code - 16),
  'IQ4_NL Q8_0': (data) => toBytes(data, 18, 2, -1, (code) => IQ4_VALUES[code]),
  'Q3_K Q6_K': q3ToQ6,
};

/** Blocks of 32 with a half as scale and nibbles at `qs`, perhaps with a fifth bit at `qh`, as Q8_0. */
function toBytes(data: Uint8Array, bytes: number, qs: number, qh: number, value: (code: number) => number): Uint8Array {
  const codes = new Uint8Array(32);
  const out = new Uint8Array((data.length / bytes) * 34);
  for (let at = 0, to = 0; at < data.length; at += bytes, to += 34) {
    out[to] = data[at];
    out[to + 1] = data[at + 1];
    unpackNibbles(data, at + qs, qh < 0 ? -1 : at + qh, codes);
    for (let i = 0; i < 32; i++) out[to + 2 + i] = value(codes[i]);
  }
  return out;
}

function q3ToQ6(data: Uint8Array): Uint8Array {
  const codes = new Uint8Array(256);
  const scales = new Int8Array(16);
  const out = new Uint8Array((data.length / 110) * 210);
  for (let at = 0, to = 0; at < data.length; at += 110, to += 210) {
    unpackQ3Scales(data, at + 96, scales);
    unpackQ3Codes(data, at, codes);
    for (let half = 0; half < 2; half++) {
      for (let l = 0; l < 32; l++) {
        // Q3_K's codes are centred on 4, those of Q6_K on 32.
        const code = (run: number) => codes[128 * half + 32 * run + l] + 28;
        out[to + 64 * half + l] = (code(0) & 15) | ((code(2) & 15) << 4);
        out[to + 64 * half + 32 + l] = (code(1) & 15) | ((code(3) & 15) << 4);
        out[to + 128 + 32 * half + l] =
          (code(0) >> 4) | ((code(1) >> 4) << 2) | ((code(2) >> 4) << 4) | ((code(3) >> 4) << 6);
      }
    }
    out.set(new Uint8Array(scales.buffer), to + 192);
    out[to + 208] = data[at + 108];
    out[to + 209] = data[at + 109];
  }
  return out;
}
