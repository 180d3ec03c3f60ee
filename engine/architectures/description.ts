/** A decoder as data: what an architecture file makes of config.json, and all that the forward pass is built from. */

import type { Activation } from '../../kernels/index.ts';
import type { RopeConfig } from '../rope.ts';

export interface DecoderDescription {
  readonly modelType: string;
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Longest sequence that the model is made for, in tokens. */
  readonly maxPositions: number;
  /** `[vocabSize, hiddenSize]` */
  readonly embedding: LinearDescription;
  readonly layers: readonly LayerDescription[];
  readonly finalNorm: NormDescription;
  /** `[vocabSize, hiddenSize]`; the embedding itself when they are tied. */
  readonly head: LinearDescription;
}

/** x += output(attention(norm(x))), then x += down(feed-forward(norm(x))). */
export interface LayerDescription {
  readonly attentionNorm: NormDescription;
  readonly attention: AttentionDescription;
  readonly feedForwardNorm: NormDescription;
  readonly feedForward: FeedForwardDescription;
}

export interface AttentionDescription {
  /** Stacked they give `[q | k | v]` rows: `(heads + 2·kvHeads) · headDim`. */
  readonly qkv: readonly LinearDescription[];
  /** Norms of each head before the rotation, `[headDim]`. */
  readonly qNorm?: NormDescription;
  readonly kNorm?: NormDescription;
  readonly rope: RopeConfig;
  /** What the products of q and k are multiplied by. */
  readonly scale: number;
  /** How many of the last positions a token sees, its own among them; all when absent. */
  readonly window?: number;
  readonly output: LinearDescription;
}

/** down(activation(gate(x)) · up(x)) */
export interface FeedForwardDescription {
  /** Stacked they give `[gate | up]` rows: `2 · intermediateSize`. */
  readonly gateUp: readonly LinearDescription[];
  readonly activation: Activation;
  readonly down: LinearDescription;
}

/** A matrix by the name of its tensor, `[rows, cols]` = out × in features, and perhaps a bias `[rows]`. */
export interface LinearDescription {
  readonly weight: string;
  readonly rows: number;
  readonly cols: number;
  readonly bias?: string;
}

/** A root-mean-square norm by the name of its weight, `[size]`. */
export interface NormDescription {
  readonly weight: string;
  readonly size: number;
  readonly eps: number;
}
