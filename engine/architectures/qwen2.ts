/** Qwen 2 and 2.5: biases on q, k and v; perhaps a sliding window in some layers. */

import type { Fields } from '../checkpoint/fields.ts';
import { readModelConfig } from '../checkpoint/model-config.ts';
import type { DecoderDescription } from './description.ts';
import { attention, decoder, feedForward, preNormLayer } from './parts.ts';
import { readQwenWindows } from './windows.ts';

export function qwen2(fields: Fields): DecoderDescription {
  const config = readModelConfig(fields, { tieWordEmbeddings: false });
  const windows = readQwenWindows(fields, config.layers);
  return decoder('qwen2', config, (prefix, index) =>
    preNormLayer(config, prefix, {
      attention: attention(config, prefix, { qkvBias: true, window: windows[index] }),
      feedForward: feedForward(config, `${prefix}.mlp`),
    }),
  );
}
