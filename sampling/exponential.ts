/**
 * exp and log by IEEE operations alone. The language leaves the accuracy of its own to the engine, and a last bit that
 * differs between two browsers would let the same seed draw another token.
 */

const LN2_HIGH = 0.6931471803691238;
const LN2_LOW = 1.9082149292705877e-10;

/** `HALVES[k]` = 2^-k, made by halving, which is exact. */
const HALVES = new Float64Array(1023).fill(1);
for (let k = 1; k < HALVES.length; k++) HALVES[k] = HALVES[k - 1] / 2;

/** e^x for x ≤ 0; 0 below -708, where doubles lose their precision. */
export function exp(x: number): number {
  if (x < -708) return 0;
  const k = Math.floor(0.5 - x * Math.LOG2E);
  const r = x + k * LN2_HIGH + k * LN2_LOW;
  // The series up to r^12 / 12!; |r| ≤ 0.347, so what is left out is below 2^-52. Taken in pairs, its terms do not wait for
  // each other.
  const r2 = r * r;
  const r4 = r2 * r2;
  const low = 1 / 2 + r * (1 / 6) + (1 / 24 + r * (1 / 120)) * r2;
  const middle = 1 / 720 + r * (1 / 5040) + (1 / 40320 + r * (1 / 362880)) * r2;
  const high = 1 / 3628800 + r * (1 / 39916800) + r2 * (1 / 479001600);
  const sum = low + (middle + high * r4) * r4;
  return HALVES[k] * (1 + r + r2 * sum);
}

/** The natural logarithm of a normal positive number. */
export function log(x: number): number {
  float[0] = x;
  let exponent = ((words[1] >>> 20) & 0x7ff) - 1022;
  words[1] = (words[1] & 0x800f_ffff) | (1022 << 20);
  let mantissa = float[0];
  if (mantissa < Math.SQRT1_2) {
    mantissa *= 2;
    exponent--;
  }
  // log(m) = 2 artanh(s), s = (m - 1) / (m + 1), |s| < 0.172: eleven odd terms reach the last bit.
  const s = (mantissa - 1) / (mantissa + 1);
  const square = s * s;
  let sum = 0;
  for (let odd = 21; odd >= 3; odd -= 2) sum = sum * square + 1 / odd;
  return exponent * LN2_HIGH + (2 * s + (2 * s * square * sum + exponent * LN2_LOW));
}

// Little-endian words of one double; WebAssembly, and with it every machine this runs on, is little-endian.
const float = new Float64Array(1);
const words = new Uint32Array(float.buffer);
