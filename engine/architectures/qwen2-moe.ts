/** Qwen 1.5 and 2 with experts, and one feed-forward beside them that every token takes, behind a gate. */

import type { Fields } from '../checkpoint/fields.ts';
import { readModelConfig } from '../checkpoint/model-config.ts';
import type { DecoderDescription } from './description.ts';
import { attention, decoder, feedForward, linear, preNormLayer } from './parts.ts';
import { readQwenExperts } from './qwen-experts.ts';
import { readLayerWindows, readWindow } from './windows.ts';

export function qwen2Moe(fields: Fields): DecoderDescription {
  const config = readModelConfig(fields, { tieWordEmbeddings: false });
  const experts = readQwenExperts(fields, config, { experts: 60, perToken: 4, width: 1408 });
  const sharedWidth = fields.integer('shared_expert_intermediate_size', { min: 1, max: 2 ** 24 }, 5632);
  const qkvBias = fields.boolean('qkv_bias', true);
  const sliding = fields.boolean('use_sliding_window', false);
  const lastWindow = fields.integer('max_window_layers', { min: 0, max: 2 ** 31 }, 28);
  const windows = readLayerWindows(fields, config.layers, {
    window: sliding ? readWindow(fields, 4096) : undefined,
    slides: (layer) => sliding && layer % 2 === 0 && layer < lastWindow,
  });
  return decoder('qwen2_moe', config, (prefix, index) => {
    const mlp = `${prefix}.mlp`;
    const shared = {
      feedForward: feedForward(config, `${mlp}.shared_expert`, { width: sharedWidth }),
      gate: { ...linear(`${mlp}.shared_expert_gate`, 1, config.hiddenSize), unrounded: true },
    };
    return preNormLayer(config, prefix, {
      attention: attention(config, prefix, { qkvBias, window: windows[index] }),
      feedForward: experts.hasExperts(index) ? { ...experts.describe(mlp), shared } : feedForward(config, mlp),
    });
  });
}
