/**
 * Weight formats: how numbers lie in files, and the conversions between them.
 *
 * A row of `cols` elements is a run of blocks, back to back, little-endian. F32, F16 and BF16 (the upper half of a
 * float32) have blocks of one element; the layouts of the others are in `decode-blocks.ts`.
 */

import { decodeBlocks } from './decode-blocks.ts';
import { encodeBlocks } from './encode-blocks.ts';
import { DeviceError } from './errors.ts';
import { floatToBfloat, floatToHalf, halfValues, putHalf } from './half.ts';
import { recodeBlocks } from './recode-blocks.ts';

export { floatToBfloat, floatToHalf, halfToFloat, putNearestHalf } from './half.ts';

export type FloatFormat = 'F32' | 'F16' | 'BF16';

/** Formats of blocks with integer codes and scales. */
export type QuantizedFormat =
  | 'Q8_0'
  | 'Q4_0'
  | 'Q4_1'
  | 'Q5_0'
  | 'Q5_1'
  | 'Q2_K'
  | 'Q3_K'
  | 'Q4_K'
  | 'Q5_K'
  | 'Q6_K'
  | 'IQ4_NL'
  | 'IQ4_XS'
  | 'MXFP4';

/** Formats that files may have. */
export type FileFormat = FloatFormat | QuantizedFormat;

/** Quantised formats that kernels run on. */
export type QuantizedWeightFormat = Exclude<QuantizedFormat, 'Q5_0' | 'Q2_K' | 'Q3_K' | 'IQ4_XS'>;

/** Formats that kernels run on; weights of the others are converted as they are loaded. */
export type WeightFormat = FloatFormat | QuantizedWeightFormat;

/** Elements and bytes of one block of a format. */
export interface BlockShape {
  readonly elements: number;
  readonly bytes: number;
}

const BLOCKS: Readonly<Record<FileFormat, BlockShape>> = {
  F32: { elements: 1, bytes: 4 },
  F16: { elements: 1, bytes: 2 },
  BF16: { elements: 1, bytes: 2 },
  Q8_0: { elements: 32, bytes: 34 },
  Q4_0: { elements: 32, bytes: 18 },
  Q4_1: { elements: 32, bytes: 20 },
  Q5_0: { elements: 32, bytes: 22 },
  Q5_1: { elements: 32, bytes: 24 },
  Q2_K: { elements: 256, bytes: 84 },
  Q3_K: { elements: 256, bytes: 110 },
  Q4_K: { elements: 256, bytes: 144 },
  Q5_K: { elements: 256, bytes: 176 },
  Q6_K: { elements: 256, bytes: 210 },
  IQ4_NL: { elements: 32, bytes: 18 },
  IQ4_XS: { elements: 256, bytes: 136 },
  MXFP4: { elements: 32, bytes: 17 },
};

export const FILE_FORMATS = Object.keys(BLOCKS) as readonly FileFormat[];

/**
 * The format that kernels take a file's weights in: itself, or one that holds at least as much. Q5_0 and Q3_K keep every
 * value; Q2_K and IQ4_XS, which have more scales or finer ones than Q8_0, are rounded.
 */
const KERNEL_FORMATS: Readonly<Record<FileFormat, WeightFormat>> = {
  F32: 'F32',
  F16: 'F16',
  BF16: 'BF16',
  Q8_0: 'Q8_0',
  Q4_0: 'Q4_0',
  Q4_1: 'Q4_1',
  Q5_0: 'Q8_0',
  Q5_1: 'Q5_1',
  Q2_K: 'Q8_0',
  Q3_K: 'Q6_K',
  Q4_K: 'Q4_K',
  Q5_K: 'Q5_K',
  Q6_K: 'Q6_K',
  IQ4_NL: 'IQ4_NL',
  IQ4_XS: 'Q8_0',
  MXFP4: 'MXFP4',
};

