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
  type StepInput,
  type Tensor,
} from '../kernels/index.ts';
import type {
  AttentionDescription,
  DecoderDescription,
  FeedForwardDescription,
  LinearDescription,
  NormDescription,
} from './architectures/description.ts';
import type { ModelSizes } from './choose-sizes.ts';
import type { ModelWeights } from './load-weights.ts';
import type { Model } from './model.ts';
import { type RopeConfig, ropeTable } from './rope.ts';

export class Decoder implements Model {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly maxModelLen: number;
  readonly kvBlocks: number;
  readonly maxRows: number;
  readonly maxSeqs: number;
  readonly maxLogitRows: number;

  readonly #device: Device;
  /** By ascending row count. */
  readonly #plans: readonly Plan[];
  readonly #logits: Tensor;
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
    this.#device = device;
    this.#plans = device.rowBuckets(sizes.steps.maxRows).map((rows) => device.record(rows, (ops) => pass.record(ops)));
    this.#logits = pass.logits;
    this.#last = pass.last;
    this.hiddenSize = description.hiddenSize;
  }

  async forward(step: StepInput): Promise<Float32Array> {
    const rows = step.tokens.length;
    const plan = this.#plans.find(({ maxRows }) => maxRows >= rows);
    if (plan === undefined) throw new DeviceError(`${rows} rows in a step; at most ${this.maxRows} fit`);
    const wanted = step.logitRows.length;
    await this.#device.run(plan, step);
    return wanted === 0 ? new Float32Array(0) : this.#device.read(this.#logits, wanted);
  }

  hiddenStates(rows: number): Promise<Float32Array> {
    return this.#device.read(this.#last, rows);
  }

  close(): Promise<void> {
    return this.#device.close();
  }
}

/** The operands of a forward pass, and the order of its ops. */
class ForwardPass {
  /** `[maxLogitRows, vocabSize]` */
  readonly logits: Tensor;
  /** `[maxLogitRows, hiddenSize]`: what the logits are made of. */
  readonly last: Tensor;

  readonly #description: DecoderDescription;
  readonly #weights: ModelWeights;
  readonly #cache: KvCache;
  readonly #constants: Constants;

  /** `[maxRows, hiddenSize]`: the residual stream, its norm, and what the last block adds to it. */
  readonly #hidden: Tensor;
  readonly #normed: Tensor;
  readonly #delta: Tensor;
  /** `[maxRows, (heads + 2·kvHeads) · headDim]` */
  readonly #qkv: Tensor;
  /** `[maxRows, heads · headDim]` */
  readonly #attended: Tensor;
  /** `[maxRows, 2 · intermediateSize]`, then `[maxRows, intermediateSize]` */
  readonly #gateUp: Tensor;
  readonly #activated: Tensor;

  constructor(
    device: Device,
    description: DecoderDescription,
    weights: ModelWeights,
    cache: KvCache,
    sizes: ModelSizes,
  ) {
    const { hiddenSize, intermediateSize, heads, kvHeads, headDim, vocabSize } = description;
    this.#description = description;
    this.#weights = weights;
    this.#cache = cache;
    this.#constants = new Constants(device, weights, sizes.maxModelLen);

    const tensor = (name: string, cols: number) => device.createTensor({ name, maxRows: sizes.steps.maxRows, cols });
    this.#hidden = tensor('hidden', hiddenSize);
    this.#normed = tensor('normed', hiddenSize);
    this.#delta = tensor('delta', hiddenSize);
    this.#qkv = tensor('qkv', (heads + 2 * kvHeads) * headDim);
    this.#attended = tensor('attended', heads * headDim);
    this.#gateUp = tensor('gateUp', 2 * intermediateSize);
    this.#activated = tensor('activated', intermediateSize);

    const lastRows = { maxRows: sizes.steps.maxLogitRows, domain: 'logits' } as const;
    this.last = device.createTensor({ name: 'last', cols: hiddenSize, ...lastRows });
    this.logits = device.createTensor({ name: 'logits', cols: vocabSize, ...lastRows });
  }

  record(ops: OpRecorder): void {
    const { embedding, layers, finalNorm, head } = this.#description;
    ops.embed({ table: this.#weights.matrix(embedding.weight), out: this.#hidden });
    layers.forEach((layer, index) => {
      this.#norm(ops, layer.attentionNorm, index > 0);
      this.#attention(ops, layer.attention, index);
      this.#norm(ops, layer.feedForwardNorm, true);
      this.#feedForward(ops, layer.feedForward);
    });
    this.#norm(ops, finalNorm, true);
    ops.gatherRows({ x: this.#normed, out: this.last });
    this.#linear(ops, this.last, [head], this.logits);
  }

  /** normed = norm(hidden), after hidden += delta where there is one. */
  #norm(ops: OpRecorder, norm: NormDescription, addDelta: boolean): void {
    ops.norm({
      x: this.#hidden,
      add: addDelta ? this.#delta : undefined,
      weight: this.#constants.vector(norm.weight),
      eps: norm.eps,
      out: this.#normed,
    });
  }

  #attention(ops: OpRecorder, attention: AttentionDescription, layer: number): void {
    const { heads } = this.#description;
    const { qNorm, kNorm, rope, scale, window } = attention;
    const [qkv, cache] = [this.#qkv, this.#cache];
    this.#linear(ops, this.#normed, attention.qkv, qkv);
    ops.ropeAndCache({
      qkv,
      heads,
      rotaryDim: rope.rotaryDim,
      rope: this.#constants.rope(rope),
      qNorm: qNorm && this.#constants.vector(qNorm.weight),
      kNorm: kNorm && this.#constants.vector(kNorm.weight),
      normEps: qNorm?.eps,
      cache,
      layer,
    });
    ops.attention({ qkv, heads, scale, window, cache, layer, out: this.#attended });
    this.#linear(ops, this.#attended, [attention.output], this.#delta);
  }

  #feedForward(ops: OpRecorder, { gateUp, activation, down }: FeedForwardDescription): void {
    this.#linear(ops, this.#normed, gateUp, this.#gateUp);
    ops.gatedActivation({ x: this.#gateUp, activation, out: this.#activated });
    this.#linear(ops, this.#activated, [down], this.#delta);
  }

  #linear(ops: OpRecorder, x: Tensor, linears: readonly LinearDescription[], out: Tensor): void {
    const weights = linears.map(({ weight }) => this.#weights.matrix(weight));
    ops.linear({ x, weights, bias: this.#constants.bias(linears), out });
  }
}

/** The constants of a forward pass, each made once however many plans use it. */
class Constants {
  readonly #device: Device;
  readonly #weights: ModelWeights;
  readonly #positions: number;
  readonly #named = new Map<string, Constant>();
  readonly #ropes = new Map<RopeConfig, Constant>();

  constructor(device: Device, weights: ModelWeights, positions: number) {
    this.#device = device;
    this.#weights = weights;
    this.#positions = positions;
  }

  vector(name: string): Constant {
    return this.#once(name, () => this.#weights.vector(name));
  }

  /** The biases of stacked matrices end to end, zero where one has none; undefined when none has. */
  bias(linears: readonly LinearDescription[]): Constant | undefined {
    const names = linears.flatMap(({ bias }) => bias ?? []);
    if (names.length === 0) return undefined;
    return this.#once(names.join('|'), () => {
      const values = new Float32Array(linears.reduce((sum, { rows }) => sum + rows, 0));
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
      constant = this.#device.createConstant(`rope ${this.#ropes.size}`, ropeTable(rope, this.#positions));
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
