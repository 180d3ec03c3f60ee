/** A decoder as data: what an architecture file makes of config.json, and all that the forward pass is built from. */

import type { Activation } from '../../kernels/index.ts';
import type { RopeConfig } from '../rope.ts';

export interface DecoderDescription {
  readonly modelType: string;
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /** Longest sequence that the model is made for, in tokens. */
  readonly maxPositions: number;
  /** `[vocabSize, hiddenSize]` */
  readonly embedding: LinearDescription;
  /** What the embeddings are multiplied by. Default 1. */
  readonly embeddingScale?: number;
  readonly layers: readonly LayerDescription[];
  readonly finalNorm: NormDescription;
  /** `[vocabSize, hiddenSize]`; the embedding itself when they are tied. */
  readonly head: LinearDescription;
  /** logits = cap · tanh(scale · head(x) / cap), or scale · head(x) without a cap. */
  readonly logits?: { readonly scale: number; readonly cap?: number };
}

/**
 * x += outputNorm(attention(norm(x))), then x += outputNorm(feedForward(norm(x))), with each norm only where there is one.
 * With `parallel` both take the first norm of the same x.
 */
export interface LayerDescription {
  readonly attentionNorm?: NormDescription;
  readonly attention: AttentionDescription;
  readonly attentionOutputNorm?: NormDescription;
  readonly parallel?: boolean;
  readonly feedForwardNorm?: NormDescription;
  readonly feedForward: FeedForwardDescription | ExpertsDescription;
  readonly feedForwardOutputNorm?: NormDescription;
  /** What attention and feed-forward are multiplied by before they are added. Default 1. */
  readonly residualScale?: number;
}

export interface AttentionDescription {
  /** Stacked they give `[q | k | v]` rows: `(heads + 2·kvHeads) · headDim`. */
  readonly qkv: readonly LinearDescription[];
  /** What the first of them, and the second, multiply instead of the layer's input. */
  readonly latents?: { readonly q?: LatentDescription; readonly kv: LatentDescription };
  /** Norms of ranges of these columns, before all else. */
  readonly columnNorms?: Iterable<ColumnNorm>;
  /** Norms of each head before the rotation, `[headDim]`. */
  readonly qNorm?: NormDescription;
  readonly kNorm?: NormDescription;
  /** None: positions are told by the mask alone. */
  readonly rope?: RopeConfig;
  /** What the products of q and k are multiplied by. */
  readonly scale: number;
  /** How many of the last positions a token sees, its own among them; all when absent. */
  readonly window?: number;
  /** Scores become softcap · tanh(score / softcap). */
  readonly softcap?: number;
  /** A vector `[heads]` of scores that take their share and give nothing. */
  readonly sinks?: string;
  readonly output: LinearDescription;
}

/** down(x), of which the norm is taken of as many columns at the beginning as it has weights. */
export interface LatentDescription {
  readonly down: LinearDescription;
  readonly norm: NormDescription;
}

/** A norm of the columns from `first` on, as many as it has weights. */
export interface ColumnNorm {
  readonly first: number;
  readonly norm: NormDescription;
}

/** down(activation(gate(x)) · up(x)), or down(activation(up(x))). */
export interface FeedForwardDescription {
  readonly gated: boolean;
  /** Stacked they give `[gate | up]` rows, or `up` alone. */
  readonly up: readonly LinearDescription[];
  readonly activation: Activation;
  readonly down: LinearDescription;
}

/** A sum of gated feed-forwards, chosen and weighted for each token by the scores of a router. */
export interface ExpertsDescription {
  readonly experts: number;
  readonly perToken: number;
  /** `[experts, hiddenSize]` */
  readonly router: LinearDescription;
  /** Whether the weights of a token's experts are made to sum to 1; what they are multiplied by in the end, 1 by default. */
  readonly normalize: boolean;
  readonly scale?: number;
  /** See `route` of the device contract. */
  readonly groups?: { readonly count: number; readonly chosen: number };
  /** Side by side they give `[gate | up]` rows for each expert. */
  readonly up: readonly ExpertMatrices[];
  readonly activation: Activation;
  /** See `gatedActivation` of the device contract. */
  readonly limit?: number;
  readonly down: ExpertMatrices;
  /** A feed-forward for every token, multiplied by sigmoid(gate(x)) if there is a gate, `[1, hiddenSize]`. */
  readonly shared?: { readonly feedForward: FeedForwardDescription; readonly gate?: LinearDescription };
}

/** The same matrix of each expert, `[rows, cols]`. */
export interface ExpertMatrices {
  /** What they are called together. */
  readonly name: string;
  readonly rows: number;
  readonly cols: number;
  /** How many there are. */
  readonly experts: number;
  readonly expert: (index: number) => LinearDescription;
}

/** A matrix by the name of its tensor, `[rows, cols]` = out × in features, and perhaps a bias `[rows]`. */
export interface LinearDescription {
  readonly weight: string;
  readonly rows: number;
  readonly cols: number;
  readonly bias?: string;
  /**
   * The rows of each head, so many of them, lie in the order 0, h/2, 1, h/2 + 1 …: the model rotates neighbouring
   * elements, where the device rotates halves. The order within a head means nothing else, so rows are put in order as
   * they are loaded.
   */
  readonly interleavedHeadRows?: number;
  /** Keeps the format of its file when others are rounded: it is small, and choices hang on it. */
  readonly unrounded?: boolean;
}

/** A norm by the names of its tensors, `[size]`. */
export interface NormDescription {
  readonly weight: string;
  readonly bias?: string;
  readonly size: number;
  readonly eps: number;
  /** The mean is taken off first; else it is a root-mean-square norm. */
  readonly centered?: boolean;
  /** Elements are multiplied by 1 + weight. */
  readonly plusOne?: boolean;
}

export function isExperts(feedForward: FeedForwardDescription | ExpertsDescription): feedForward is ExpertsDescription {
  return 'router' in feedForward;
}
