/** Mistral 7B and its kin: Llama with a sliding window in every layer. */

import type { Fields } from '../checkpoint/fields.ts';
import { readModelConfig } from '../checkpoint/model-config.ts';
import type { DecoderDescription } from './description.ts';
import { attention, decoder, feedForward, preNormLayer } from './parts.ts';
import { readWindow } from './windows.ts';

export function mistral(fields: Fields): DecoderDescription {
  const config = readModelConfig(fields, { tieWordEmbeddings: false });
  const window = readWindow(fields, 4096);
  return decoder('mistral', config, (prefix) =>
    preNormLayer(config, prefix, {
      attention: attention(config, prefix, { window }),
      feedForward: feedForward(config, `${prefix}.mlp`),
    }),
  );
}
