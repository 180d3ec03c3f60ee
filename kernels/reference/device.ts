/** The reference device: runs each op at once, in plain float32 code, on the calling thread. For tests and for reading. */

import { checkedRecorder, checkStep, rowsToWrite, type StepBounds } from '../checks.ts';
import type {
  Constant,
  Device,
  KvCache,
  KvShape,
  OpRecorder,
  Plan,
  ReducedLogits,
  Reduction,
  Routes,
  StepInput,
  StepLimits,
  Tensor,
  TensorShape,
  Weight,
  WeightShape,
} from '../contract.ts';
import { KV_BLOCK_SIZE } from '../contract.ts';
import { DeviceError } from '../errors.ts';
import { convert, dequantize, type FileFormat, isQuantized, rowBytes } from '../formats.ts';
import {
  ReferenceConstant,
  ReferenceKvCache,
  ReferenceReduction,
  ReferenceRoutes,
  ReferenceTensor,
  ReferenceWeight,
} from './buffers.ts';
import { type Op, ReferenceRecorder } from './record.ts';

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
    rowsToWrite(weight, firstRow, data, sourceFormat);
    const { values, cols, format } = weight as ReferenceWeight;
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
