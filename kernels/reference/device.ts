/** The reference device: runs each op at once, in plain float32 code, on the calling thread. For tests and for reading. */

import { checkedRecorder, checkStep, type StepBounds } from '../checks.ts';
import type {
  BlockCopy,
  Constant,
  Device,
  KvCache,
  KvFormat,
  KvShape,
  OpRecorder,
  Plan,
  ReducedLogits,
  Reduction,
  Routes,
  RowDomain,
  StepInput,
  StepLimits,
  Tensor,
  TensorShape,
  Weight,
  WeightShape,
} from '../contract.ts';
import { KV_BLOCK_SIZE } from '../contract.ts';
import { DeviceError } from '../errors.ts';
import {
  convert,
  dequantize,
  type FileFormat,
  floatToHalf,
  halfToFloat,
  isQuantized,
  rowBytes,
  type WeightFormat,
} from '../formats.ts';
import {
  activate,
  attendOne,
  chooseExperts,
  layerNorm,
  linear,
  type Pages,
  pageOffset,
  rmsNorm,
  rotate,
  roundedToBytes,
  scaleAndCap,
  sigmoid,
} from './ops.ts';
import { reduceRow } from './reduce-logits.ts';

class ReferenceWeight implements Weight {
  readonly name: string;
  readonly rows: number;
  readonly cols: number;
  readonly matrices: number;
  readonly format: WeightFormat;
  /** `[rows, cols]`, widened to float32. */
  readonly values: Float32Array;

  constructor(shape: WeightShape) {
    this.name = shape.name;
    this.rows = shape.rows;
    this.cols = shape.cols;
    this.matrices = shape.matrices ?? 1;
    this.format = shape.format;
    this.values = new Float32Array(shape.rows * shape.cols);
  }

  get byteLength(): number {
    return this.values.byteLength;
  }
}

class ReferenceTensor implements Tensor {
  readonly name: string;
  readonly maxRows: number;
  readonly cols: number;
  readonly domain: RowDomain;
  readonly perRow: number;
  values: Float32Array;

  constructor(shape: TensorShape) {
    this.name = shape.name;
    this.maxRows = shape.maxRows;
    this.cols = shape.cols;
    this.domain = shape.domain ?? 'tokens';
    this.perRow = shape.perRow ?? 1;
    this.values = new Float32Array(shape.maxRows * shape.cols);
  }
}

class ReferenceConstant implements Constant {
  readonly name: string;
  readonly values: Float32Array;

  constructor(name: string, values: Float32Array) {
    this.name = name;
    this.values = values;
  }

  get length(): number {
    return this.values.length;
  }
}

class ReferenceReduction implements Reduction {
  readonly logits: ReferenceTensor;
  rows: (ReducedLogits | null)[] = [];

  constructor(logits: ReferenceTensor) {
    this.logits = logits;
  }
}

/** Route j of row r is row r · perToken + j of the tensors that have a row for each route. */
class ReferenceRoutes implements Routes {
  readonly experts: number;
  readonly perToken: number;
  /** `[tokens, perToken]` */
  readonly chosen: Uint32Array;
  readonly weights: Float32Array;

  constructor(shape: { experts: number; perToken: number }, limits: StepLimits) {
    this.experts = shape.experts;
    this.perToken = shape.perToken;
    this.chosen = new Uint32Array(limits.maxRows * shape.perToken);
    this.weights = new Float32Array(limits.maxRows * shape.perToken);
  }
}

const MAX_HALF = 65_504;

class ReferenceKvCache implements KvCache {
  readonly layers: number;
  readonly blocks: number;
  readonly kvHeads: number;
  readonly headDim: number;
  readonly format: KvFormat;
  readonly keys: Pages[];
  readonly values: Pages[];

  constructor(shape: KvShape & { blocks: number }) {
    this.format = shape.format ?? 'F32';
    this.layers = shape.layers;
    this.blocks = shape.blocks;
    this.kvHeads = shape.kvHeads;
    this.headDim = shape.headDim;
    const pages = () => ({ ...shape, data: new Float32Array(this.byteLength / (2 * this.layers * 4)) });
    this.keys = Array.from({ length: this.layers }, pages);
    this.values = Array.from({ length: this.layers }, pages);
  }

