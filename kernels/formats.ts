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

/** Widens rows in file layout to float32, exactly. Returns `[data.length / rowBytes · cols]`. */
export function dequantize(format: WeightFormat, data: Uint8Array): Float32Array {
  const { elements, bytes } = BLOCKS[format];
  if (data.length % bytes !== 0) {
    throw new DeviceError(`${format} data must be a multiple of ${bytes} bytes; got ${data.length}`);
  }
  const blocks = data.length / bytes;
  const out = new Float32Array(blocks * elements);
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  for (let b = 0; b < blocks; b++) decodeBlock[format](view, b * bytes, out, b * elements);
  return out;
}

const decodeBlock: Record<WeightFormat, (view: DataView, at: number, out: Float32Array, to: number) => void> = {
  F32: (view, at, out, to) => {
    out[to] = view.getFloat32(at, true);
  },
  F16: (view, at, out, to) => {
    out[to] = halfToFloat(view.getUint16(at, true));
  },
  BF16: (view, at, out, to) => {
    out[to] = bitsToFloat(view.getUint16(at, true) << 16);
  },
  Q8_0: (view, at, out, to) => {
    const d = halfToFloat(view.getUint16(at, true));
    for (let i = 0; i < 32; i++) out[to + i] = d * view.getInt8(at + 2 + i);
  },
  Q4_0: (view, at, out, to) => {
    const d = halfToFloat(view.getUint16(at, true));
    for (let i = 0; i < 16; i++) {
      const byte = view.getUint8(at + 2 + i);
      out[to + i] = d * ((byte & 15) - 8);
      out[to + 16 + i] = d * ((byte >> 4) - 8);
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
  const blocks = values.length / elements;
  const out = new Uint8Array(blocks * bytes);
  const view = new DataView(out.buffer);
  for (let b = 0; b < blocks; b++) encodeBlock[format](values, b * elements, view, b * bytes);
  return out;
}

const fround = Math.fround;

const encodeBlock: Record<WeightFormat, (x: Float32Array, from: number, view: DataView, at: number) => void> = {
  F32: (x, from, view, at) => view.setFloat32(at, x[from], true),
  F16: (x, from, view, at) => view.setUint16(at, floatToHalf(x[from]), true),
  BF16: (x, from, view, at) => view.setUint16(at, floatToBfloat(x[from]), true),
  Q8_0: (x, from, view, at) => {
    let max = 0;
    for (let i = 0; i < 32; i++) max = Math.max(max, Math.abs(x[from + i]));
    const d = fround(max / 127);
    const inverse = d === 0 ? 0 : fround(1 / d);
    view.setUint16(at, floatToHalf(d), true);
    for (let i = 0; i < 32; i++) view.setInt8(at + 2 + i, roundAwayFromZero(fround(x[from + i] * inverse)));
  },
  Q4_0: (x, from, view, at) => {
    let extreme = 0;
    for (let i = 0; i < 32; i++) if (Math.abs(x[from + i]) > Math.abs(extreme)) extreme = x[from + i];
    const d = fround(extreme / -8);
    const inverse = d === 0 ? 0 : fround(1 / d);
    view.setUint16(at, floatToHalf(d), true);
    const code = (v: number) => Math.min(15, Math.trunc(fround(fround(v * inverse) + 8.5)));
    for (let i = 0; i < 16; i++) view.setUint8(at + 2 + i, code(x[from + i]) | (code(x[from + 16 + i]) << 4));
  },
};

function roundAwayFromZero(x: number): number {
  return x < 0 ? -Math.floor(-x + 0.5) : Math.floor(x + 0.5);
}

const scratch = new DataView(new ArrayBuffer(4));

function bitsToFloat(bits: number): number {
  scratch.setUint32(0, bits);
  return scratch.getFloat32(0);
}

function floatToBits(x: number): number {
  scratch.setFloat32(0, x);
  return scratch.getUint32(0);
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
