/**
 * Command R7B and A (Cohere 2): attention and feed-forward side by side behind one mean-centred norm; layers with a window
 * rotate neighbouring elements of q and k, the others do not rotate at all.
 */

import type { Fields } from '../checkpoint/fields.ts';
import { readModelConfig } from '../checkpoint/model-config.ts';
import type { DecoderDescription } from './description.ts';
import { attention, decoder, feedForward, layerNorm } from './parts.ts';
import { readLayerWindows, readWindow } from './windows.ts';

export function cohere2(fields: Fields): DecoderDescription {
  const config = readModelConfig(fields, { tieWordEmbeddings: true, normEps: 1e-5, normEpsName: 'layer_norm_eps' });
  const bias = fields.boolean('attention_bias', false);
  if (fields.boolean('use_qk_norm', false)) fields.fail('use_qk_norm', 'false');
  if (config.rope.rotaryDim !== config.headDim) fields.fail('partial_rotary_factor', 'whole heads to be rotated');
  const pattern = fields.integer('sliding_window_pattern', { min: 1, max: 2 ** 31 }, 4);
  const windows = readLayerWindows(fields, config.layers, {
    window: readWindow(fields, 4096),
    slides: (layer) => (layer + 1) % pattern !== 0,
  });
  return decoder(
    'cohere2',
    config,
    (prefix, index) => {
      const plain = attention(config, prefix, { qkvBias: bias, outputBias: bias, window: windows[index] });
      const [q, k, v] = plain.qkv;
      const interleavedHeadRows = config.headDim;
      const rotated = { qkv: [{ ...q, interleavedHeadRows }, { ...k, interleavedHeadRows }, v] };
      return {
        attentionNorm: layerNorm(config, `${prefix}.input_layernorm`, false),
        attention: { ...plain, ...(windows[index] === undefined ? { rope: undefined } : rotated) },
        parallel: true,
        feedForward: feedForward(config, `${prefix}.mlp`),
      };
    },
    {
      finalNorm: layerNorm(config, 'model.norm', false),
      logits: { scale: fields.positive('logit_scale', 0.0625) },
    },
  );
}
