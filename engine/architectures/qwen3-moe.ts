/** Qwen 3 with many small experts. */

import type { Fields } from '../checkpoint/fields.ts';
import { readModelConfig } from '../checkpoint/model-config.ts';
import type { DecoderDescription } from './description.ts';
import { attention, decoder, feedForward, preNormLayer } from './parts.ts';
import { readQwenExperts } from './qwen-experts.ts';
import { qwen3Attention } from './qwen3.ts';
import { readWindow } from './windows.ts';

export function qwen3Moe(fields: Fields): DecoderDescription {
  const config = readModelConfig(fields, { tieWordEmbeddings: false });
  const experts = readQwenExperts(fields, config, { experts: 128, perToken: 8, width: 768 });
  const window = fields.boolean('use_sliding_window', false) ? readWindow(fields, 4096) : undefined;
  return decoder('qwen3_moe', config, (prefix, index) => {
    const mlp = `${prefix}.mlp`;
    return preNormLayer(config, prefix, {
      attention: attention(config, prefix, { ...qwen3Attention(fields, config, prefix), window }),
      feedForward: experts.hasExperts(index) ? experts.describe(mlp) : feedForward(config, mlp),
    });
  });
}
