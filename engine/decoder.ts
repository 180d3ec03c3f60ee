/**
 * The decoder: records the forward pass of a described model on a device, once for each row bucket, and replays it.
 *
 * The residual stream lives in `hidden`. Each block's output goes to `delta`, and the norm that comes next adds it.
 */

import {
  type Constant,
  type Device,
  DeviceError,
  type KvCache,
  type OpRecorder,
  type Plan,
  type ReducedLogits,
  type Reduction,
  type Routes,
  type Tensor,
  type Weight,
} from '../kernels/index.ts';
import {
  type AttentionDescription,
  type DecoderDescription,
  type ExpertMatrices,
  type ExpertsDescription,
  type FeedForwardDescription,
  isExperts,
  type LatentDescription,
  type LayerDescription,
  type LinearDescription,
  type NormDescription,
} from './architectures/description.ts';
import type { ModelSizes } from './choose-sizes.ts';
import type { ModelWeights } from './load-weights.ts';
import type { Model, ModelStep } from './model.ts';
import { longFrom, type RopeConfig, ropeTable } from './rope.ts';

export class Decoder implements Model {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly maxModelLen: number;
  readonly kvBlocks: number;
  readonly maxRows: number;
  readonly maxSeqs: number;
  readonly maxLogitRows: number;
  readonly longFrom: number | undefined;

  readonly #device: Device;
  /** By ascending row count. */
  readonly #plans: readonly Plan[];
  readonly #logits: Tensor;
  readonly #reduction: Reduction;
  readonly #last: Tensor;

  /**
   * Records the plans. The decoder owns the device from here on.
   * @throws DeviceError when the device has no room for the activations.
   */
  constructor(
    device: Device,
    description: DecoderDescription,
    weights: ModelWeights,
    cache: KvCache,
    sizes: ModelSizes,
  ) {
    device.setStepLimits(sizes.steps);
    const pass = new ForwardPass(device, description, weights, cache, sizes);
    this.vocabSize = description.vocabSize;
    this.maxModelLen = sizes.maxModelLen;
    this.kvBlocks = cache.blocks;
    this.maxRows = sizes.steps.maxRows;
    this.maxSeqs = sizes.steps.maxSlots;
    this.maxLogitRows = sizes.steps.maxLogitRows;
    this.longFrom = longestShort(description, sizes.maxModelLen);
    this.#device = device;
    this.#plans = device.rowBuckets(sizes.steps.maxRows).map((rows) => device.record(rows, (ops) => pass.record(ops)));
    this.#logits = pass.logits;
    this.#reduction = pass.reduction;
    this.#last = pass.last;
    this.hiddenSize = description.hiddenSize;
  }

  get isLost(): boolean {
    return this.#device.isLost;
  }

  async forward(step: ModelStep): Promise<void> {
    const rows = step.tokens.length;
    const plan = this.#plans.find(({ maxRows }) => maxRows >= rows);
    if (plan === undefined) throw new DeviceError(`${rows} rows in a step; at most ${this.maxRows} fit`);
    await this.#device.run(plan, { ...step, ropeRows: this.#ropeRows(step) });
  }

  logits(rows: number, firstRow = 0): Promise<Float32Array> {
    return this.#device.read(this.#logits, rows, firstRow);
  }

  reducedLogits(): Promise<(ReducedLogits | null)[]> {
    return this.#device.readReduction(this.#reduction);
  }

  /** The rows of the rope tables, where they are not the positions: those of long sequences lie behind the short ones'. */
  #ropeRows({ positions, slots, lengths }: ModelStep): number[] | undefined {
    const { longFrom: short } = this;
    if (short === undefined || lengths === undefined) return undefined;
    return Array.from(positions, (position, row) => (lengths[slots[row]] > short ? short + position : position));
  }

  hiddenStates(rows: number): Promise<Float32Array> {
    return this.#device.read(this.#last, rows);
  }

  close(): Promise<void> {
    return this.#device.close();
  }
}

/** See {@link Model.longFrom}. */
function longestShort({ layers }: DecoderDescription, positions: number): number | undefined {
  const lengths = layers.flatMap(({ attention: { rope } }) => (rope && longFrom(rope, positions)) ?? []);
  return lengths.length === 0 ? undefined : Math.min(...lengths);
}

