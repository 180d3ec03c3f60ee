/** Granite 3: Llama with multipliers on embeddings, attention, residuals and logits. */

import type { Fields } from '../checkpoint/fields.ts';
import { readModelConfig } from '../checkpoint/model-config.ts';
import type { DecoderDescription } from './description.ts';
import { attention, decoder, feedForward, preNormLayer } from './parts.ts';

export function granite(fields: Fields): DecoderDescription {
  const config = readModelConfig(fields, { tieWordEmbeddings: false });
  const bias = fields.boolean('attention_bias', false);
  const mlpBias = fields.boolean('mlp_bias', false);
  const scale = fields.positive('attention_multiplier', 1);
  const residualScale = fields.positive('residual_multiplier', 1);
  return decoder(
    'granite',
    config,
    (prefix) =>
      preNormLayer(config, prefix, {
        attention: attention(config, prefix, { qkvBias: bias, outputBias: bias, scale }),
        feedForward: feedForward(config, `${prefix}.mlp`, { bias: mlpBias }),
        residualScale,
      }),
    {
      embeddingScale: fields.positive('embedding_multiplier', 1),
      logits: { scale: 1 / fields.positive('logits_scaling', 1) },
    },
  );
}