  get byteLength(): number {
    return 2 * this.layers * this.blocks * this.kvHeads * KV_BLOCK_SIZE * this.headDim * 4;
  }

  /** What becomes of keys or values in the cache. */
  stored(values: Float32Array): Float32Array {
    if (this.format === 'F32') return values;
    if (this.format === 'I8') return roundedToBytes(values);
    return values.map((x) => halfToFloat(floatToHalf(Math.max(-MAX_HALF, Math.min(MAX_HALF, x)))));
  }

  copyBlock({ from, to }: BlockCopy): void {
    const page = this.kvHeads * KV_BLOCK_SIZE * this.headDim;
    for (const { data } of [...this.keys, ...this.values]) data.copyWithin(to * page, from * page, (from + 1) * page);
  }
}

type Op = (step: StepInput) => void;

interface ReferencePlan extends Plan {
  readonly ops: readonly Op[];
  readonly caches: ReadonlySet<ReferenceKvCache>;
  readonly bounds: StepBounds;
}

export class ReferenceDevice implements Device {
  readonly kind = 'reference';
  readonly description = 'reference (plain float32 code, one thread)';
  readonly memoryBytes = undefined;
  readonly isLost = false;
  #limits: StepLimits | null = null;
  #closed = false;

  createWeight(shape: WeightShape): Weight {
    this.#assertOpen();
    rowBytes(shape.format, shape.cols);
    return new ReferenceWeight(shape);
  }

  async writeWeight(weight: Weight, firstRow: number, data: Uint8Array, sourceFormat: FileFormat): Promise<void> {
    this.#assertOpen();
    const { values, cols, rows, format, name } = weight as ReferenceWeight;
    const count = data.length / rowBytes(sourceFormat, cols);
    if (!Number.isInteger(count) || firstRow < 0 || firstRow + count > rows) {
      throw new DeviceError(`writeWeight ${name}: ${count} rows from ${firstRow} do not fit ${rows} rows`);
    }
    // Floats are rounded to the format; what is in blocks already keeps its values, whatever the format.
    const source = isQuantized(sourceFormat) ? sourceFormat : format;
    values.set(dequantize(source, source === format ? convert(sourceFormat, format, data) : data), firstRow * cols);
  }

  createConstant(name: string, values: Float32Array): Constant {
    this.#assertOpen();
    return new ReferenceConstant(name, values.slice());
  }

  createTensor(shape: TensorShape): Tensor {
    this.#assertOpen();
    return new ReferenceTensor(shape);
  }

