/**
 * Checkpoints of multi-head latent attention (DeepSeek-V2, arXiv:2405.04434) in the form of the decoder's own attention:
 * heads of q and k with their rotated part in front, as large heads of v padded with zeros.
 *
 * The file has k and v of a head as `kv_b_proj` · latent, and one rotated part of k for all heads beside the latent. One
 * matrix over both makes whole heads of it:
 *
 * | rows of a head of k | columns of the latent | columns of the rotated part |
 * |---------------------|-----------------------|-----------------------------|
 * | rotated, `rope`     | 0                     | 1 where they are the same   |
 * | not rotated, `nope` | as in the file        | 0                           |
 *
 * Rotated elements lie as neighbours in the file (2i with 2i + 1) and as halves here. So keys and values take as much room
 * as those of any model with so many heads; the latent is not what is cached.
 */

import type { Fields } from './fields.ts';
import type { TensorIndex, TensorInfo } from './tensor-info.ts';

const SIZE = { min: 1, max: 65_536 };
const RANK = { min: 1, max: 2 ** 20 };

/** One in each element type, as the bytes of a little-endian number. */
const ONES: ReadonlyMap<string, Uint8Array> = new Map([
  ['F32', Uint8Array.of(0, 0, 0x80, 0x3f)],
  ['F16', Uint8Array.of(0, 0x3c)],
  ['BF16', Uint8Array.of(0x80, 0x3f)],
]);

export interface LatentSizes {
  readonly heads: number;
  /** Elements of a head of q and k that are rotated, and that are not; of a head of v. */
  readonly rope: number;
  readonly nope: number;
  readonly value: number;
  /** Width of what k and v are made from. */
  readonly rank: number;
}

/** @throws CheckpointError */
export function readLatentSizes(config: Fields): LatentSizes {
  const sizes = {
    heads: config.integer('num_attention_heads', SIZE),
    rope: config.integer('qk_rope_head_dim', SIZE, 64),
    nope: config.integer('qk_nope_head_dim', SIZE, 128),
    value: config.integer('v_head_dim', SIZE, 128),
    rank: config.integer('kv_lora_rank', RANK, 512),
  };
  const { rope, nope, value } = sizes;
  if (rope % 2 !== 0) config.fail('qk_rope_head_dim', 'an even number');
  if (value > rope + nope) config.fail('v_head_dim', `at most ${rope + nope}, the size of a head of q and k`);
  return sizes;
}

/** The tensors with those of attention made anew; what has not the shape that the settings ask for stays as it is. */
export function expandLatentAttention(index: TensorIndex, sizes: LatentSizes): TensorIndex {
  const tensors = new Map<string, TensorInfo>();
  for (const [name, tensor] of index.tensors) tensors.set(name, expand(tensor, sizes));
  return { ...index, tensors };
}

function expand(tensor: TensorInfo, sizes: LatentSizes): TensorInfo {
  const one = ONES.get(tensor.dtype);
  const [, of] = /\.self_attn\.(q_proj|q_b_proj|kv_b_proj|o_proj)\.weight$/.exec(tensor.name) ?? [];
  if (one === undefined || of === undefined || tensor.shape.length !== 2) return tensor;
  const { heads, rope, nope, value, rank } = sizes;
  const [rows, cols] = tensor.shape;
  const head = rope + nope;
  const made = (shape: readonly number[], change: (bytes: Uint8Array) => Uint8Array): TensorInfo => {
    const { pieces, unpack } = tensor.packed ?? { pieces: [tensor], unpack: ([bytes]: readonly Uint8Array[]) => bytes };
    return { ...tensor, shape, packed: { pieces, unpack: (read) => change(unpack(read)) } };
  };
  const elementBytes = one.length;
  if (of === 'o_proj' && cols === heads * value) {
    return made([rows, heads * head], (bytes) => padRuns(bytes, value * elementBytes, head * elementBytes));
  }
  if (of === 'kv_b_proj' && rows === heads * (nope + value) && cols === rank) {
    return made([2 * heads * head, rank + rope], (bytes) => keysAndValues(bytes, sizes, one));
  }
  if (of.startsWith('q_') && rows === heads * head) {
    return made([rows, cols], (bytes) => rotatedFirst(bytes, sizes, cols * elementBytes));
  }
  return tensor;
}

/** Each run of `from` bytes with zeros behind it, `to` bytes in all. */
function padRuns(bytes: Uint8Array, from: number, to: number): Uint8Array {
  const out = new Uint8Array((bytes.length / from) * to);
  for (let run = 0; run * from < bytes.length; run++) out.set(bytes.subarray(run * from, (run + 1) * from), run * to);
  return out;
}

/** Which rotated element of the file is element i here: first the even ones, then the odd ones. */
function neighbour(i: number, rope: number): number {
  return i < rope / 2 ? 2 * i : 2 * (i - rope / 2) + 1;
}

/** The rows of each head of q with the rotated ones in front, in the order of halves. */
function rotatedFirst(bytes: Uint8Array, { heads, rope, nope }: LatentSizes, rowBytes: number): Uint8Array {
  const out = new Uint8Array(bytes.length);
  const head = rope + nope;
  for (let row = 0; row < heads * head; row++) {
    const i = row % head;
    const from = row - i + (i < rope ? nope + neighbour(i, rope) : i - rope);
    out.set(bytes.subarray(from * rowBytes, (from + 1) * rowBytes), row * rowBytes);
  }
  return out;
}

/** The matrix of all heads of k, then of v, over latent and rotated part. */
function keysAndValues(bytes: Uint8Array, sizes: LatentSizes, one: Uint8Array): Uint8Array {
  const { heads, rope, nope, value, rank } = sizes;
  const head = rope + nope;
  const [rowBytes, outBytes] = [rank * one.length, (rank + rope) * one.length];
  const out = new Uint8Array(2 * heads * head * outBytes);
  const copyRow = (from: number, to: number) =>
    out.set(bytes.subarray(from * rowBytes, (from + 1) * rowBytes), to * outBytes);
  for (let h = 0; h < heads; h++) {
    const [file, key, values] = [h * (nope + value), h * head, (heads + h) * head];
    for (let i = 0; i < rope; i++) out.set(one, (key + i) * outBytes + (rank + neighbour(i, rope)) * one.length);
    for (let i = 0; i < nope; i++) copyRow(file + i, key + rope + i);
    for (let i = 0; i < value; i++) copyRow(file + nope + i, values + i);
  }
  return out;
}
