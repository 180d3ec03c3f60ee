/**
 * Checkpoints whose experts lie in one tensor for all: each expert's matrices become tensors of their own, under the names
 * that checkpoints with separate experts give them.
 *
 * | tensor `….experts.<name>`                  | shape                        | what becomes of it                           |
 * |--------------------------------------------|------------------------------|----------------------------------------------|
 * | `gate_up_proj`, `down_proj`                | `[experts, rows, cols]`      | gate: the first half of the rows; up: the rest |
 * | `gate_up_proj`, `down_proj` of gpt-oss     | `[experts, cols, rows]`      | transposed; gate: even rows; up: odd ones    |
 * | `…_blocks`, `…_scales` (U8) of gpt-oss     | `[experts, rows, cols/32, 16]`, `[experts, rows, cols/32]` | MXFP4; gate and up as above |
 * | `…_bias`                                   | `[experts, rows]`            | likewise                                     |
 *
 * An MXFP4 block has an E8M0 scale and 32 codes, the even ones in the low nibbles; source: the transformers library's
 * description of gpt-oss's files, and the OCP Microscaling Formats (MX) specification 1.0.
 */

import { CheckpointError } from '../errors.ts';
import type { PackedRows, TensorIndex, TensorInfo } from './tensor-info.ts';

/** Most experts of a tensor, and most tensors that become of all: more are no model, but a bomb. */
const MAX_EXPERTS = 4096;
const MAX_TENSORS = 2 ** 17;

const ELEMENT_BYTES: ReadonlyMap<string, number> = new Map([
  ['F32', 4],
  ['F16', 2],
  ['BF16', 2],
]);

/** Names of gate, up and down in checkpoints with separate experts. */
const NAMES: ReadonlyMap<string, readonly [gate: string, up: string, down: string]> = new Map([
  ['mixtral', ['w1', 'w3', 'w2']],
]);
const USUAL_NAMES = ['gate_proj', 'up_proj', 'down_proj'] as const;

/**
 * The tensors with all experts apart; those that are not stacked stay as they are.
 * @throws CheckpointError when there are absurdly many
 */
export function splitStackedExperts(index: TensorIndex, modelType: string): TensorIndex {
  const [gate, up, down] = NAMES.get(modelType) ?? USUAL_NAMES;
  const isGptOss = modelType === 'gpt_oss';
  const tensors = new Map<string, TensorInfo>();
  for (const tensor of index.tensors.values()) {
    const stack = readStack(tensor, index, isGptOss);
    if (stack === undefined) tensors.set(tensor.name, tensor);
    if (stack === undefined || stack.part === 'scales') continue;
    const names = stack.matrix === 'down' ? [down] : [gate, up];
    const end = stack.part === 'bias' ? 'bias' : 'weight';
    for (let expert = 0; expert < stack.experts; expert++) {
      for (const [share, matrix] of names.entries()) {
        const name = `${stack.prefix}${expert}.${matrix}.${end}`;
        if (tensors.size >= MAX_TENSORS) {
          throw new CheckpointError(`${index.file}: experts of more than ${MAX_TENSORS} tensors`);
        }
        tensors.set(name, takeRows(stack, expert, name, { share, shares: names.length, interleaved: isGptOss }));
      }
    }
  }
  return { ...index, tensors };
}

interface Stack {
  readonly tensor: TensorInfo;
  /** Of the names of the experts' tensors: `model.layers.0.mlp.experts.` */
  readonly prefix: string;
  readonly matrix: 'gate_up' | 'down';
  readonly part: 'weight' | 'transposed' | 'bias' | 'blocks' | 'scales';
  readonly experts: number;
  /** The tensor of scales that goes with blocks. */
  readonly scales?: TensorInfo;
}

const DIMENSIONS: Readonly<Record<Stack['part'], number>> = { weight: 3, transposed: 3, bias: 2, blocks: 4, scales: 3 };

/** What a tensor holds; undefined for one that is none of this kind, or not of the right form. */
function readStack(tensor: TensorInfo, index: TensorIndex, isGptOss: boolean): Stack | undefined {
  const { name, shape, dtype } = tensor;
  const [, prefix, matrix, end] = /^(.*\.experts\.)(gate_up|down)_proj(_bias|_blocks|_scales)?$/.exec(name) ?? [];
  if ((matrix !== 'gate_up' && matrix !== 'down') || tensor.packed) return undefined;
  const part = end === undefined ? (isGptOss ? 'transposed' : 'weight') : (end.slice(1) as Stack['part']);
  const [experts = 0] = shape;
  if (shape.length !== DIMENSIONS[part] || experts === 0 || experts > MAX_EXPERTS) return undefined;
  const isPacked = part === 'blocks' || part === 'scales';
  if (isPacked ? dtype !== 'U8' : !ELEMENT_BYTES.has(dtype)) return undefined;
  const rows = part === 'transposed' ? shape[2] : shape[1];
  if (matrix === 'gate_up' && rows % 2 !== 0) return undefined;
  const stack = { tensor, prefix, matrix, part, experts } as const;
  if (part !== 'blocks') return stack;
  const scales = index.tensors.get(name.replace(/blocks$/, 'scales'));
  const fits = scales?.dtype === 'U8' && scales.shape.length === 3 && scales.shape.every((n, i) => n === shape[i]);
  return fits && shape[3] === 16 ? { ...stack, scales } : undefined;
}

