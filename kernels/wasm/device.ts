/** The WASM device: hand-written SIMD kernels over one shared memory, run by a pool of worker threads. */

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
import type { FileFormat } from '../formats.ts';
import {
  kvBlockBytes,
  type Movable,
  WasmConstant,
  WasmKvCache,
  WasmRoutes,
  WasmTensor,
  WasmWeight,
} from './buffers.ts';
import { chooseDotMethods, type DotMethods } from './features.ts';
import { type Heap, MAX_MEMORY_BYTES } from './heap.ts';
import { Memories } from './memories.ts';
import { type KernelOps, kernelModule } from './module.ts';
import { PackPool } from './pack-pool.ts';
import { type Pool, startInline, startPool } from './pool.ts';
import { type Move, recordRead, type Segment, WasmRecorder } from './record.ts';
import { WasmReduction } from './reductions.ts';
import { logicalProcessors, machineMemory } from './spawn.ts';
import { StepBuffers } from './step-buffers.ts';

export interface WasmDeviceOptions {
  /** Worker threads; 0 runs on the calling thread and blocks it. Default: {@link defaultThreads}. */
  readonly threads?: number;
  /** How quantised weights are multiplied. Default: the fastest that this engine computes rightly. */
  readonly dotMethods?: DotMethods;
  /** Most bytes of one linear memory; a model that needs more takes several. Default: 4 GiB, all that there can be. */
  readonly memoryBytes?: number;
}

interface WasmPlan extends Plan {
  readonly segments: readonly Segment[];
  /** Where each tensor is when the plan has run. */
  readonly homes: ReadonlyMap<Movable, Heap>;
  readonly caches: ReadonlySet<WasmKvCache>;
  readonly reductions: readonly WasmReduction[];
  readonly bounds: StepBounds;
}

export class WasmDevice implements Device {
  readonly kind = 'wasm';
  readonly description: string;
  readonly #memories: Memories;
  readonly #pool: Pool;
  readonly #packers: PackPool;
  readonly #kernels: KernelOps;
  #limits: StepLimits | null = null;
  readonly #steps = new Map<Heap, StepBuffers>();
  /** Where the last run left each tensor. */
  #homes: ReadonlyMap<Movable, Heap> = new Map();
  #running = false;
  #closed = false;

  /**
   * Emits and compiles the kernels and starts the threads.
   * @throws DeviceError when the engine has no WASM SIMD or the threads cannot start.
   */
  static async create(options: WasmDeviceOptions = {}): Promise<WasmDevice> {
    const canShare = typeof SharedArrayBuffer !== 'undefined';
    const threads = canShare ? (options.threads ?? defaultThreads()) : 0;
    if (!Number.isInteger(threads) || threads < 0 || threads > 256) {
      throw new DeviceError(`threads: expected 0 to 256, got ${threads}`);
    }
    const methods = options.dotMethods ?? chooseDotMethods();
    const memories = new Memories(threads > 0, options.memoryBytes ?? MAX_MEMORY_BYTES);
    const { ops: kernels, module } = await kernelModule(methods, threads > 0);
    const pool = threads > 0 ? await startPool(module, memories, threads) : startInline(module);
    return new WasmDevice(memories, pool, kernels, methods);
  }

  private constructor(memories: Memories, pool: Pool, kernels: KernelOps, methods: DotMethods) {
    this.#memories = memories;
    this.#pool = pool;
    this.#packers = new PackPool(pool.threads);
    this.#kernels = kernels;
    const threads = `${pool.threads} thread${pool.threads > 1 ? 's' : ''}`;
    this.description = `wasm (${threads}, ${methods.Q8_0 === 'wide' && methods.Q4_0 === 'wide' ? 'plain' : 'relaxed'} SIMD, Q4_0 ${methods.Q4_0}, Q8_0 ${methods.Q8_0})`;
  }

  get memoryBytes(): number | undefined {
    return machineMemory();
  }

  get isLost(): boolean {
    return this.#pool.isBroken;
  }

  get threads(): number {
    return this.#pool.threads;
  }

  /** Linear memories in use. */
  get memories(): number {
    return this.#memories.all.length;
  }

