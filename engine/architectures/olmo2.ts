/** OLMo 2: norms over the whole of q and of k, and after the blocks only. Source: arXiv:2501.00656. */

import type { Fields } from '../checkpoint/fields.ts';
import { readModelConfig } from '../checkpoint/model-config.ts';
import type { DecoderDescription } from './description.ts';
import { attention, decoder, feedForward, rmsNorm } from './parts.ts';

export function olmo2(fields: Fields): DecoderDescription {
  const config = readModelConfig(fields, { tieWordEmbeddings: false, normEps: 1e-5 });
  const bias = fields.boolean('attention_bias', false);
  const [queries, keys] = [config.heads * config.headDim, config.kvHeads * config.headDim];
  return decoder('olmo2', config, (prefix) => ({
    attention: attention(config, prefix, {
      qkvBias: bias,
      outputBias: bias,
      columnNorms: [
        { first: 0, norm: rmsNorm(config, `${prefix}.self_attn.q_norm`, queries) },
        { first: queries, norm: rmsNorm(config, `${prefix}.self_attn.k_norm`, keys) },
      ],
    }),
    attentionOutputNorm: rmsNorm(config, `${prefix}.post_attention_layernorm`),
    feedForward: feedForward(config, `${prefix}.mlp`),
    feedForwardOutputNorm: rmsNorm(config, `${prefix}.post_feedforward_layernorm`),
  }));
}