/** Which rows of a matrix are meant: one of `shares` runs of them, or every `shares`-th from number `share` on. */
interface Rows {
  readonly share: number;
  readonly shares: number;
  readonly interleaved: boolean;
}

function takeRows(stack: Stack, expert: number, name: string, rows: Rows): TensorInfo {
  const { tensor, part, experts, scales } = stack;
  const { shape, dtype, file } = tensor;
  const pieceOf = (of: TensorInfo) => {
    const byteLength = of.byteLength / experts;
    return { file: of.file, offset: of.offset + expert * byteLength, byteLength };
  };
  const whole = pieceOf(tensor);
  const elementBytes = ELEMENT_BYTES.get(dtype) ?? 1;
  const packed = (count: number, cols: readonly number[], unpack: PackedRows['unpack'], pieces = [whole]) => ({
    name,
    file,
    dtype,
    shape: [count, ...cols],
    offset: whole.offset,
    byteLength: whole.byteLength,
    packed: { pieces, unpack },
  });
  if (part === 'transposed') {
    const [, cols, count] = shape;
    return packed(count / rows.shares, [cols], ([bytes]) => transpose(bytes, count, elementBytes, rows));
  }
  if (part === 'blocks' && scales) {
    const [, count, blocks] = shape;
    const unpack: PackedRows['unpack'] = ([codes, exponents]) => mxfp4Rows(codes, exponents, blocks, rows);
    return { ...packed(count / rows.shares, [32 * blocks], unpack, [whole, pieceOf(scales)]), dtype: 'MXFP4' };
  }
  const [, count, ...cols] = shape;
  if (rows.interleaved && rows.shares > 1) {
    return packed(count / rows.shares, cols, ([bytes]) => everyRow(bytes, whole.byteLength / count, rows));
  }
  const byteLength = whole.byteLength / rows.shares;
  const offset = whole.offset + rows.share * byteLength;
  return { name, file, dtype, shape: [count / rows.shares, ...cols], offset, byteLength };
}

/** The rows that are meant of `bytes` with rows of `rowBytes`. */
function everyRow(bytes: Uint8Array, rowBytes: number, { share, shares }: Rows): Uint8Array {
  const out = new Uint8Array(bytes.length / shares);
  for (let from = share * rowBytes, to = 0; to < out.length; from += shares * rowBytes, to += rowBytes) {
    out.set(bytes.subarray(from, from + rowBytes), to);
  }
  return out;
}

/** The columns that are meant of a matrix with `width` columns, as rows. */
function transpose(bytes: Uint8Array, width: number, elementBytes: number, { share, shares }: Rows): Uint8Array {
  const source = elementBytes === 2 ? new Uint16Array(bytes.buffer) : new Uint32Array(bytes.buffer);
  const height = source.length / width;
  const out = elementBytes === 2 ? new Uint16Array(source.length / shares) : new Uint32Array(source.length / shares);
  for (let column = share, to = 0; column < width; column += shares) {
    for (let row = 0; row < height; row++, to++) out[to] = source[row * width + column];
  }
  return new Uint8Array(out.buffer);
}

/** The rows that are meant as MXFP4 blocks in file layout: the scale, then codes i and i + 16 in byte i. */
function mxfp4Rows(codes: Uint8Array, scales: Uint8Array, blocks: number, rows: Rows): Uint8Array {
  const [ownCodes, ownScales] = [everyRow(codes, 16 * blocks, rows), everyRow(scales, blocks, rows)];
  const out = new Uint8Array(17 * ownScales.length);
  const codeAt = (from: number, i: number) => (ownCodes[from + (i >> 1)] >> (i & 1 ? 4 : 0)) & 15;
  for (let block = 0; block < ownScales.length; block++) {
    out[17 * block] = ownScales[block];
    for (let i = 0; i < 16; i++) {
      out[17 * block + 1 + i] = codeAt(16 * block, i) | (codeAt(16 * block, i + 16) << 4);
    }
  }
  return out;
}
