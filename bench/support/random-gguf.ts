/** A GGUF file of a well-known shape with random Q4_0 weights, written to the disk: llama's layout, without a vocabulary. */

import { open } from 'node:fs/promises';

/** Numbers of value and tensor types in GGUF. */
const [UINT32, FLOAT32, STRING] = [4, 6, 8];
const [F32, Q4_0] = [0, 2];
const ALIGNMENT = 32;
const BLOCK_BYTES = 18;
const PIECE_BYTES = 18 * 2 ** 20;

interface Tensor {
  readonly name: string;
  /** The contiguous dimension first. */
  readonly dims: readonly number[];
  readonly type: number;
  readonly bytes: number;
}

/** `config`: config.json of a llama. Gives the bytes written. */
export async function writeRandomGguf(path: string, config: Readonly<Record<string, unknown>>): Promise<number> {
  const size = (name: string) => config[name] as number;
  const hidden = size('hidden_size');
  const keys = (hidden / size('num_attention_heads')) * size('num_key_value_heads');
  const inner = size('intermediate_size');
  const matrix = (name: string, rows: number, cols: number): Tensor => {
    return { name: `${name}.weight`, dims: [cols, rows], type: Q4_0, bytes: ((rows * cols) / 32) * BLOCK_BYTES };
  };
  const norm = (name: string): Tensor => ({ name: `${name}.weight`, dims: [hidden], type: F32, bytes: 4 * hidden });
  const tensors = [matrix('token_embd', size('vocab_size'), hidden)];
  for (let i = 0; i < size('num_hidden_layers'); i++) {
    tensors.push(
      norm(`blk.${i}.attn_norm`),
      matrix(`blk.${i}.attn_q`, hidden, hidden),
      matrix(`blk.${i}.attn_k`, keys, hidden),
      matrix(`blk.${i}.attn_v`, keys, hidden),
      matrix(`blk.${i}.attn_output`, hidden, hidden),
      norm(`blk.${i}.ffn_norm`),
      matrix(`blk.${i}.ffn_gate`, inner, hidden),
      matrix(`blk.${i}.ffn_up`, inner, hidden),
      matrix(`blk.${i}.ffn_down`, hidden, inner),
    );
  }
  tensors.push(norm('output_norm'), matrix('output', size('vocab_size'), hidden));

  const file = await open(path, 'wx');
  try {
    let at = 0;
    const append = async (bytes: Uint8Array) => {
      for (let done = 0; done < bytes.length; ) {
        done += (await file.write(bytes, done, bytes.length - done, at + done)).bytesWritten;
      }
      at += bytes.length;
    };
    await append(header(config, tensors));
    const codes = randomBlocks();
    const ones = new Uint8Array(Float32Array.from({ length: hidden }, () => 1).buffer);
    for (const { type, bytes } of tensors) {
      if (type === F32) await append(ones);
      else
        for (let left = bytes; left > 0; left -= PIECE_BYTES)
          await append(codes.subarray(0, Math.min(left, PIECE_BYTES)));
      await append(new Uint8Array((ALIGNMENT - (bytes % ALIGNMENT)) % ALIGNMENT));
    }
    return at;
  } finally {
    await file.close();
  }
}

function header(config: Readonly<Record<string, unknown>>, tensors: readonly Tensor[]): Uint8Array {
  const parts: Buffer[] = [];
  const number32 = (value: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32LE(value);
    parts.push(bytes);
  };
  const number64 = (value: number) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(BigInt(value));
    parts.push(bytes);
  };
  const text = (value: string) => {
    number64(value.length);
    parts.push(Buffer.from(value));
  };
  const entries: [string, number, unknown][] = [
    ['general.architecture', STRING, 'llama'],
    ['llama.block_count', UINT32, config.num_hidden_layers],
    ['llama.context_length', UINT32, config.max_position_embeddings],
    ['llama.embedding_length', UINT32, config.hidden_size],
    ['llama.feed_forward_length', UINT32, config.intermediate_size],
    ['llama.attention.head_count', UINT32, config.num_attention_heads],
    ['llama.attention.head_count_kv', UINT32, config.num_key_value_heads],
    ['llama.attention.layer_norm_rms_epsilon', FLOAT32, config.rms_norm_eps],
  ];
  parts.push(Buffer.from('GGUF'));
  number32(3);
  number64(tensors.length);
  number64(entries.length);
  for (const [key, type, value] of entries) {
    text(key);
    number32(type);
    if (type === STRING) text(value as string);
    else if (type === UINT32) number32(value as number);
    else parts.push(Buffer.from(Float32Array.of(value as number).buffer));
  }
  let offset = 0;
  for (const { name, dims, type, bytes } of tensors) {
    text(name);
    number32(dims.length);
    for (const dim of dims) number64(dim);
    number32(type);
    number64(offset);
    offset += ALIGNMENT * Math.ceil(bytes / ALIGNMENT);
  }
  const all = Buffer.concat(parts);
  return Buffer.concat([all, Buffer.alloc((ALIGNMENT - (all.length % ALIGNMENT)) % ALIGNMENT)]);
}

/** Blocks whose codes are random and whose scale is about 0.002, so that activations stay finite. */
function randomBlocks(): Uint8Array {
  const bytes = new Uint8Array(PIECE_BYTES);
  const words = new Uint32Array(bytes.buffer);
  let state = 1;
  for (let i = 0; i < words.length; i++) words[i] = state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  for (let block = 0; block < bytes.length; block += BLOCK_BYTES) {
    bytes[block] = 0x18;
    bytes[block + 1] = 0x18;
  }
  return bytes;
}
