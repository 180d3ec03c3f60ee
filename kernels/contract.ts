/**
 * The device contract: what a device must offer so that the decoder can run on it.
 *
 * A forward pass is a *plan*: a list of ops recorded once per row bucket and replayed every step, away from the event
 * loop. What changes from step to step (token ids, positions, block tables, which rows need logits) comes in as a
 * {@link StepInput}; weights, activations and op arguments are fixed when the plan is recorded.
 *
 * Promises every device keeps:
 * - **Batch invariance**: the result for one row is bit-identical whatever else is in the step, however the prompt was
 *   chunked, and however many threads run it. Each reduction has an order fixed by the shapes of that row alone.
 * - Ops of a plan run in the order they were recorded; each sees all that the earlier ones wrote.
 * - Activations are float32, row-major, one row per token of the step.
 */

import type { FileFormat, WeightFormat } from './formats.ts';

/** Positions in one K/V block (page). A sequence's block table has one entry for every `KV_BLOCK_SIZE` positions. */
export const KV_BLOCK_SIZE = 16;

/** A weight matrix `[rows, cols]` (out × in features) in the device's own layout, or several of them. */
export interface Weight {
  readonly name: string;
  /** Rows of all matrices together. */
  readonly rows: number;
  readonly cols: number;
  /** How many matrices lie one under the other, one for each expert; mostly 1. */
  readonly matrices: number;
  readonly format: WeightFormat;
  /** Bytes that the weight takes on the device, scales and padding included. */
  readonly byteLength: number;
}

/** Which rows of a step a tensor has: all token rows, or only the ones whose logits are wanted. */
export type RowDomain = 'tokens' | 'logits';

/** Float32 activations `[maxRows, cols]`, row-major; a step uses the first rows of its {@link RowDomain}. */
export interface Tensor {
  readonly name: string;
  readonly maxRows: number;
  readonly cols: number;
  readonly domain: RowDomain;
  /**
   * Rows for each row of the domain, mostly 1. More for what the experts of each token compute: then the order of the
   * rows is the device's own, as {@link OpRecorder.gatherRoutes} leaves them, and so is whether they are written at all,
   * once the ops that read them have been recorded.
   */
  readonly perRow: number;
}

/** What a tensor is to be. */
export interface TensorShape {
  readonly name: string;
  /** `perRow` times the most rows of its domain. */
  readonly maxRows: number;
  readonly cols: number;
  /** Default `tokens`. */
  readonly domain?: RowDomain;
  /** Default 1. */
  readonly perRow?: number;
}

/** What a weight is to be. */
export interface WeightShape {
  readonly name: string;
  readonly rows: number;
  readonly cols: number;
  readonly format: WeightFormat;
  /** Divides `rows`. Default 1. */
  readonly matrices?: number;
}

/** Which experts each token of a step goes to, and with what weights; made by {@link OpRecorder.route}. */
export interface Routes {
  readonly experts: number;
  /** Experts of each token. */
  readonly perToken: number;
}

/** Float32 values that never change: norm weights, biases, rope tables. */
export interface Constant {
  readonly name: string;
  readonly length: number;
}

/** Paged keys and values of every layer: `blocks` pages of {@link KV_BLOCK_SIZE} positions each. */
export interface KvCache {
  readonly layers: number;
  readonly blocks: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly byteLength: number;
}

/** What {@link OpRecorder.reduceLogits} leaves of the rows of a tensor of logits. */
export interface Reduction {
  readonly logits: Tensor;
}

/** What a K/V cache is to hold. */
export interface KvShape {
  readonly layers: number;
  readonly kvHeads: number;
  readonly headDim: number;
  /**
   * How keys and values are stored. `F16` rounds them to half precision, at most ±65504. `I8` rounds each head's key or
   * value of a position to whole multiples, -127 to 127, of 1/127 of its largest element. Default `F32`.
   */
  readonly format?: KvFormat;
}

export type KvFormat = 'F32' | 'F16' | 'I8';

/** The ops, recorded in order. Every method names its operands; shapes are checked at once (`DeviceError`). */
export interface OpRecorder {
  /** out[r] = table[tokens[r]] · scale. `table` is `[vocabulary, hidden]` of any weight format. */
  embed(op: { table: Weight; out: Tensor; scale?: number }): void;

