/** Half precision and bfloat16: bit patterns to float32 and back, rounded to nearest, ties to even. */

const fround = Math.fround;

const floatBits = new Float32Array(1);
const wordBits = new Uint32Array(floatBits.buffer);

function bitsToFloat(bits: number): number {
  wordBits[0] = bits;
  return floatBits[0];
}

function floatToBits(x: number): number {
  floatBits[0] = x;
  return wordBits[0];
}

let halves: Float32Array | undefined;

/** The value of every half-precision bit pattern; made when first needed. */
export function halfValues(): Float32Array {
  halves ??= Float32Array.from({ length: 65536 }, (_, bits) => halfToFloat(bits));
  return halves;
}

/** The value of an IEEE 754 half-precision bit pattern. */
export function halfToFloat(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const mantissa = bits & 1023;
  if (exponent === 0) return sign * mantissa * 2 ** -24;
  if (exponent === 31) return mantissa ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + mantissa / 1024) * 2 ** (exponent - 15);
}

/** The half-precision bit pattern nearest to a float32, ties to even; overflow becomes infinity. */
export function floatToHalf(x: number): number {
  const bits = floatToBits(x);
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude < 0x38800000) {
    // Subnormal half: the addend aligns the last half bit with the last float bit, so the sum rounds to even.
    return sign | (floatToBits(fround(bitsToFloat(magnitude) + 0.5)) - 0x3f000000);
  }
  const odd = (magnitude >>> 13) & 1;
  return sign | ((magnitude - 0x38000000 + 0xfff + odd) >>> 13);
}

/** The bfloat16 bit pattern nearest to a float32, ties to even. */
export function floatToBfloat(x: number): number {
  const bits = floatToBits(x);
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/** Writes a bit pattern of 16 bits, little-endian. */
export function putHalf(out: Uint8Array, at: number, bits: number): void {
  out[at] = bits;
  out[at + 1] = bits >> 8;
}

/** Writes the half that is nearest to a number. */
export function putNearestHalf(out: Uint8Array, at: number, value: number): void {
  putHalf(out, at, floatToHalf(fround(value)));
}
