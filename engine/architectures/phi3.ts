/** Phi 3 and 4 (text): q, k and v in one matrix, gate and up in another; perhaps only a part of each head rotated. */

import type { Fields } from '../checkpoint/fields.ts';
import { readModelConfig } from '../checkpoint/model-config.ts';
import type { DecoderDescription } from './description.ts';
import { attention, decoder, linear, preNormLayer } from './parts.ts';
import { readWindow } from './windows.ts';

export function phi3(fields: Fields): DecoderDescription {
  const config = readModelConfig(fields, { tieWordEmbeddings: false, normEps: 1e-5 });
  const window = readWindow(fields, undefined);
  const { hiddenSize, intermediateSize, headDim, activation } = config;
  const rows = (config.heads + 2 * config.kvHeads) * headDim;
  return decoder('phi3', config, (prefix) =>
    preNormLayer(config, prefix, {
      attention: attention(config, prefix, {
        qkv: [linear(`${prefix}.self_attn.qkv_proj`, rows, hiddenSize)],
        window,
      }),
      feedForward: {
        gated: true,
        up: [linear(`${prefix}.mlp.gate_up_proj`, 2 * intermediateSize, hiddenSize)],
        activation,
        down: linear(`${prefix}.mlp.down_proj`, hiddenSize, intermediateSize),
      },
    }),
  );
}
