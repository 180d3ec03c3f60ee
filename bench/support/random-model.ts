/** Checkpoints of well-known shapes with random weights: what speed needs of a model, without its gigabytes on disk. */

import { describeDecoder } from '../../engine/architectures/index.ts';
import { neededTensors } from '../../engine/architectures/needed-tensors.ts';
import { readFields } from '../../engine/checkpoint/fields.ts';
import type { ModelSource } from '../../engine/checkpoint/model-source.ts';
import { CheckpointError } from '../../engine/errors.ts';
import { QUANTIZATIONS, type Quantization } from '../../engine/types.ts';
import { quantize } from '../../kernels/index.ts';

const base = { model_type: 'qwen2', hidden_act: 'silu', rms_norm_eps: 1e-6, rope_theta: 1_000_000 };

/** config.json of each shape. */
export const SHAPES: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  'qwen2.5-0.5b': {
    ...base,
    vocab_size: 151_936,
    hidden_size: 896,
    intermediate_size: 4864,
    num_hidden_layers: 24,
    num_attention_heads: 14,
    num_key_value_heads: 2,
    max_position_embeddings: 32_768,
    tie_word_embeddings: true,
  },
  'qwen2.5-1.5b': {
    ...base,
    vocab_size: 151_936,
    hidden_size: 1536,
    intermediate_size: 8960,
    num_hidden_layers: 28,
    num_attention_heads: 12,
    num_key_value_heads: 2,
    max_position_embeddings: 32_768,
    tie_word_embeddings: true,
  },
  'llama2-7b': {
    ...base,
    model_type: 'llama',
    vocab_size: 32_000,
    hidden_size: 4096,
    intermediate_size: 11_008,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    num_key_value_heads: 32,
    max_position_embeddings: 4096,
    tie_word_embeddings: false,
  },
  'llama3.2-1b': {
    ...base,
    model_type: 'llama',
    vocab_size: 128_256,
    hidden_size: 2048,
    intermediate_size: 8192,
    num_hidden_layers: 16,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    max_position_embeddings: 32_768,
    tie_word_embeddings: true,
  },
  'mistral-7b': {
    ...base,
    model_type: 'llama',
    vocab_size: 32_000,
    hidden_size: 4096,
    intermediate_size: 14_336,
    num_hidden_layers: 32,
    num_attention_heads: 32,
    num_key_value_heads: 8,
    max_position_embeddings: 32_768,
    tie_word_embeddings: false,
  },
};

export type FloatFormat = 'BF16' | 'F16';

/** What a bench calls weights: as they are (bfloat16 where they are made up), float16, or rounded while loading. */
export const WEIGHTS = ['none', 'f16', ...QUANTIZATIONS] as const;
export type Weights = (typeof WEIGHTS)[number];

export function weightsOf(name: Weights): { readonly format: FloatFormat; readonly quantize?: Quantization } {
  if (name === 'none') return { format: 'BF16' };
  return name === 'f16' ? { format: 'F16' } : { format: 'BF16', quantize: name };
}

/**
 * A checkpoint in memory whose tensors are made up as they are read.
 * @param sizes  fields of config.json other than the shape's own
 */
export async function randomModel(
  shape: string,
  format: FloatFormat = 'BF16',
  sizes: object = {},
): Promise<ModelSource> {
  const config = JSON.stringify({ ...SHAPES[shape], ...sizes });
  const files = new Map([['config.json', new TextEncoder().encode(config)]]);
  const source = sourceOf(shape, files, format, 0);
  const description = describeDecoder(await readFields(source, 'config.json'));
  const header: Record<string, object> = {};
  let end = 0;
  const tensors = new Map([...neededTensors(description)].map(({ name, shape }) => [name, shape]));
  for (const [name, dims] of tensors) {
    const begin = end;
    end += 2 * dims.reduce((product, n) => product * n, 1);
    header[name] = { dtype: format, shape: dims, data_offsets: [begin, end] };
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const head = new Uint8Array(8 + json.length);
  new DataView(head.buffer).setBigUint64(0, BigInt(json.length), true);
  head.set(json, 8);
  files.set('model.safetensors', head);
  return sourceOf(shape, files, format, end);
}

/** Files of which `model.safetensors` goes on for `randomBytes` of small random numbers. */
function sourceOf(name: string, files: Map<string, Uint8Array>, format: FloatFormat, randomBytes: number): ModelSource {
  const pattern = randomHalves(1 << 20, format);
  const fileOf = (file: string) => {
    const bytes = files.get(file);
    if (!bytes) throw new CheckpointError(`${name}: no file ${file}`);
    return bytes;
  };
  return {
    name,
    files: [...files.keys()],
    size: async (file) => fileOf(file).length + (file === 'model.safetensors' ? randomBytes : 0),
    read: async (file, offset, into) => {
      const bytes = fileOf(file);
      let at = 0;
      if (offset < bytes.length) {
        const part = bytes.subarray(offset, offset + into.length);
        into.set(part);
        at = part.length;
      }
      while (at < into.length) {
        const from = ((offset + at - bytes.length) * 31) % (pattern.length / 2);
        const part = pattern.subarray(from - (from % 2), from + Math.min(into.length - at, pattern.length / 2));
        into.set(part, at);
        at += part.length;
      }
    },
    close: async () => {},
  };
}

/** `count` numbers, uniform in ±0.04. */
function randomHalves(count: number, format: FloatFormat): Uint8Array {
  let state = 1;
  const values = Float32Array.from({ length: count }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state / 2 ** 32 - 0.5) * 0.08;
  });
  return quantize(format, values);
}