  /**
   * Root-mean-square norm, with the residual add before it:
   * x[r] += addScale · add[r] (if given); out[r][i] = x[r][i] / sqrt(mean(x[r]²) + eps) · weight[i] + bias[i].
   * `centered` takes the mean off x[r] first, and with it out of the squares. `x` keeps the sum. `out` may be `x` itself.
   * `columns` norms those columns only, from `first` as many as there are weights, as if they were the whole row.
   * Sources: Zhang and Sennrich, arXiv:1910.07467; centred: Ba et al., arXiv:1607.06450.
   */
  norm(op: {
    x: Tensor;
    add?: Tensor;
    /** Default 1. */
    addScale?: number;
    centered?: boolean;
    weight: Constant;
    bias?: Constant;
    eps: number;
    columns?: { readonly first: number };
    out: Tensor;
  }): void;

  /** x[r] += scale · add[r], times sigmoid(gate[r]) if there is a gate, `[rows, 1]`. Scale is 1 by default. */
  addScaled(op: { x: Tensor; add: Tensor; scale?: number; gate?: Tensor }): void;

  /** x[r] = cap · tanh(scale · x[r] / cap), or scale · x[r] without a cap. */
  scaleAndCap(op: { x: Tensor; scale: number; cap?: number }): void;

  /**
   * out[r] = x[r] · weightᵀ + bias. Several weights side by side fill consecutive columns of `out`, and share one
   * quantised copy of `x` where their format wants 8-bit activations. With `columns` they fill those from `first` on, the
   * others stay as they are; then there is no bias.
   */
  linear(op: {
    x: Tensor;
    weights: readonly Weight[];
    bias?: Constant;
    columns?: { readonly first: number };
    out: Tensor;
  }): void;

  /**
   * Takes `qkv` rows `[heads·headDim | kvHeads·headDim | kvHeads·headDim]`, norms each q and k head if asked (RMS over
   * headDim), rotates the first `rotaryDim` elements of q and k by the row's position (half-split pairs: i with
   * i + rotaryDim/2), leaves q in place and writes k and v to the row's position in the cache.
   * `rope` is `[positions, rotaryDim]`: rotaryDim/2 cosines, then rotaryDim/2 sines; a step may name other rows of it
   * than the positions ({@link StepInput.ropeRows}). Without it nothing is rotated. Source: arXiv:2104.09864.
   */
  ropeAndCache(op: {
    qkv: Tensor;
    heads: number;
    /** 0 without `rope`. */
    rotaryDim: number;
    rope?: Constant;
    qNorm?: Constant;
    kNorm?: Constant;
    normEps?: number;
    cache: KvCache;
    layer: number;
  }): void;

  /**
   * Causal attention of each row's q heads (the first `heads·headDim` columns of `qkv`) over the cached positions of
   * its own sequence, 0 to its own position, or only the last `window` of them. Query head h reads K/V head
   * floor(h · kvHeads / heads). out is `[rows, heads·headDim]`.
   *
   * With a `softcap` c a score s becomes c · tanh(s / c) (Gemma 2, arXiv:2408.00118). A sink is one more score of a head,
   * `[heads]`, that takes its share of the weights and adds nothing to the result (arXiv:2309.17453; gpt-oss).
   */
  attention(op: {
    qkv: Tensor;
    heads: number;
    scale: number;
    window?: number;
    softcap?: number;
    sinks?: Constant;
    cache: KvCache;
    layer: number;
    out: Tensor;
  }): void;

  /**
   * out[r][i] = act(x[r][i]) · x[r][n + i] with n = out.cols: the gate is the first half of `x`, the up part the second.
   * With a `limit` (gpt-oss): gate = min(gate, limit), up = min(max(up, −limit), limit) + 1.
   */
  gatedActivation(op: { x: Tensor; activation: Activation; limit?: number; out: Tensor }): void;

  /** out[r][i] = act(x[r][i]); `out` may be `x` itself. */
  activation(op: { x: Tensor; activation: Activation; out: Tensor }): void;