/** The operands of a forward pass, and the order of its ops. */
class ForwardPass {
  /** `[maxLogitRows, vocabSize]` */
  readonly logits: Tensor;
  /** What the logits are reduced to. */
  readonly reduction: Reduction;
  /** `[maxLogitRows, hiddenSize]`: what the logits are made of. */
  readonly last: Tensor;

  readonly #device: Device;
  readonly #description: DecoderDescription;
  readonly #weights: ModelWeights;
  readonly #cache: KvCache;
  readonly #constants: Constants;
  readonly #maxRows: number;
  readonly #scratch = new Map<string, Tensor>();
  readonly #routes = new Map<string, Routes>();

  /** `[maxRows, hiddenSize]`: the residual stream, its norm, and what the last block adds to it. */
  readonly #hidden: Tensor;
  readonly #normed: Tensor;
  readonly #delta: Tensor;
  /** `[maxRows, (heads + 2·kvHeads) · headDim]` */
  readonly #qkv: Tensor;
  /** `[maxRows, heads · headDim]` */
  readonly #attended: Tensor;

  constructor(
    device: Device,
    description: DecoderDescription,
    weights: ModelWeights,
    cache: KvCache,
    sizes: ModelSizes,
  ) {
    const { hiddenSize, heads, kvHeads, headDim, vocabSize } = description;
    this.#device = device;
    this.#description = description;
    this.#weights = weights;
    this.#cache = cache;
    this.#constants = new Constants(device, weights, sizes.maxModelLen, longestShort(description, sizes.maxModelLen));
    this.#maxRows = sizes.steps.maxRows;

    this.#hidden = this.#tensor('hidden', hiddenSize);
    this.#normed = this.#tensor('normed', hiddenSize);
    this.#delta = this.#tensor('delta', hiddenSize);
    this.#qkv = this.#tensor('qkv', (heads + 2 * kvHeads) * headDim);
    this.#attended = this.#tensor('attended', heads * headDim);

    const lastRows = { maxRows: sizes.steps.maxLogitRows, domain: 'logits' } as const;
    this.last = device.createTensor({ name: 'last', cols: hiddenSize, ...lastRows });
    this.logits = device.createTensor({ name: 'logits', cols: vocabSize, ...lastRows });
    this.reduction = device.createReduction(this.logits);
  }