  createRoutes(shape: { experts: number; perToken: number }): Routes {
    this.#assertOpen();
    if (!this.#limits) throw new DeviceError('createRoutes: setStepLimits must come first');
    return new ReferenceRoutes(shape, this.#limits);
  }

  createKvCache(shape: KvShape & { blocks: number }): KvCache {
    this.#assertOpen();
    return new ReferenceKvCache(shape);
  }

  createReduction(logits: Tensor): Reduction {
    this.#assertOpen();
    return new ReferenceReduction(logits as ReferenceTensor);
  }

  kvBlockBytes(shape: KvShape): number {
    return 2 * shape.layers * shape.kvHeads * KV_BLOCK_SIZE * shape.headDim * 4;
  }

  setStepLimits(limits: StepLimits): void {
    this.#limits = limits;
  }

  rowBuckets(maxRows: number): number[] {
    return [maxRows];
  }

  record(maxRows: number, ops: (record: OpRecorder) => void): Plan {
    this.#assertOpen();
    if (!this.#limits) throw new DeviceError('record: setStepLimits must come first');
    const recorder = new ReferenceRecorder();
    ops(checkedRecorder(recorder));
    const plan: ReferencePlan = {
      maxRows,
      ops: recorder.ops,
      caches: recorder.caches,
      bounds: {
        limits: this.#limits,
        maxRows,
        vocabSize: recorder.vocabSize,
        positions: recorder.positions,
        blocks: recorder.blocks,
        reducedCols: recorder.reducedCols,
      },
    };
    return plan;
  }

  async run(plan: Plan, step: StepInput): Promise<void> {
    this.#assertOpen();
    const { ops, caches, bounds } = plan as ReferencePlan;
    checkStep(step, bounds);
    for (const copy of step.copies ?? []) for (const cache of caches) cache.copyBlock(copy);
    for (const op of ops) op(step);
  }

  async read(tensor: Tensor, rows: number, firstRow = 0): Promise<Float32Array> {
    this.#assertOpen();
    return (tensor as ReferenceTensor).values.slice(firstRow * tensor.cols, (firstRow + rows) * tensor.cols);
  }

  async readReduction(reduction: Reduction): Promise<(ReducedLogits | null)[]> {
    this.#assertOpen();
    return (reduction as ReferenceReduction).rows;
  }

  async close(): Promise<void> {
    this.#closed = true;
  }

  #assertOpen(): void {
    if (this.#closed) throw new DeviceError('reference device is closed');
  }
}

class ReferenceRecorder implements OpRecorder {
  readonly ops: Op[] = [];
  readonly caches = new Set<ReferenceKvCache>();
  vocabSize = Number.POSITIVE_INFINITY;
  positions = Number.POSITIVE_INFINITY;
  blocks = Number.POSITIVE_INFINITY;
  reducedCols = 0;

  embed(op: Parameters<OpRecorder['embed']>[0]): void {
    const { values, rows, cols } = op.table as ReferenceWeight;
    const out = (op.out as ReferenceTensor).values;
    const scale = op.scale ?? 1;
    this.vocabSize = Math.min(this.vocabSize, rows);
    this.ops.push(({ tokens }) => {
      for (let r = 0; r < tokens.length; r++) {
        for (let i = 0; i < cols; i++) out[r * cols + i] = values[tokens[r] * cols + i] * scale;
      }
    });
  }

  norm(op: Parameters<OpRecorder['norm']>[0]): void {
    const x = (op.x as ReferenceTensor).values;
    const add = op.add && (op.add as ReferenceTensor).values;
    const out = (op.out as ReferenceTensor).values;
    const weight = (op.weight as ReferenceConstant).values;
    const bias = op.bias && (op.bias as ReferenceConstant).values;
    const { cols } = op.x;
    const { addScale = 1 } = op;
    const first = op.columns?.first ?? 0;
    this.ops.push((step) => {
      const rows = rowsOf(op.x, step);
      if (add) for (let i = 0; i < rows * cols; i++) x[i] += Math.fround(addScale) * add[i];
      for (let r = 0; r < rows; r++) {
        const at = r * cols + first;
        if (out !== x) out.set(x.subarray(at, at + weight.length), at);
        if (op.centered) layerNorm(out, at, weight, op.eps);
        else rmsNorm(out, at, weight, op.eps);
        if (bias) for (let i = 0; i < bias.length; i++) out[at + i] += bias[i];
      }
    });
  }

  addScaled(op: Parameters<OpRecorder['addScaled']>[0]): void {
    const x = (op.x as ReferenceTensor).values;
    const add = (op.add as ReferenceTensor).values;
    const gate = op.gate && (op.gate as ReferenceTensor).values;
    const { cols } = op.x;
    this.ops.push((step) => {
      for (let r = 0; r < rowsOf(op.x, step); r++) {
        const scale = (op.scale ?? 1) * (gate ? sigmoid(gate[r]) : 1);
        for (let i = 0; i < cols; i++) x[r * cols + i] += scale * add[r * cols + i];
      }
    });
  }

  scaleAndCap(op: Parameters<OpRecorder['scaleAndCap']>[0]): void {
    const x = (op.x as ReferenceTensor).values;
    this.ops.push((step) => {
      const count = rowsOf(op.x, step) * op.x.cols;
      for (let i = 0; i < count; i++) x[i] = scaleAndCap(x[i], Math.fround(op.scale), op.cap);
    });
  }

  linear(op: Parameters<OpRecorder['linear']>[0]): void {
    const x = op.x as ReferenceTensor;
    const out = op.out as ReferenceTensor;
    const bias = op.bias && (op.bias as ReferenceConstant).values;
    this.ops.push((step) => {
      const rows = rowsOf(x, step);
      let column = op.columns?.first ?? 0;
      for (const weight of op.weights) {
        const part = bias?.subarray(column, column + weight.rows);
        const result = linear(x.values, (weight as ReferenceWeight).values, part, rows, x.cols);
        for (let r = 0; r < rows; r++) {
          out.values.set(result.subarray(r * weight.rows, (r + 1) * weight.rows), r * out.cols + column);
        }
        column += weight.rows;
      }
    });
  }

  ropeAndCache(op: Parameters<OpRecorder['ropeAndCache']>[0]): void {
    const qkv = op.qkv as ReferenceTensor;
    const cache = op.cache as ReferenceKvCache;
    const rope = op.rope && (op.rope as ReferenceConstant).values;
    const { heads, rotaryDim, normEps = 0 } = op;
    const { kvHeads, headDim } = cache;
    const qNorm = op.qNorm && (op.qNorm as ReferenceConstant).values;
    const kNorm = op.kNorm && (op.kNorm as ReferenceConstant).values;
    if (rope) this.positions = Math.min(this.positions, rope.length / rotaryDim);
    this.blocks = Math.min(this.blocks, cache.blocks);
    this.caches.add(cache);
    this.ops.push(({ positions, slots, blockTables, ropeRows = positions }) => {
      for (let r = 0; r < positions.length; r++) {
        for (let h = 0; h < heads + kvHeads; h++) {
          const at = r * qkv.cols + h * headDim;
          const weight = h < heads ? qNorm : kNorm;
          if (weight) rmsNorm(qkv.values, at, weight, normEps);
          if (rope) rotate(qkv.values, at, rope, ropeRows[r], rotaryDim);
        }
        for (let h = 0; h < kvHeads; h++) {
          const to = pageOffset(cache.keys[op.layer], blockTables[slots[r]], positions[r], h);
          const k = r * qkv.cols + (heads + h) * headDim;
          const v = k + kvHeads * headDim;
          cache.keys[op.layer].data.set(cache.stored(qkv.values.subarray(k, k + headDim)), to);
          cache.values[op.layer].data.set(cache.stored(qkv.values.subarray(v, v + headDim)), to);
        }
      }
    });
  }

  attention(op: Parameters<OpRecorder['attention']>[0]): void {
    const qkv = op.qkv as ReferenceTensor;
    const out = op.out as ReferenceTensor;
    const cache = op.cache as ReferenceKvCache;
    const { headDim } = cache;
    const groupSize = op.heads / cache.kvHeads;
    const sinks = op.sinks && (op.sinks as ReferenceConstant).values;
    this.ops.push(({ positions, slots, blockTables }) => {
      for (let r = 0; r < positions.length; r++) {
        const last = positions[r];
        const first = op.window ? Math.max(0, last - op.window + 1) : 0;
        for (let h = 0; h < op.heads; h++) {
          attendOne(
            qkv.values,
            r * qkv.cols + h * headDim,
            cache.keys[op.layer],
            cache.values[op.layer],
            blockTables[slots[r]],
            Math.floor(h / groupSize),
            first,
            last,
            { scale: op.scale, softcap: op.softcap, sink: sinks?.[h] },
            out.values,
            r * out.cols + h * headDim,
          );
        }
      }
    });
  }

  gatedActivation(op: Parameters<OpRecorder['gatedActivation']>[0]): void {
    const x = (op.x as ReferenceTensor).values;
    const out = (op.out as ReferenceTensor).values;
    const { cols } = op.out;
    const { activation, limit } = op;
    this.ops.push((step) => {
      for (let r = 0; r < rowsOf(op.x, step); r++) {
        for (let i = 0; i < cols; i++) {
          let gate = x[r * 2 * cols + i];
          let up = x[r * 2 * cols + cols + i];
          if (limit !== undefined) {
            gate = Math.min(gate, limit);
            up = Math.min(Math.max(up, -limit), limit) + 1;
          }
          out[r * cols + i] = activate(activation, gate) * up;
        }
      }
    });
  }

  activation(op: Parameters<OpRecorder['activation']>[0]): void {
    const x = (op.x as ReferenceTensor).values;
    const out = (op.out as ReferenceTensor).values;
    this.ops.push((step) => {
      const count = rowsOf(op.x, step) * op.x.cols;
      for (let i = 0; i < count; i++) out[i] = activate(op.activation, x[i]);
    });
  }

  route(op: Parameters<OpRecorder['route']>[0]): void {
    const scores = (op.scores as ReferenceTensor).values;
    const { chosen, weights, experts, perToken } = op.routes as ReferenceRoutes;
    this.ops.push(({ tokens }) => {
      for (let r = 0; r < tokens.length; r++) {
        const routes = chooseExperts(scores.subarray(r * experts, (r + 1) * experts), perToken, op);
        chosen.set(routes.chosen, r * perToken);
        weights.set(routes.weights, r * perToken);
      }
    });
  }

  gatherRoutes(op: Parameters<OpRecorder['gatherRoutes']>[0]): void {
    const x = (op.x as ReferenceTensor).values;
    const out = (op.out as ReferenceTensor).values;
    const { cols } = op.x;
    const { perToken } = op.routes;
    this.ops.push(({ tokens }) => {
      for (let p = 0; p < tokens.length * perToken; p++) {
        const from = Math.floor(p / perToken) * cols;
        out.set(x.subarray(from, from + cols), p * cols);
      }
    });
  }

  expertLinear(op: Parameters<OpRecorder['expertLinear']>[0]): void {
    const x = (op.x as ReferenceTensor).values;
    const out = (op.out as ReferenceTensor).values;
    const bias = op.bias && (op.bias as ReferenceConstant).values;
    const { chosen, perToken, experts } = op.routes as ReferenceRoutes;
    const { cols } = op.x;
    this.ops.push(({ tokens }) => {
      for (let p = 0; p < tokens.length * perToken; p++) {
        const row = x.subarray(p * cols, (p + 1) * cols);
        let column = 0;
        for (const weight of op.weights as readonly ReferenceWeight[]) {
          const outs = weight.rows / experts;
          const matrix = weight.values.subarray(chosen[p] * outs * cols, (chosen[p] + 1) * outs * cols);
          const biasAt = chosen[p] * op.out.cols + column;
          out.set(linear(row, matrix, bias?.subarray(biasAt, biasAt + outs), 1, cols), p * op.out.cols + column);
          column += outs;
        }
      }
    });
  }

  mixRoutes(op: Parameters<OpRecorder['mixRoutes']>[0]): void {
    const x = (op.x as ReferenceTensor).values;
    const out = (op.out as ReferenceTensor).values;
    const { cols } = op.x;
    const { weights, perToken } = op.routes as ReferenceRoutes;
    this.ops.push(({ tokens }) => {
      for (let r = 0; r < tokens.length; r++) {
        for (let i = 0; i < cols; i++) {
          let sum = 0;
          for (let p = r * perToken; p < (r + 1) * perToken; p++) sum += weights[p] * x[p * cols + i];
          out[r * cols + i] = sum;
        }
      }
    });
  }

  gatherRows(op: Parameters<OpRecorder['gatherRows']>[0]): void {
    const x = (op.x as ReferenceTensor).values;
    const out = (op.out as ReferenceTensor).values;
    const { cols } = op.x;
    this.ops.push(({ logitRows }) => {
      for (let j = 0; j < logitRows.length; j++) {
        out.set(x.subarray(logitRows[j] * cols, (logitRows[j] + 1) * cols), j * cols);
      }
    });
  }

  reduceLogits(op: Parameters<OpRecorder['reduceLogits']>[0]): void {
    const { values, cols } = op.logits as ReferenceTensor;
    const out = op.out as ReferenceReduction;
    this.reducedCols = cols;
    this.ops.push(({ logitRows, reductions = [] }) => {
      out.rows = Array.from(logitRows, (_, row) => {
        const wanted = reductions[row];
        return wanted ? reduceRow(values.slice(row * cols, (row + 1) * cols), wanted) : null;
      });
    });
  }
}

function rowsOf(tensor: Tensor, step: StepInput): number {
  return tensor.perRow * (tensor.domain === 'tokens' ? step.tokens.length : step.logitRows.length);
}