  /**
   * Chooses the experts of each token: the `routes.perToken` greatest of `scores` `[tokens, experts]`, of equals the first.
   * Their weights are the softmax of the scores over all experts; `normalize` makes those of a token sum to 1; in the end
   * each is multiplied by `scale` (1 by default). With `groups` the experts are so many groups side by side, at most 32, and
   * only those of the `chosen` groups with the greatest score in them are eligible (arXiv:2405.04434).
   * Source: Shazeer et al., arXiv:1701.06538.
   */
  route(op: {
    scores: Tensor;
    normalize: boolean;
    scale?: number;
    groups?: { readonly count: number; readonly chosen: number };
    routes: Routes;
  }): void;

  /**
   * Copies each row of `x` `[tokens, n]` to the rows of `out`, one for each of its routes. Only {@link OpRecorder.expertLinear}
   * reads `out`, and `x` does not change before it has: a device may leave the copy to that.
   */
  gatherRoutes(op: { x: Tensor; routes: Routes; out: Tensor }): void;

  /**
   * out[p] = x[p] · W[e]ᵀ + bias[e] where e is the expert of row p, and W[e] its matrix of a weight; several weights fill
   * consecutive columns of `out`. x and out have a row for each route, `bias` is `[experts · out.cols]`.
   */
  expertLinear(op: { x: Tensor; routes: Routes; weights: readonly Weight[]; bias?: Constant; out: Tensor }): void;

  /** out[r] = Σ weight · x[p] over the routes p of row r, in the order in which they were chosen. */
  mixRoutes(op: { x: Tensor; routes: Routes; out: Tensor }): void;

  /** out[j] = x[logitRows[j]]: picks the rows whose logits are wanted. `out` is in the `logits` domain. */
  gatherRows(op: { x: Tensor; out: Tensor }): void;

  /**
   * Boils rows of logits `[vocabSize]` down to what {@link StepInput.reductions} asks of each, so that a decode step reads
   * back some values instead of the vocabulary. It compares and does not compute, but for `sumExp`, whose error it
   * tells: bias and penalties touch few tokens, which the caller leaves out of the mask and gets as they are (`picks`).
   */
  reduceLogits(op: { logits: Tensor; out: Reduction }): void;
}

/** What is wanted of one row of logits. */
export interface LogitReduction {
  /** How many of the largest logits, 1 to {@link MAX_REDUCTION_TOP}. */
  readonly top: number;
  /** Tokens that count: bit `i & 31` of word `i >> 5`; those beyond the mask do not. Default: all. */
  readonly mask?: Uint32Array;
  /** Asks for `sumExp`; above 0. */
  readonly scale?: number;
  /** Tokens whose logits are wanted, whether they count or not; at most {@link MAX_REDUCTION_PICKS}. */
  readonly picks?: ArrayLike<number>;
}

export const MAX_REDUCTION_TOP = 256;
export const MAX_REDUCTION_PICKS = 4096;

/** What a row of logits came to. */
export interface ReducedLogits {
  /** False when a logit of the row is NaN or +Infinity, or all are -Infinity; the rest is then not to be used. */
  readonly isFinite: boolean;
  /**
   * The `top` largest logits above -Infinity among the tokens that count, and all that equal the last of them: largest
   * first, the lower token id first among equals. None when more of them are equal than the device has room for.
   */
  readonly ids: Int32Array;
  readonly logits: Float32Array;
  /** True when no other token with a logit above -Infinity counts. */
  readonly isComplete: boolean;
  /** Σ e^((logit - largest) · scale) over the tokens that count; 0 when not asked for. */
  readonly sumExp: number;
  /** Most by which `sumExp` is wrong, as a share of it. */
  readonly sumError: number;
  /** The logits of `picks`. */
  readonly picked: Float32Array;
}

/**
 * silu: x · σ(x); quick_gelu: x · σ(1.702 · x); gelu: x · Φ(x), and gelu_tanh its approximation by tanh
 * (arXiv:1606.08415); relu: max(x, 0).
 */
export type Activation = 'silu' | 'quick_gelu' | 'gelu' | 'gelu_tanh' | 'relu';

/** A recorded forward pass. */
export interface Plan {
  /** Most token rows that a step of this plan may have. */
  readonly maxRows: number;
}

