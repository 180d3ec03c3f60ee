/** Llama 1 to 3 and the many models of the same layout. */

import type { Fields } from '../checkpoint/fields.ts';
import { readModelConfig } from '../checkpoint/model-config.ts';
import type { DecoderDescription } from './description.ts';
import { attention, decoder, feedForward, preNormLayer } from './parts.ts';

export function llama(fields: Fields): DecoderDescription {
  const config = readModelConfig(fields, { tieWordEmbeddings: false });
  const bias = fields.boolean('attention_bias', false);
  const mlpBias = fields.boolean('mlp_bias', false);
  return decoder('llama', config, (prefix) =>
    preNormLayer(config, prefix, {
      attention: attention(config, prefix, { qkvBias: bias, outputBias: bias }),
      feedForward: feedForward(config, `${prefix}.mlp`, { bias: mlpBias }),
    }),
  );
}
