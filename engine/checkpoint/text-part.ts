/**
 * Models that also see pictures: the text model in them, which is all that runs here. Its settings are an object in
 * config.json, its tensors have a prefix, and those of the eyes are left alone.
 */

import type { Fields } from './fields.ts';
import type { TensorIndex, TensorInfo } from './tensor-info.ts';

/** By `model_type`: that of the text model, and what its settings are where config.json does not say. */
const WRAPPERS: ReadonlyMap<string, { readonly modelType: string; readonly defaults: Record<string, unknown> }> =
  new Map([
    [
      'gemma3',
      {
        modelType: 'gemma3_text',
        defaults: {
          vocab_size: 262_208,
          hidden_size: 2304,
          intermediate_size: 9216,
          num_hidden_layers: 26,
          num_attention_heads: 8,
          num_key_value_heads: 4,
          max_position_embeddings: 131_072,
        },
      },
    ],
    ['mistral3', { modelType: 'mistral', defaults: {} }],
  ]);

/** Settings of the whole that hold for the text model. */
const COMMON = ['eos_token_id', 'tie_word_embeddings', 'quantization_config'];

/** What names of the text model's tensors begin with, in files of different ages, and what stands for it. */
const PREFIXES: readonly (readonly [prefix: string, replacement: string])[] = [
  ['language_model.', ''],
  ['model.language_model.', 'model.'],
  ['lm_head.', 'lm_head.'],
];

/** The settings of the text model; `config` itself where there is nothing else in the model. */
export function textSettings(config: Fields): Fields {
  const wrapper = WRAPPERS.get(config.string('model_type', ''));
  const text = wrapper && config.object('text_config');
  if (wrapper === undefined || text === undefined) return config;
  const own = COMMON.filter((name) => config.has(name)).map((name) => [name, config.value(name)]);
  return text.with({ model_type: wrapper.modelType }, { ...wrapper.defaults, ...Object.fromEntries(own) });
}

/** The tensors of the text model under the names that they have when it is alone. */
export function textTensors(config: Fields, index: TensorIndex): TensorIndex {
  if (!WRAPPERS.has(config.string('model_type', ''))) return index;
  const tensors = new Map<string, TensorInfo>();
  for (const tensor of index.tensors.values()) {
    const [prefix, replacement] = PREFIXES.find(([start]) => tensor.name.startsWith(start)) ?? [];
    if (prefix === undefined) continue;
    const name = replacement + tensor.name.slice(prefix.length);
    tensors.set(name, { ...tensor, name });
  }
  return { ...index, tensors };
}