/** What changes from step to step. All arrays are copied before `run` returns its promise. */
export interface StepInput {
  /** `[rows]` token ids. */
  readonly tokens: ArrayLike<number>;
  /** `[rows]` absolute position of each token in its sequence. */
  readonly positions: ArrayLike<number>;
  /** `[rows]` row of the rope tables for each token; by default its position. */
  readonly ropeRows?: ArrayLike<number>;
  /** `[rows]` index into `blockTables` of each row's sequence. */
  readonly slots: ArrayLike<number>;
  /** For each sequence of the step its K/V blocks in order; entry i holds positions i·KV_BLOCK_SIZE and on. */
  readonly blockTables: readonly ArrayLike<number>[];
  /** Indices of the rows whose logits are wanted, ascending. */
  readonly logitRows: ArrayLike<number>;
  /** For each of `logitRows` what it is to be reduced to, or null. Default: nothing is reduced. */
  readonly reductions?: readonly (LogitReduction | null)[];
  /** Blocks to copy before the first op, one after the other, in every K/V cache that the plan uses. */
  readonly copies?: readonly BlockCopy[];
}

/** Copies the keys and values of all layers of block `from` to block `to`. */
export interface BlockCopy {
  readonly from: number;
  readonly to: number;
}

/** Sizes fixed when a device's step buffers are made. */
export interface StepLimits {
  /** Most token rows in a step. */
  readonly maxRows: number;
  /** Most rows with logits in a step. */
  readonly maxLogitRows: number;
  /** Most sequences in a step. */
  readonly maxSlots: number;
  /** Most K/V blocks of one sequence. */
  readonly maxBlocksPerSlot: number;
}

export interface Device {
  readonly kind: DeviceKind;
  /** One line for people: what runs the kernels, with how many threads and which variants. */
  readonly description: string;

  /** Bytes of memory that the model has to share with whatever else there is; undefined when nobody tells. */
  readonly memoryBytes: number | undefined;
  /** True when the device has failed for good: every later call throws. */
  readonly isLost: boolean;

  /**
   * Makes room for a weight. `rows` are written with {@link Device.writeWeight}.
   * @throws DeviceError when it does not fit or the format cannot have such a row length.
   */
  createWeight(shape: WeightShape): Weight;

  /**
   * Converts and repacks rows `firstRow …` of a weight from their file layout (rows back to back, little-endian).
   * A source in another format than the weight's is converted.
   * `data` may be reused once the promise settles.
   */
  writeWeight(weight: Weight, firstRow: number, data: Uint8Array, sourceFormat: FileFormat): Promise<void>;

  createConstant(name: string, values: Float32Array): Constant;
  createTensor(shape: TensorShape): Tensor;
  /** Room for the routes of a step's tokens. Called after {@link Device.setStepLimits}. */
  createRoutes(shape: { experts: number; perToken: number }): Routes;
  createKvCache(shape: KvShape & { blocks: number }): KvCache;
  /** @param logits  in the `logits` domain */
  createReduction(logits: Tensor): Reduction;

  /** Bytes that one K/V block takes over all layers, to size a cache before making it. */
  kvBlockBytes(shape: KvShape): number;

  /** Fixes the sizes of the step buffers. Called once, before the first {@link Device.record}. */
  setStepLimits(limits: StepLimits): void;

  /** The row counts for which the decoder should record a plan, ascending; the last is `maxRows`. */
  rowBuckets(maxRows: number): number[];

  record(maxRows: number, ops: (record: OpRecorder) => void): Plan;

  /**
   * Runs one step. One at a time: a second call before the first settles is an error.
   * @throws DeviceError when an input is out of range, or the device is lost.
   */
  run(plan: Plan, step: StepInput): Promise<void>;

  /** `rows` rows of a tensor, tightly packed `[rows, cols]`, as the last run left them. The copy is the caller's. */
  read(tensor: Tensor, rows: number, firstRow?: number): Promise<Float32Array>;

  /** What the last run reduced each row of logits to; null where it was not asked. */
  readReduction(reduction: Reduction): Promise<(ReducedLogits | null)[]>;

  /** Frees everything. Later calls throw `DeviceError`. */
  close(): Promise<void>;
}

export type DeviceKind = 'reference' | 'wasm' | 'webgpu';
