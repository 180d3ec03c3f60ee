/** StarCoder 2: mean-centred norms and a feed-forward without a gate, biases throughout. Source: arXiv:2402.19173. */

import type { Fields } from '../checkpoint/fields.ts';
import { readModelConfig } from '../checkpoint/model-config.ts';
import type { DecoderDescription } from './description.ts';
import { attention, decoder, layerNorm, linear } from './parts.ts';
import { readWindow } from './windows.ts';

export function starcoder2(fields: Fields): DecoderDescription {
  const config = readModelConfig(fields, {
    tieWordEmbeddings: true,
    normEps: 1e-5,
    normEpsName: 'norm_epsilon',
    activation: 'gelu_pytorch_tanh',
  });
  const bias = fields.boolean('use_bias', true);
  const window = readWindow(fields, undefined);
  const { hiddenSize, intermediateSize, activation } = config;
  return decoder(
    'starcoder2',
    config,
    (prefix) => ({
      attentionNorm: layerNorm(config, `${prefix}.input_layernorm`, true),
      attention: attention(config, prefix, { qkvBias: bias, outputBias: bias, window }),
      feedForwardNorm: layerNorm(config, `${prefix}.post_attention_layernorm`, true),
      feedForward: {
        gated: false,
        up: [linear(`${prefix}.mlp.c_fc`, intermediateSize, hiddenSize, bias)],
        activation,
        down: linear(`${prefix}.mlp.c_proj`, hiddenSize, intermediateSize, bias),
      },
    }),
    { finalNorm: layerNorm(config, 'model.norm', true) },
  );
}
