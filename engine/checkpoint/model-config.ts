/** config.json: the settings that every architecture has. What only one of them has, it reads itself. */

import type { Activation } from '../../kernels/index.ts';
import { type RopeConfig, readRope } from '../rope.ts';
import type { Fields } from './fields.ts';

/** Sizes and settings of a decoder, checked one by one and against each other. */
export interface ModelConfig {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly layers: number;
  readonly heads: number;
  /** Divides `heads`. */
  readonly kvHeads: number;
  readonly headDim: number;
  /** Longest sequence that the model is made for, in tokens. */
  readonly maxPositions: number;
  readonly normEps: number;
  readonly activation: Activation;
  readonly tieWordEmbeddings: boolean;
  readonly rope: RopeConfig;
}

/** What an absent member means; it differs between architectures. */
export interface ConfigDefaults {
  readonly tieWordEmbeddings: boolean;
  /** Default: hidden size divided by heads. */
  readonly headDim?: number;
}

const SIZE = { min: 1, max: 2 ** 24 };
const LAYERS = { min: 1, max: 1024 };
const HEADS = { min: 1, max: 65_536 };
const POSITIONS = { min: 1, max: 2 ** 31 };

const ACTIVATIONS: ReadonlyMap<string, Activation> = new Map([
  ['silu', 'silu'],
  ['swish', 'silu'],
  ['gelu_pytorch_tanh', 'gelu_tanh'],
  ['gelu_new', 'gelu_tanh'],
]);

/** @throws CheckpointError naming the member that is missing, out of range or at odds with another. */
export function readModelConfig(fields: Fields, defaults: ConfigDefaults): ModelConfig {
  if (fields.has('quantization_config')) fields.fail('quantization_config', 'weights in float32, float16 or bfloat16');
  const hiddenSize = fields.integer('hidden_size', SIZE);
  const heads = fields.integer('num_attention_heads', HEADS);
  const kvHeads = fields.integer('num_key_value_heads', HEADS, heads);
  if (heads % kvHeads !== 0) fields.fail('num_key_value_heads', `a divisor of num_attention_heads, ${heads}`);
  const headDim = fields.integer('head_dim', SIZE, defaults.headDim ?? hiddenSize / heads);
  if (!Number.isInteger(headDim)) fields.fail('num_attention_heads', `a divisor of hidden_size, ${hiddenSize}`);
  const maxPositions = fields.integer('max_position_embeddings', POSITIONS);
  return {
    vocabSize: fields.integer('vocab_size', SIZE),
    hiddenSize,
    intermediateSize: fields.integer('intermediate_size', SIZE),
    layers: fields.integer('num_hidden_layers', LAYERS),
    heads,
    kvHeads,
    headDim,
    maxPositions,
    normEps: fields.positive('rms_norm_eps', 1e-6, 1),
    activation: fields.choice('hidden_act', ACTIVATIONS, 'silu'),
    tieWordEmbeddings: fields.boolean('tie_word_embeddings', defaults.tieWordEmbeddings),
    rope: readRope(fields, headDim, maxPositions),
  };
}