export const WEIGHT_FORMATS = FILE_FORMATS.filter((format) => KERNEL_FORMATS[format] === format) as WeightFormat[];

export function kernelFormat(format: FileFormat): WeightFormat {
  return KERNEL_FORMATS[format];
}

export function blockShape(format: FileFormat): BlockShape {
  return BLOCKS[format];
}

/** True for formats whose kernels multiply integer codes by 8-bit activations. */
export function isQuantized<F extends FileFormat>(format: F): format is Exclude<F, FloatFormat> {
  return BLOCKS[format].elements > 1;
}

/**
 * Bytes of a row of `cols` elements in its file layout.
 * @throws DeviceError when `cols` is not a whole number of blocks.
 */
export function rowBytes(format: FileFormat, cols: number): number {
  const { elements, bytes } = BLOCKS[format];
  if (cols % elements !== 0) {
    throw new DeviceError(`${format} needs rows of a multiple of ${elements} elements; this row has ${cols}`);
  }
  return (cols / elements) * bytes;
}

/** Widens rows in file layout to float32, exactly. Returns `[data.length / bytes · elements]` of the format's block. */
export function dequantize(format: FileFormat, data: Uint8Array): Float32Array {
  const { elements, bytes } = BLOCKS[format];
  if (data.length % bytes !== 0) {
    throw new DeviceError(`${format} data must be a multiple of ${bytes} bytes; got ${data.length}`);
  }
  const out = new Float32Array((data.length / bytes) * elements);
  const decode = isQuantized(format) ? decodeBlocks[format] : decodeFloats[format];
  decode(data, out);
  return out;
}

const decodeFloats: Readonly<Record<FloatFormat, (data: Uint8Array, out: Float32Array) => void>> = {
  F32: (data, out) => new Uint8Array(out.buffer).set(data),
  F16: (data, out) => {
    const values = halfValues();
    const halves = halvesOf(data);
    for (let i = 0; i < out.length; i++) out[i] = values[halves[i]];
  },
  BF16: (data, out) => {
    const bits = new Uint32Array(out.buffer);
    const halves = halvesOf(data);
    for (let i = 0; i < bits.length; i++) bits[i] = halves[i] << 16;
  },
};

/** Little-endian words of two bytes. Their bytes may begin anywhere, typed arrays may not. */
function halvesOf(data: Uint8Array): Uint16Array {
  const aligned = data.byteOffset % 2 === 0 ? data : data.slice();
  return new Uint16Array(aligned.buffer, aligned.byteOffset, data.length / 2);
}

/** Rounds float32 rows to a format's file layout. */
export function quantize(format: WeightFormat, values: Float32Array): Uint8Array {
  const { elements, bytes } = BLOCKS[format];
  if (values.length % elements !== 0) {
    throw new DeviceError(`${format} needs a multiple of ${elements} values; got ${values.length}`);
  }
  const out = new Uint8Array((values.length / elements) * bytes);
  const encode = isQuantized(format) ? encodeBlocks[format] : encodeFloats[format];
  encode(values, out);
  return out;
}

const encodeFloats: Readonly<Record<FloatFormat, (x: Float32Array, out: Uint8Array) => void>> = {
  F32: (x, out) => out.set(new Uint8Array(x.buffer, x.byteOffset, x.byteLength)),
  F16: (x, out) => {
    for (let i = 0; i < x.length; i++) putHalf(out, 2 * i, floatToHalf(x[i]));
  },
  BF16: (x, out) => {
    for (let i = 0; i < x.length; i++) putHalf(out, 2 * i, floatToBfloat(x[i]));
  },
};

/** Rows of one format in the layout of another: exact where that can hold the same codes and scales, else rounded. */
export function convert(from: FileFormat, to: WeightFormat, data: Uint8Array): Uint8Array {
  if (from === to) return data;
  const recode = recodeBlocks[`${from} ${to}`];
  return recode ? recode(data) : quantize(to, dequantize(from, data));
}
