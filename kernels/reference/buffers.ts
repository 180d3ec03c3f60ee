/** What the reference device holds: plain arrays of float32, keys and values among them. */

import type {
  BlockCopy,
  Constant,
  KvCache,
  KvFormat,
  KvShape,
  ReducedLogits,
  Reduction,
  Routes,
  RowDomain,
  StepLimits,
  Tensor,
  TensorShape,
  Weight,
  WeightShape,
} from '../contract.ts';
import { KV_BLOCK_SIZE } from '../contract.ts';
import { floatToHalf, halfToFloat, type WeightFormat } from '../formats.ts';
import { type Pages, roundedToBytes } from './ops.ts';

export class ReferenceWeight implements Weight {
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

export class ReferenceTensor implements Tensor {
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

export class ReferenceConstant implements Constant {
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

export class ReferenceReduction implements Reduction {
  readonly logits: ReferenceTensor;
  rows: (ReducedLogits | null)[] = [];

  constructor(logits: ReferenceTensor) {
    this.logits = logits;
  }
}

/** Route j of row r is row r · perToken + j of the tensors that have a row for each route. */
export class ReferenceRoutes implements Routes {
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

export class ReferenceKvCache implements KvCache {
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
