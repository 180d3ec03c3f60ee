/** config.json: the settings that every architecture has. What only one of them has, it reads itself. */

import type { Activation } from '../../kernels/index.ts';
import { type RopeConfig, reachOf, readRope } from '../rope.ts';
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

/** What an absent member means, and under which name some are; it differs between architectures. */
export interface ConfigDefaults {
  readonly tieWordEmbeddings: boolean;
  /** Default: hidden size divided by heads. */
  readonly headDim?: number;
  /** Size of the part of a head that is rotated, where `head_dim` does not tell; the head itself is then `headDim`. */
  readonly rotatedHeadDim?: number;
  /** Default 1e-6. */
  readonly normEps?: number;
  /** Default `rms_norm_eps`. */
  readonly normEpsName?: string;
  /** Default 10000. */
  readonly ropeTheta?: number;
  /** Default 1. */
  readonly partialRotaryFactor?: number;
  /** Default `silu`. */
  readonly activation?: string;
  /** Default `hidden_act`. */
  readonly activationName?: string;
}

const SIZE = { min: 1, max: 2 ** 24 };
const LAYERS = { min: 1, max: 1024 };
const HEADS = { min: 1, max: 65_536 };
const POSITIONS = { min: 1, max: 2 ** 31 };

const ACTIVATIONS: ReadonlyMap<string, Activation> = new Map([
  ['silu', 'silu'],
  ['swish', 'silu'],
  ['gelu', 'gelu'],
  ['gelu_python', 'gelu'],
  ['gelu_pytorch_tanh', 'gelu_tanh'],
  ['gelu_new', 'gelu_tanh'],
  ['gelu_fast', 'gelu_tanh'],
  ['quick_gelu', 'quick_gelu'],
  ['relu', 'relu'],
]);

/** @throws CheckpointError naming the member that is missing, out of range or at odds with another. */
export function readModelConfig(fields: Fields, defaults: ConfigDefaults): ModelConfig {
  const hiddenSize = fields.integer('hidden_size', SIZE);
  const heads = fields.integer('num_attention_heads', HEADS);
  const kvHeads = fields.integer('num_key_value_heads', HEADS, heads);
  if (heads % kvHeads !== 0) fields.fail('num_key_value_heads', `a divisor of num_attention_heads, ${heads}`);
  const { rotatedHeadDim } = defaults;
  const headDim =
    rotatedHeadDim === undefined
      ? fields.integer('head_dim', SIZE, defaults.headDim ?? hiddenSize / heads)
      : (defaults.headDim as number);
  if (!Number.isInteger(headDim)) fields.fail('num_attention_heads', `a divisor of hidden_size, ${hiddenSize}`);
  const maxPositions = fields.integer('max_position_embeddings', POSITIONS);
  const rope = readRope(
    fields,
    { headDim: rotatedHeadDim ?? headDim, maxPositions },
    { theta: defaults.ropeTheta, partialRotaryFactor: defaults.partialRotaryFactor, section: 'full_attention' },
  );
  return {
    vocabSize: fields.integer('vocab_size', SIZE),
    hiddenSize,
    intermediateSize: fields.integer('intermediate_size', SIZE),
    layers: fields.integer('num_hidden_layers', LAYERS),
    heads,
    kvHeads,
    headDim,
    maxPositions: Math.max(maxPositions, reachOf(rope)),
    normEps: fields.positive(defaults.normEpsName ?? 'rms_norm_eps', defaults.normEps ?? 1e-6, 1),
    activation: fields.choice(defaults.activationName ?? 'hidden_act', ACTIVATIONS, defaults.activation ?? 'silu'),
    tieWordEmbeddings: fields.boolean('tie_word_embeddings', defaults.tieWordEmbeddings),
    rope,
  };
}
