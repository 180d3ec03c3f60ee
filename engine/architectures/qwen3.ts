/** Qwen 3, dense: norms on each head of q and k, no biases unless asked for. */

import type { Fields } from '../checkpoint/fields.ts';
import { type ModelConfig, readModelConfig } from '../checkpoint/model-config.ts';
import type { DecoderDescription } from './description.ts';
import { type AttentionVariant, attention, decoder, feedForward, preNormLayer, rmsNorm } from './parts.ts';
import { readQwenWindows } from './windows.ts';

export function qwen3(fields: Fields): DecoderDescription {
  const config = readModelConfig(fields, { tieWordEmbeddings: false, headDim: 128 });
  const windows = readQwenWindows(fields, config.layers);
  return decoder('qwen3', config, (prefix, index) =>
    preNormLayer(config, prefix, {
      attention: attention(config, prefix, { ...qwen3Attention(fields, config, prefix), window: windows[index] }),
      feedForward: feedForward(config, `${prefix}.mlp`),
    }),
  );
}

/** What Qwen 3 changes in the attention, with experts or without. */
export function qwen3Attention(fields: Fields, config: ModelConfig, prefix: string): AttentionVariant {
  const bias = fields.boolean('attention_bias', false);
  return {
    qkvBias: bias,
    outputBias: bias,
    qNorm: rmsNorm(config, `${prefix}.self_attn.q_norm`, config.headDim),
    kNorm: rmsNorm(config, `${prefix}.self_attn.k_norm`, config.headDim),
  };
}
