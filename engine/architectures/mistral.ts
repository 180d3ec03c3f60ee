/** Mistral 7B and its kin: Llama with a sliding window in every layer. */

import type { Fields } from '../checkpoint/fields.ts';
import { readModelConfig } from '../checkpoint/model-config.ts';
import type { DecoderDescription } from './description.ts';
import { preNormDecoder } from './pre-norm-decoder.ts';
import { readWindow } from './windows.ts';

export function mistral(fields: Fields): DecoderDescription {
  const config = readModelConfig(fields, { tieWordEmbeddings: false });
  return preNormDecoder(config, {
    modelType: 'mistral',
    qkvBias: false,
    outputBias: false,
    feedForwardBias: false,
    qkNorm: false,
    windows: new Array(config.layers).fill(readWindow(fields)),
  });
}
