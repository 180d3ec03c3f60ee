/** Qwen 2 and 2.5: biases on q, k and v; perhaps a sliding window in some layers. */

import type { Fields } from '../checkpoint/fields.ts';
import { readModelConfig } from '../checkpoint/model-config.ts';
import type { DecoderDescription } from './description.ts';
import { preNormDecoder } from './pre-norm-decoder.ts';
import { readQwenWindows } from './windows.ts';

export function qwen2(fields: Fields): DecoderDescription {
  const config = readModelConfig(fields, { tieWordEmbeddings: false });
  return preNormDecoder(config, {
    modelType: 'qwen2',
    qkvBias: true,
    outputBias: false,
    feedForwardBias: false,
    qkNorm: false,
    windows: readQwenWindows(fields, config.layers),
  });
}
