/**
 * DeepSeek-V2: q, k and v made from narrow intermediates, experts from some layer on, some for every token.
 * Source: arXiv:2405.04434. How its files become the decoder's attention: `checkpoint/latent-attention.ts`.
 */

import type { Fields } from '../checkpoint/fields.ts';
import { readLatentSizes } from '../checkpoint/latent-attention.ts';
import { readModelConfig } from '../checkpoint/model-config.ts';
import { yarnMagnitude } from '../rope.ts';
import type { AttentionDescription, DecoderDescription, ExpertsDescription, LatentDescription } from './description.ts';
import { readExpertCounts } from './expert-counts.ts';
import { decoder, expertMatrices, feedForward, linear, preNormLayer, rmsNorm, router } from './parts.ts';

const WIDTH = { min: 1, max: 2 ** 20 };
const COUNT = { min: 0, max: 4096 };
/** Of the norms of intermediates, whatever that of the others is. */
const LATENT_EPS = 1e-6;

export function deepseekV2(fields: Fields): DecoderDescription {
  const { heads, rope, nope, rank } = readLatentSizes(fields);
  const head = rope + nope;
  const config = readModelConfig(fields, { tieWordEmbeddings: false, rotatedHeadDim: rope, headDim: head });
  const bias = fields.boolean('attention_bias', false);
  const mlpBias = fields.boolean('mlp_bias', false);
  const queryRank =
    fields.mentions('q_lora_rank') && !fields.has('q_lora_rank') ? 0 : fields.integer('q_lora_rank', WIDTH, 1536);
  const scale = head ** -0.5 * yarnMagnitude(fields) ** 2;
  const firstMixture = fields.integer('first_k_dense_replace', COUNT, 0);
  const step = fields.integer('moe_layer_freq', { min: 1, max: COUNT.max }, 1);
  const mixture = readMixture(fields, config);
  const { hiddenSize } = config;

  const attention = (prefix: string): AttentionDescription => {
    const self = `${prefix}.self_attn`;
    const latent = (name: string, norm: string, width: number, more = 0): LatentDescription => ({
      down: linear(`${self}.${name}`, width + more, hiddenSize, bias),
      norm: { ...rmsNorm(config, `${self}.${norm}`, width), eps: LATENT_EPS },
    });
    const keysAndValues = linear(`${self}.kv_b_proj`, 2 * heads * head, rank + rope);
    return {
      qkv: [
        queryRank === 0
          ? linear(`${self}.q_proj`, heads * head, hiddenSize)
          : linear(`${self}.q_b_proj`, heads * head, queryRank),
        // Ones and zeros in it are to stay what they are.
        { ...keysAndValues, unrounded: true },
      ],
      latents: {
        q: queryRank === 0 ? undefined : latent('q_a_proj', 'q_a_layernorm', queryRank),
        kv: latent('kv_a_proj_with_mqa', 'kv_a_layernorm', rank, rope),
      },
      rope: config.rope,
      scale,
      output: linear(`${self}.o_proj`, hiddenSize, heads * head, bias),
    };
  };
  const isMixture = (layer: number) => layer >= firstMixture && layer % step === 0;
  return decoder('deepseek_v2', { ...config, kvHeads: heads, headDim: head }, (prefix, index) =>
    preNormLayer(config, prefix, {
      attention: attention(prefix),
      feedForward: isMixture(index)
        ? mixture(`${prefix}.mlp`)
        : feedForward(config, `${prefix}.mlp`, { bias: mlpBias }),
    }),
  );
}

function readMixture(fields: Fields, config: ReturnType<typeof readModelConfig>) {
  const counts = readExpertCounts(fields, 'n_routed_experts', { experts: 64, perToken: 6 });
  const width = fields.integer('moe_intermediate_size', WIDTH, 1407);
  const shared =
    fields.mentions('n_shared_experts') && !fields.has('n_shared_experts')
      ? 0
      : fields.integer('n_shared_experts', COUNT, 2);
  const method = fields.string('topk_method', 'greedy');
  if (method !== 'greedy' && method !== 'group_limited_greedy') {
    fields.fail('topk_method', 'greedy or group_limited_greedy');
  }
  if (fields.string('scoring_func', 'softmax') !== 'softmax') fields.fail('scoring_func', 'softmax');
  const groups = method === 'greedy' ? undefined : readGroups(fields, counts.experts, counts.perToken);
  const scale = fields.positive('routed_scaling_factor', 1);
  const { hiddenSize, activation } = config;
  return (prefix: string): ExpertsDescription => {
    const matrices = (name: string, rows: number, cols: number) =>
      expertMatrices(`${prefix}.${name}`, counts.experts, rows, cols, (e) => `${prefix}.experts.${e}.${name}`);
    return {
      ...counts,
      router: router(`${prefix}.gate`, counts.experts, hiddenSize),
      // As the authors' code and its files have it, `norm_topk_prob` changes nothing.
      normalize: false,
      scale,
      groups,
      up: [matrices('gate_proj', width, hiddenSize), matrices('up_proj', width, hiddenSize)],
      activation,
      down: matrices('down_proj', hiddenSize, width),
      shared:
        shared === 0
          ? undefined
          : { feedForward: feedForward(config, `${prefix}.shared_experts`, { width: shared * width }) },
    };
  };
}

function readGroups(fields: Fields, experts: number, perToken: number) {
  const count = fields.integer('n_group', { min: 1, max: 32 });
  if (experts % count !== 0) fields.fail('n_group', `a divisor of n_routed_experts, ${experts}`);
  const least = Math.ceil((perToken * count) / experts);
  return { count, chosen: fields.integer('topk_group', { min: least, max: count }) };
}
