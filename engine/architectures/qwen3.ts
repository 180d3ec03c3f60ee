/** Qwen 3, dense: norms on each head of q and k, no biases unless asked for. */

import type { Fields } from '../checkpoint/fields.ts';
import { readModelConfig } from '../checkpoint/model-config.ts';
import type { DecoderDescription } from './description.ts';
import { preNormDecoder } from './pre-norm-decoder.ts';
import { readQwenWindows } from './windows.ts';

export function qwen3(fields: Fields): DecoderDescription {
  const config = readModelConfig(fields, { tieWordEmbeddings: false, headDim: 128 });
  const attentionBias = fields.boolean('attention_bias', false);
  return preNormDecoder(config, {
    modelType: 'qwen3',
    qkvBias: attentionBias,
    outputBias: attentionBias,
    feedForwardBias: false,
    qkNorm: true,
    windows: readQwenWindows(fields, config.layers),
  });
}
