/** StableLM: mean-centred norms with biases, a part of each head rotated, perhaps both blocks side by side. */

import type { Fields } from '../checkpoint/fields.ts';
import { readModelConfig } from '../checkpoint/model-config.ts';
import type { ColumnNorm, DecoderDescription } from './description.ts';
import { attention, decoder, feedForward, layerNorm } from './parts.ts';

export function stablelm(fields: Fields): DecoderDescription {
  const config = readModelConfig(fields, {
    tieWordEmbeddings: false,
    normEps: 1e-5,
    normEpsName: 'layer_norm_eps',
    partialRotaryFactor: 0.25,
  });
  const qkvBias = fields.boolean('use_qkv_bias', false);
  const parallel = fields.boolean('use_parallel_residual', false);
  const normsHeads = fields.boolean('qk_layernorm', false);
  const { heads, kvHeads, headDim } = config;

  /** Each head of q and k has a norm of its own. */
  const headNorms = (prefix: string): Iterable<ColumnNorm> => ({
    *[Symbol.iterator]() {
      for (let h = 0; h < heads + kvHeads; h++) {
        const name = h < heads ? `q_layernorm.norms.${h}` : `k_layernorm.norms.${h - heads}`;
        yield { first: h * headDim, norm: layerNorm(config, `${prefix}.self_attn.${name}`, false, headDim) };
      }
    },
  });
  return decoder(
    'stablelm',
    config,
    (prefix) => ({
      attentionNorm: layerNorm(config, `${prefix}.input_layernorm`, true),
      attention: attention(config, prefix, { qkvBias, columnNorms: normsHeads ? headNorms(prefix) : undefined }),
      parallel,
      feedForwardNorm: parallel ? undefined : layerNorm(config, `${prefix}.post_attention_layernorm`, true),
      feedForward: feedForward(config, `${prefix}.mlp`),
    }),
    { finalNorm: layerNorm(config, 'model.norm', true) },
  );
}
