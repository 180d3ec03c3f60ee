/** What decoders are put together from, under the names that most checkpoints give them. */

import type { ModelConfig } from '../checkpoint/model-config.ts';
import type {
  AttentionDescription,
  DecoderDescription,
  ExpertMatrices,
  FeedForwardDescription,
  LayerDescription,
  LinearDescription,
  NormDescription,
} from './description.ts';

/** A decoder of the usual names around its layers. `layer` gets the prefix of the layer's tensors. */
export function decoder(
  modelType: string,
  config: ModelConfig,
  layer: (prefix: string, index: number) => LayerDescription,
  more: Pick<DecoderDescription, 'embeddingScale' | 'logits'> & { readonly finalNorm?: NormDescription } = {},
): DecoderDescription {
  const { vocabSize, hiddenSize, heads, kvHeads, headDim, maxPositions } = config;
  const embedding = linear('model.embed_tokens', vocabSize, hiddenSize);
  return {
    modelType,
    vocabSize,
    hiddenSize,
    heads,
    kvHeads,
    headDim,
    maxPositions,
    embedding,
    layers: Array.from({ length: config.layers }, (_, index) => layer(`model.layers.${index}`, index)),
    finalNorm: rmsNorm(config, 'model.norm'),
    head: config.tieWordEmbeddings ? embedding : linear('lm_head', vocabSize, hiddenSize),
    ...more,
  };
}

/** A layer with a norm before attention and one before the feed-forward. */
export function preNormLayer(
  config: ModelConfig,
  prefix: string,
  parts: Pick<LayerDescription, 'attention' | 'feedForward' | 'residualScale'>,
): LayerDescription {
  return {
    attentionNorm: rmsNorm(config, `${prefix}.input_layernorm`),
    feedForwardNorm: rmsNorm(config, `${prefix}.post_attention_layernorm`),
    ...parts,
  };
}

/** In what the attention of architectures differs. */
export interface AttentionVariant extends Partial<AttentionDescription> {
  readonly qkvBias?: boolean;
  readonly outputBias?: boolean;
}

/** Attention with a matrix each for q, k and v, rotated, scaled by 1 / √headDim. */
export function attention(config: ModelConfig, prefix: string, variant: AttentionVariant = {}): AttentionDescription {
  const { hiddenSize, headDim } = config;
  const { qkvBias, outputBias, ...more } = variant;
  const [queries, keys] = [config.heads * headDim, config.kvHeads * headDim];
  return {
    qkv: [
      linear(`${prefix}.self_attn.q_proj`, queries, hiddenSize, qkvBias),
      linear(`${prefix}.self_attn.k_proj`, keys, hiddenSize, qkvBias),
      linear(`${prefix}.self_attn.v_proj`, keys, hiddenSize, qkvBias),
    ],
    rope: config.rope,
    scale: headDim ** -0.5,
    output: linear(`${prefix}.self_attn.o_proj`, hiddenSize, queries, outputBias),
    ...more,
  };
}

/** A feed-forward with a matrix each for gate and up. */
export function feedForward(
  config: ModelConfig,
  prefix: string,
  { bias, width = config.intermediateSize }: { readonly bias?: boolean; readonly width?: number } = {},
): FeedForwardDescription {
  const { hiddenSize, activation } = config;
  return {
    gated: true,
    up: [linear(`${prefix}.gate_proj`, width, hiddenSize, bias), linear(`${prefix}.up_proj`, width, hiddenSize, bias)],
    activation,
    down: linear(`${prefix}.down_proj`, hiddenSize, width, bias),
  };
}

/** A matrix for each of `experts`, whose tensor `nameOf` gives. */
export function expertMatrices(
  name: string,
  experts: number,
  rows: number,
  cols: number,
  nameOf: (expert: number) => string,
  bias?: boolean,
): ExpertMatrices {
  return { name, rows, cols, experts, expert: (index) => linear(nameOf(index), rows, cols, bias) };
}

/** The matrix whose scores say which experts a token goes to. */
export function router(name: string, experts: number, hiddenSize: number, bias?: boolean): LinearDescription {
  return { ...linear(name, experts, hiddenSize, bias), unrounded: true };
}

export function linear(name: string, rows: number, cols: number, bias = false): LinearDescription {
  return { weight: `${name}.weight`, rows, cols, bias: bias ? `${name}.bias` : undefined };
}

export function rmsNorm(config: ModelConfig, name: string, size = config.hiddenSize): NormDescription {
  return { weight: `${name}.weight`, size, eps: config.normEps };
}

/** A norm that takes the mean off, with or without a bias. */
export function layerNorm(config: ModelConfig, name: string, bias: boolean, size = config.hiddenSize): NormDescription {
  return { ...rmsNorm(config, name, size), centered: true, bias: bias ? `${name}.bias` : undefined };
}
