/**
 * Weight formats: how numbers lie in files, and the plain conversions between them.
 *
 * A row of `cols` elements is a run of blocks, back to back, little-endian. Layouts are those of ggml
 * (`ggml-common.h`): `d` is an IEEE half-precision scale.
 *
 * | format | block | bytes | element i of the block                                                   |
 * |--------|-------|-------|--------------------------------------------------------------------------|
 * | F32    | 1     | 4     | itself                                                                   |
 * | F16    | 1     | 2     | itself                                                                   |
 * | BF16   | 1     | 2     | upper half of a float32                                                  |
 * | Q8_0   | 32    | 34    | d · qs[i], qs signed bytes                                               |
 * | Q4_0   | 32    | 18    | d · (q − 8), q the low nibble of qs[i] for i < 16, else the high one of qs[i−16] |
 */

import { DeviceError } from './errors.ts';

export type WeightFormat = 'F32' | 'F16' | 'BF16' | 'Q8_0' | 'Q4_0';

/** Elements and bytes of one block of a format. */
export interface BlockShape {
  readonly elements: number;
  readonly bytes: number;
}

const BLOCKS: Readonly<Record<WeightFormat, BlockShape>> = {
  F32: { elements: 1, bytes: 4 },
  F16: { elements: 1, bytes: 2 },
  BF16: { elements: 1, bytes: 2 },
  Q8_0: { elements: 32, bytes: 34 },
  Q4_0: { elements: 32, bytes: 18 },
};

export const WEIGHT_FORMATS = Object.keys(BLOCKS) as readonly WeightFormat[];

export function blockShape(format: WeightFormat): BlockShape {
  return BLOCKS[format];
}

/** True for formats whose kernels multiply integer codes by 8-bit activations. */
export function isQuantized(format: WeightFormat): boolean {
  return BLOCKS[format].elements > 1;
}

/**
 * Bytes of a row of `cols` elements in its file layout.
 * @throws DeviceError when `cols` is not a whole number of blocks.
 */
export function rowBytes(format: WeightFormat, cols: number): number {
  const { elements, bytes } = BLOCKS[format];
  if (cols % elements !== 0) {
    throw new DeviceError(`${format} needs rows of a multiple of ${elements} elements; this row has ${cols}`);
  }
  return (cols / elements) * bytes;
}

/** Widens rows in file layout to float32, exactly. Returns `[data.length / bytes · elements]` of the format's block. */
export function dequantize(format: WeightFormat, data: Uint8Array): Float32Array {
  const { elements, bytes } = BLOCKS[format];
  if (data.length % bytes !== 0) {
    throw new DeviceError(`${format} data must be a multiple of ${bytes} bytes; got ${data.length}`);
  }
  const out = new Float32Array((data.length / bytes) * elements);
  decode[format](data, out);
  return out;
}

const decode: Record<WeightFormat, (data: Uint8Array, out: Float32Array) => void> = {
  F32: (data, out) => new Uint8Array(out.buffer).set(data),
  F16: (data, out) => {
    const values = halfValues();
    for (let i = 0; i < out.length; i++) out[i] = values[data[2 * i] | (data[2 * i + 1] << 8)];
  },
  BF16: (data, out) => {
    const bits = new Uint32Array(out.buffer);
    for (let i = 0; i < bits.length; i++) bits[i] = (data[2 * i] << 16) | (data[2 * i + 1] << 24);
  },
  Q8_0: (data, out) => {
    for (let at = 0, to = 0; at < data.length; at += 34, to += 32) {
      const d = halfToFloat(data[at] | (data[at + 1] << 8));
      for (let i = 0; i < 32; i++) out[to + i] = d * ((data[at + 2 + i] << 24) >> 24);
    }
  },
  Q4_0: (data, out) => {
    for (let at = 0, to = 0; at < data.length; at += 18, to += 32) {
      const d = halfToFloat(data[at] | (data[at + 1] << 8));
      for (let i = 0; i < 16; i++) {
        const byte = data[at + 2 + i];
        out[to + i] = d * ((byte & 15) - 8);
        out[to + 16 + i] = d * ((byte >> 4) - 8);
      }
    }
  },
};

/**
 * Rounds float32 rows to a format's file layout.
 *
 * Q8_0: d = max|x| / 127, q = round(x / d), halves away from zero. Q4_0: m = the element of greatest magnitude,
 * d = m / −8, q = min(15, trunc(x / d + 8.5)). Both divide by the unrounded d and store it as a half, as ggml does.
 */
export function quantize(format: WeightFormat, values: Float32Array): Uint8Array {
  const { elements, bytes } = BLOCKS[format];
  if (values.length % elements !== 0) {
    throw new DeviceError(`${format} needs a multiple of ${elements} values; got ${values.length}`);
  }
  const out = new Uint8Array((values.length / elements) * bytes);
  encode[format](values, out);
  return out;
}

const fround = Math.fround;

const encode: Record<WeightFormat, (x: Float32Array, out: Uint8Array) => void> = {
  F32: (x, out) => out.set(new Uint8Array(x.buffer, x.byteOffset, x.byteLength)),
  F16: (x, out) => {
    for (let i = 0; i < x.length; i++) putHalf(out, 2 * i, floatToHalf(x[i]));
  },
  BF16: (x, out) => {
    for (let i = 0; i < x.length; i++) putHalf(out, 2 * i, floatToBfloat(x[i]));
  },
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

function putHalf(out: Uint8Array, at: number, bits: number): void {
  out[at] = bits;
  out[at + 1] = bits >> 8;
}

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
function halfValues(): Float32Array {
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
