/** The decoder that most architectures share: norm, attention, add; norm, gated feed-forward, add. */

import type { ModelConfig } from '../checkpoint/model-config.ts';
import type {
  AttentionDescription,
  DecoderDescription,
  FeedForwardDescription,
  LayerDescription,
  LinearDescription,
  NormDescription,
} from './description.ts';

/** In what the architectures of this shape differ. */
export interface PreNormVariant {
  readonly modelType: string;
  readonly qkvBias: boolean;
  readonly outputBias: boolean;
  readonly feedForwardBias: boolean;
  /** Norms on each head of q and k. */
  readonly qkNorm: boolean;
  /** Attention window of each layer; undefined where a token sees all. */
  readonly windows: readonly (number | undefined)[];
}

export function preNormDecoder(config: ModelConfig, variant: PreNormVariant): DecoderDescription {
  const { vocabSize, hiddenSize } = config;
  const embedding = { weight: 'model.embed_tokens.weight', rows: vocabSize, cols: hiddenSize };
  return {
    modelType: variant.modelType,
    vocabSize,
    hiddenSize,
    intermediateSize: config.intermediateSize,
    heads: config.heads,
    kvHeads: config.kvHeads,
    headDim: config.headDim,
    maxPositions: config.maxPositions,
    embedding,
    layers: variant.windows.map((window, index) => layer(config, variant, `model.layers.${index}`, window)),
    finalNorm: norm(config, 'model.norm', hiddenSize),
    head: config.tieWordEmbeddings ? embedding : { ...embedding, weight: 'lm_head.weight' },
  };
}

function layer(
  config: ModelConfig,
  variant: PreNormVariant,
  prefix: string,
  window: number | undefined,
): LayerDescription {
  return {
    attentionNorm: norm(config, `${prefix}.input_layernorm`, config.hiddenSize),
    attention: attention(config, variant, `${prefix}.self_attn`, window),
    feedForwardNorm: norm(config, `${prefix}.post_attention_layernorm`, config.hiddenSize),
    feedForward: feedForward(config, variant, `${prefix}.mlp`),
  };
}

function attention(
  config: ModelConfig,
  variant: PreNormVariant,
  prefix: string,
  window: number | undefined,
): AttentionDescription {
  const { hiddenSize, headDim } = config;
  const [queries, keys] = [config.heads * headDim, config.kvHeads * headDim];
  return {
    qkv: [
      linear(`${prefix}.q_proj`, queries, hiddenSize, variant.qkvBias),
      linear(`${prefix}.k_proj`, keys, hiddenSize, variant.qkvBias),
      linear(`${prefix}.v_proj`, keys, hiddenSize, variant.qkvBias),
    ],
    qNorm: variant.qkNorm ? norm(config, `${prefix}.q_norm`, headDim) : undefined,
    kNorm: variant.qkNorm ? norm(config, `${prefix}.k_norm`, headDim) : undefined,
    rope: config.rope,
    scale: headDim ** -0.5,
    window,
    output: linear(`${prefix}.o_proj`, hiddenSize, queries, variant.outputBias),
  };
}

function feedForward(config: ModelConfig, variant: PreNormVariant, prefix: string): FeedForwardDescription {
  const { hiddenSize, intermediateSize } = config;
  const bias = variant.feedForwardBias;
  return {
    gateUp: [
      linear(`${prefix}.gate_proj`, intermediateSize, hiddenSize, bias),
      linear(`${prefix}.up_proj`, intermediateSize, hiddenSize, bias),
    ],
    activation: config.activation,
    down: linear(`${prefix}.down_proj`, hiddenSize, intermediateSize, bias),
  };
}

function linear(name: string, rows: number, cols: number, bias: boolean): LinearDescription {
  return { weight: `${name}.weight`, rows, cols, bias: bias ? `${name}.bias` : undefined };
}

function norm(config: ModelConfig, name: string, size: number): NormDescription {
  return { weight: `${name}.weight`, size, eps: config.normEps };
}
