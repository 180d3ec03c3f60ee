/** Llama 1 to 3 and the many models of the same layout. */

import type { Fields } from '../checkpoint/fields.ts';
import { readModelConfig } from '../checkpoint/model-config.ts';
import type { DecoderDescription } from './description.ts';
import { preNormDecoder } from './pre-norm-decoder.ts';

export function llama(fields: Fields): DecoderDescription {
  const config = readModelConfig(fields, { tieWordEmbeddings: false });
  const attentionBias = fields.boolean('attention_bias', false);
  return preNormDecoder(config, {
    modelType: 'llama',
    qkvBias: attentionBias,
    outputBias: attentionBias,
    feedForwardBias: fields.boolean('mlp_bias', false),
    qkNorm: false,
    windows: new Array(config.layers).fill(undefined),
  });
}