  record(ops: OpRecorder): void {
    const { embedding, embeddingScale, layers, finalNorm, head, logits } = this.#description;
    ops.embed({ table: this.#weights.matrix(embedding.weight), out: this.#hidden, scale: embeddingScale });
    // What the last block left in `delta` and is still to be added, times this.
    let pending: number | undefined;
    layers.forEach((layer, index) => {
      this.#layer(ops, layer, index, pending);
      pending = layer.residualScale ?? 1;
    });
    this.#norm(ops, finalNorm, pending);
    ops.gatherRows({ x: this.#normed, out: this.last });
    this.#linear(ops, this.last, [head], this.logits);
    if (logits) ops.scaleAndCap({ x: this.logits, ...logits });
    ops.reduceLogits({ logits: this.logits, out: this.reduction });
  }

  /** Leaves the output of the feed-forward in `delta`, to be added by whoever comes next. */
  #layer(ops: OpRecorder, layer: LayerDescription, index: number, pending: number | undefined): void {
    const { attentionNorm, attentionOutputNorm, feedForwardNorm, feedForwardOutputNorm, residualScale = 1 } = layer;
    const input = this.#norm(ops, attentionNorm, pending);
    this.#attention(ops, layer.attention, input, index);
    this.#outputNorm(ops, attentionOutputNorm);
    if (layer.parallel) {
      // The norm stays what it was.
      ops.addScaled({ x: this.#hidden, add: this.#delta, scale: residualScale });
      this.#feedForward(ops, layer.feedForward, input, this.#delta);
    } else {
      this.#feedForward(ops, layer.feedForward, this.#norm(ops, feedForwardNorm, residualScale), this.#delta);
    }
    this.#outputNorm(ops, feedForwardOutputNorm);
  }

  /** hidden += pending · delta, if there is any; gives where its norm is, or `hidden` itself without one. */
  #norm(ops: OpRecorder, norm: NormDescription | undefined, pending: number | undefined): Tensor {
    const add = pending === undefined ? undefined : this.#delta;
    if (norm === undefined) {
      if (add) ops.addScaled({ x: this.#hidden, add, scale: pending });
      return this.#hidden;
    }
    const addScale = pending === 1 ? undefined : pending;
    ops.norm({ x: this.#hidden, add, addScale, ...this.#constants.norm(norm), out: this.#normed });
    return this.#normed;
  }

  #outputNorm(ops: OpRecorder, norm: NormDescription | undefined): void {
    if (norm) ops.norm({ x: this.#delta, ...this.#constants.norm(norm), out: this.#delta });
  }

  #attention(ops: OpRecorder, attention: AttentionDescription, input: Tensor, layer: number): void {
    const { heads } = this.#description;
    const { columnNorms = [], qNorm, kNorm, rope, scale, window, softcap, sinks } = attention;
    const [qkv, cache] = [this.#qkv, this.#cache];
    if (attention.latents) this.#latentAttention(ops, attention.latents, attention.qkv, input);
    else this.#linear(ops, input, attention.qkv, qkv);
    for (const { first, norm } of columnNorms) {
      ops.norm({ x: qkv, ...this.#constants.norm(norm), columns: { first }, out: qkv });
    }
    ops.ropeAndCache({
      qkv,
      heads,
      rotaryDim: rope?.rotaryDim ?? 0,
      rope: rope && this.#constants.rope(rope),
      qNorm: qNorm && this.#constants.norm(qNorm).weight,
      kNorm: kNorm && this.#constants.norm(kNorm).weight,
      normEps: qNorm?.eps,
      cache,
      layer,
    });
    const sinkScores = sinks === undefined ? undefined : this.#constants.vector(sinks);
    ops.attention({ qkv, heads, scale, window, softcap, sinks: sinkScores, cache, layer, out: this.#attended });
    this.#linear(ops, this.#attended, [attention.output], this.#delta);
  }

  /** q from its latent, or the input, and k and v from theirs. */
  #latentAttention(
    ops: OpRecorder,
    latents: NonNullable<AttentionDescription['latents']>,
    [q, kv]: readonly LinearDescription[],
    input: Tensor,
  ): void {
    const latentOf = (name: string, { down, norm }: LatentDescription): Tensor => {
      const latent = this.#tensor(name, down.rows);
      this.#linear(ops, input, [down], latent);
      ops.norm({ x: latent, ...this.#constants.norm(norm), columns: { first: 0 }, out: latent });
      return latent;
    };
    const multiply = (x: Tensor, { weight }: LinearDescription, first: number) =>
      ops.linear({ x, weights: [this.#weights.matrix(weight)], columns: { first }, out: this.#qkv });
    multiply(latents.q ? latentOf('latent q', latents.q) : input, q, 0);
    multiply(latentOf('latent kv', latents.kv), kv, q.rows);
  }

  #feedForward(
    ops: OpRecorder,
    feedForward: FeedForwardDescription | ExpertsDescription,
    input: Tensor,
    out: Tensor,
  ): void {
    if (isExperts(feedForward)) {
      this.#experts(ops, feedForward, input, out);
      return;
    }
    const { gated, up, activation, down } = feedForward;
    const raised = this.#tensor('raised', rowsOf(up));
    const activated = this.#tensor('activated', down.cols);
    this.#linear(ops, input, up, raised);
    if (gated) ops.gatedActivation({ x: raised, activation, out: activated });
    else ops.activation({ x: raised, activation, out: activated });
    this.#linear(ops, activated, [down], out);
  }

  #experts(ops: OpRecorder, mixture: ExpertsDescription, input: Tensor, out: Tensor): void {
    const { experts, perToken, router, up, activation, limit, down, shared } = mixture;
    const { normalize, scale, groups } = mixture;
    const routes = this.#routesOf(experts, perToken);
    const routed = (name: string, cols: number) => this.#tensor(name, cols, perToken);
    const each = routed('each', input.cols);
    const raised = routed('raised', rowsOf(up));
    const activated = routed('activated', down.cols);
    const results = routed('results', out.cols);
    const scores = this.#tensor('scores', experts);
    this.#linear(ops, input, [router], scores);
    ops.route({ scores, normalize, scale, groups, routes });
    ops.gatherRoutes({ x: input, routes, out: each });
    this.#expertLinear(ops, each, routes, up, raised);
    ops.gatedActivation({ x: raised, activation, limit, out: activated });
    this.#expertLinear(ops, activated, routes, [down], results);
    ops.mixRoutes({ x: results, routes, out });
    if (shared === undefined) return;

    const common = this.#tensor('common', out.cols);
    this.#feedForward(ops, shared.feedForward, input, common);
    const gate = shared.gate && this.#tensor('gate', 1);
    if (shared.gate && gate) this.#linear(ops, input, [shared.gate], gate);
    ops.addScaled({ x: out, add: common, gate });
  }

  #linear(ops: OpRecorder, x: Tensor, linears: readonly LinearDescription[], out: Tensor): void {
    const weights = linears.map(({ weight }) => this.#weights.matrix(weight));
    ops.linear({ x, weights, bias: this.#constants.bias(linears), out });
  }

  #expertLinear(ops: OpRecorder, x: Tensor, routes: Routes, matrices: readonly ExpertMatrices[], out: Tensor): void {
    const weights: Weight[] = matrices.map(({ name }) => this.#weights.expertMatrices(name));
    // Expert after expert, as the rows of `out` have them.
    const biases = Array.from({ length: routes.experts }, (_, e) => matrices.map(({ expert }) => expert(e))).flat();
    ops.expertLinear({ x, routes, weights, bias: this.#constants.bias(biases), out });
  }

  /** Activations that all layers share, by what they are for and their width. */
  #tensor(name: string, cols: number, perRow = 1): Tensor {
    const key = `${name} ${cols} ${perRow}`;
    let tensor = this.#scratch.get(key);
    if (tensor === undefined) {
      tensor = this.#device.createTensor({ name, maxRows: perRow * this.#maxRows, cols, perRow });
      this.#scratch.set(key, tensor);
    }
    return tensor;
  }

  #routesOf(experts: number, perToken: number): Routes {
    const key = `${experts} ${perToken}`;
    let routes = this.#routes.get(key);
    if (routes === undefined) {
      routes = this.#device.createRoutes({ experts, perToken });
      this.#routes.set(key, routes);
    }
    return routes;
  }
}

function rowsOf(parts: readonly { readonly rows: number }[]): number {
  return parts.reduce((sum, { rows }) => sum + rows, 0);
}

/** The constants of a forward pass, each made once however many plans use it. */
class Constants {
  readonly #device: Device;
  readonly #weights: ModelWeights;
  readonly #positions: number;
  readonly #longFrom: number | undefined;
  readonly #named = new Map<string, Constant>();
  readonly #ropes = new Map<RopeConfig, Constant>();

  constructor(device: Device, weights: ModelWeights, positions: number, longFrom: number | undefined) {
    this.#device = device;
    this.#weights = weights;
    this.#positions = positions;
    this.#longFrom = longFrom;
  }

  vector(name: string): Constant {
    return this.#once(name, () => this.#weights.vector(name));
  }

  /** What the norm op wants to know of a norm. */
  norm({ weight, bias, eps, centered, plusOne }: NormDescription) {
    return {
      weight: plusOne
        ? this.#once(`1 + ${weight}`, () => this.#weights.vector(weight).map((value) => 1 + value))
        : this.vector(weight),
      bias: bias === undefined ? undefined : this.vector(bias),
      eps,
      centered,
    };
  }

  /** The biases of stacked matrices end to end, zero where one has none; undefined when none has. */
  bias(linears: readonly LinearDescription[]): Constant | undefined {
    const names = linears.flatMap(({ bias }) => bias ?? []);
    if (names.length === 0) return undefined;
    return this.#once(`${names[0]} and ${names.length - 1} more`, () => {
      const values = new Float32Array(rowsOf(linears));
      let at = 0;
      for (const { bias, rows } of linears) {
        if (bias !== undefined) values.set(this.#weights.vector(bias), at);
        at += rows;
      }
      return values;
    });
  }

  rope(rope: RopeConfig): Constant {
    let constant = this.#ropes.get(rope);
    if (constant === undefined) {
      constant = this.#device.createConstant(
        `rope ${this.#ropes.size}`,
        ropeTable(rope, this.#positions, this.#longFrom),
      );
      this.#ropes.set(rope, constant);
    }
    return constant;
  }

  #once(name: string, values: () => Float32Array): Constant {
    let constant = this.#named.get(name);
    if (constant === undefined) {
      constant = this.#device.createConstant(name, values());
      this.#named.set(name, constant);
    }
    return constant;
  }
}
