/** SmolLM 3: Llama with layers that do not rotate q and k. */

import type { Fields } from '../checkpoint/fields.ts';
import { readModelConfig } from '../checkpoint/model-config.ts';
import type { DecoderDescription } from './description.ts';
import { attention, decoder, feedForward, preNormLayer } from './parts.ts';
import { readLayerWindows, readWindow } from './windows.ts';

export function smollm3(fields: Fields): DecoderDescription {
  const config = readModelConfig(fields, { tieWordEmbeddings: true, ropeTheta: 2e6 });
  const bias = fields.boolean('attention_bias', false);
  const mlpBias = fields.boolean('mlp_bias', false);
  const rotates = readRotatedLayers(fields, config.layers);
  const sliding = fields.boolean('use_sliding_window', false);
  const window = sliding ? readWindow(fields, undefined) : undefined;
  const windows = readLayerWindows(fields, config.layers, { window, slides: (layer) => sliding && !rotates[layer] });
  return decoder('smollm3', config, (prefix, index) =>
    preNormLayer(config, prefix, {
      attention: attention(config, prefix, {
        qkvBias: bias,
        outputBias: bias,
        rope: rotates[index] ? config.rope : undefined,
        window: windows[index],
      }),
      feedForward: feedForward(config, `${prefix}.mlp`, { bias: mlpBias }),
    }),
  );
}

/** `no_rope_layers` has 1 for a layer that rotates; without it every `no_rope_layer_interval`-th does not. */
function readRotatedLayers(fields: Fields, layers: number): readonly boolean[] {
  const interval = fields.integer('no_rope_layer_interval', { min: 1, max: 2 ** 31 }, 4);
  const list = fields.integers('no_rope_layers', { min: 0, max: 1 });
  if (!fields.has('no_rope_layers')) return Array.from({ length: layers }, (_, layer) => (layer + 1) % interval !== 0);
  if (list.length < layers) fields.fail('no_rope_layers', `a number for each of ${layers} layers`);
  return list.map((rotates) => rotates === 1);
}