  createWeight(shape: WeightShape): Weight {
    this.#assertOpen();
    return new WasmWeight(this.#memories, shape);
  }

  async writeWeight(weight: Weight, firstRow: number, data: Uint8Array, sourceFormat: FileFormat): Promise<void> {
    this.#assertOpen();
    const count = rowsToWrite(weight, firstRow, data, sourceFormat);
    const { rows, cols, format, heap, address, matrices, matrixBytes } = weight as WasmWeight;
    const bytesPerRow = data.length / count;
    const rowsPerMatrix = rows / matrices;
    for (let row = firstRow; row < firstRow + count; ) {
      const matrix = Math.floor(row / rowsPerMatrix);
      const end = Math.min((matrix + 1) * rowsPerMatrix, firstRow + count);
      await this.#packers.pack({
        target: heap.bytes(address + matrix * matrixBytes, matrixBytes),
        format,
        cols,
        firstRow: row - matrix * rowsPerMatrix,
        data: data.subarray((row - firstRow) * bytesPerRow, (end - firstRow) * bytesPerRow),
        sourceFormat,
      });
      this.#assertOpen();
      row = end;
    }
  }

  createConstant(name: string, values: Float32Array): Constant {
    this.#assertOpen();
    return new WasmConstant(this.#memories, name, values);
  }

  createTensor(shape: TensorShape): Tensor {
    this.#assertOpen();
    return new WasmTensor(this.#memories, shape);
  }

  createRoutes(shape: { experts: number; perToken: number }): Routes {
    this.#assertOpen();
    if (!this.#limits) throw new DeviceError('createRoutes: setStepLimits must come first');
    return new WasmRoutes(this.#memories, shape, this.#limits);
  }

  createKvCache(shape: KvShape & { blocks: number }): KvCache {
    this.#assertOpen();
    return new WasmKvCache(this.#memories, shape);
  }

  createReduction(logits: Tensor): Reduction {
    this.#assertOpen();
    return new WasmReduction(logits as WasmTensor);
  }

  kvBlockBytes(shape: KvShape): number {
    return kvBlockBytes(shape);
  }

  setStepLimits(limits: StepLimits): void {
    this.#assertOpen();
    this.#limits = limits;
    this.#steps.clear();
  }

  /** The step buffers of a memory, made when it is first recorded for. */
  #stepIn(heap: Heap, limits: StepLimits): StepBuffers {
    let step = this.#steps.get(heap);
    if (step === undefined) {
      step = new StepBuffers(heap, limits, this.#pool.threads, KV_BLOCK_SIZE);
      this.#steps.set(heap, step);
    }
    return step;
  }

  /** One plan serves every row count: kernels read the count from the step. */
  rowBuckets(maxRows: number): number[] {
    return [maxRows];
  }

  record(maxRows: number, ops: (record: OpRecorder) => void): Plan {
    this.#assertOpen();
    const limits = this.#limits;
    // The weights are there when the first plan is recorded.
    this.#packers.close();
    if (!limits) throw new DeviceError('record: setStepLimits must come first');
    const recorder = new WasmRecorder(
      this.#memories,
      this.#kernels,
      (heap) => this.#stepIn(heap, limits),
      this.#pool.threads,
    );
    ops(checkedRecorder(recorder));
    const { caches, reductions, vocabSize, positions, blocks, homes } = recorder;
    const reducedCols = Math.max(0, ...reductions.map(({ logits }) => logits.cols));
    const plan: WasmPlan = {
      maxRows,
      segments: recorder.finish(),
      homes,
      caches,
      reductions,
      bounds: { limits, maxRows, vocabSize, positions, blocks, reducedCols },
    };
    return plan;
  }

  async run(plan: Plan, step: StepInput): Promise<void> {
    this.#assertOpen();
    if (this.#running) throw new DeviceError('run: the last step has not ended');
    const { segments, homes, caches, reductions, bounds } = plan as WasmPlan;
    checkStep(step, bounds);
    for (const copy of step.copies ?? []) for (const cache of caches) cache.copyBlock(copy);
    for (const heap of new Set(segments.map(({ heap }) => heap))) this.#steps.get(heap)?.write(step);
    for (const reduction of reductions) reduction.write(step);
    this.#running = true;
    try {
      for (const { heap, table, moves } of segments) {
        for (const move of moves) moveRows(move, heap, step);
        await this.#pool.run(table, heap);
      }
      this.#homes = homes;
    } finally {
      this.#running = false;
    }
  }

  async read(tensor: Tensor, rows: number, firstRow = 0): Promise<Float32Array> {
    this.#assertOpen();
    const wasmTensor = tensor as WasmTensor;
    const { strideBytes, cols } = wasmTensor;
    const heap = this.#homes.get(wasmTensor) ?? this.#memories.first;
    const address = wasmTensor.addressIn(heap);
    const out = new Float32Array(rows * cols);
    for (let r = 0; r < rows; r++) out.set(heap.floats(address + (firstRow + r) * strideBytes, cols), r * cols);
    return out;
  }

  async readReduction(reduction: Reduction): Promise<(ReducedLogits | null)[]> {
    this.#assertOpen();
    return (reduction as WasmReduction).read();
  }

  /**
   * Reads `bytes` of memory with all threads, `rounds` times, and gives the best rate in GB/s: what a kernel that is
   * bound by memory could reach. `bytes` should exceed the caches by far.
   */
  async readBandwidth(bytes: number, rounds: number): Promise<number> {
    this.#assertOpen();
    const { first } = this.#memories;
    const table = recordRead(first, this.#kernels, bytes);
    let best = Number.POSITIVE_INFINITY;
    for (let i = 0; i < rounds; i++) {
      const start = performance.now();
      await this.#pool.run(table, first);
      best = Math.min(best, performance.now() - start);
    }
    return bytes / best / 1e6;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#packers.close();
    await this.#pool.close();
  }

  #assertOpen(): void {
    if (this.#closed) throw new DeviceError('wasm device is closed');
  }
}

/** Copies the rows of a step from one memory to another, on the calling thread: some kilobytes for each token. */
function moveRows({ moved, from }: Move, to: Heap, step: StepInput): void {
  const bytes = moved.usedBytes(step);
  to.bytes(moved.addressIn(to), bytes).set(from.bytes(moved.addressIn(from), bytes));
}

/**
 * Threads to use when nobody says: all logical processors up to four, half of them beyond, since sibling
 * hyper-threads share the arithmetic units and the memory bus that the kernels fill.
 */
export function defaultThreads(): number {
  const logical = logicalProcessors();
  return logical <= 4 ? logical : Math.max(4, Math.floor(logical / 2));
}
