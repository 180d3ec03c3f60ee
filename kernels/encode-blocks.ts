/**
 * From float32 to blocks in file layout, by the rules of ggml.
 *
 * Q8_0: d = max|x| / 127, q = round(x / d), halves away from zero. Q4_0: m = the element of greatest magnitude,
 * d = m / −8, q = min(15, trunc(x / d + 8.5)). Both divide by the unrounded d and store it as a half.
 */

import { floatToHalf, putHalf } from './half.ts';

const fround = Math.fround;

export const encodeBlocks: Readonly<Record<'Q8_0' | 'Q4_0', (x: Float32Array, out: Uint8Array) => void>> = {
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
};
