/** The WASM device: hand-written SIMD kernels over one shared memory, run by a pool of worker threads. */

import { checkedRecorder, checkStep, type StepBounds } from '../checks.ts';
import type {
  Constant,
  Device,
  KvCache,
  KvShape,
  OpRecorder,
  Plan,
  RowDomain,
  StepInput,
  StepLimits,
  Tensor,
  Weight,
} from '../contract.ts';
import { KV_BLOCK_SIZE } from '../contract.ts';
import { DeviceError } from '../errors.ts';
import { rowBytes, type WeightFormat } from '../formats.ts';
import { kvBlockBytes, WasmConstant, WasmKvCache, WasmTensor, WasmWeight } from './buffers.ts';
import { chooseDotMethods, type DotMethods } from './features.ts';
import { Heap } from './heap.ts';
import { packRows } from './layout.ts';
import { type KernelOps, kernelModule } from './module.ts';
import { type Pool, startInline, startPool } from './pool.ts';
import { recordRead, WasmRecorder } from './record.ts';
import { logicalProcessors } from './spawn.ts';
import { StepBuffers } from './step-buffers.ts';

export interface WasmDeviceOptions {
  /** Worker threads; 0 runs on the calling thread and blocks it. Default: {@link defaultThreads}. */
  readonly threads?: number;
  /** How quantised weights are multiplied. Default: the fastest that this engine computes rightly. */
  readonly dotMethods?: DotMethods;
}

interface WasmPlan extends Plan {
  readonly table: number;
  readonly caches: ReadonlySet<WasmKvCache>;
  readonly bounds: StepBounds;
}

export class WasmDevice implements Device {
  readonly kind = 'wasm';
  readonly description: string;
  readonly #heap: Heap;
  readonly #pool: Pool;
  readonly #kernels: KernelOps;
  #step: StepBuffers | null = null;
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
    const heap = new Heap(threads > 0);
    const { ops: kernels, module } = await kernelModule(methods, threads > 0);
    const pool = threads > 0 ? await startPool(module, heap, threads) : startInline(module, heap);
    return new WasmDevice(heap, pool, kernels, methods);
  }

  private constructor(heap: Heap, pool: Pool, kernels: KernelOps, methods: DotMethods) {
    this.#heap = heap;
    this.#pool = pool;
    this.#kernels = kernels;
    const threads = `${pool.threads} thread${pool.threads > 1 ? 's' : ''}`;
    this.description = `wasm (${threads}, ${methods.Q8_0 === 'wide' && methods.Q4_0 === 'wide' ? 'plain' : 'relaxed'} SIMD, Q4_0 ${methods.Q4_0}, Q8_0 ${methods.Q8_0})`;
  }

  get threads(): number {
    return this.#pool.threads;
  }

  createWeight(shape: { name: string; rows: number; cols: number; format: WeightFormat }): Weight {
    this.#assertOpen();
    return new WasmWeight(this.#heap, shape);
  }

  async writeWeight(weight: Weight, firstRow: number, data: Uint8Array, sourceFormat: WeightFormat): Promise<void> {
    this.#assertOpen();
    const { name, rows, cols, format, address, byteLength } = weight as WasmWeight;
    const count = data.length / rowBytes(sourceFormat, cols);
    if (!Number.isInteger(count) || firstRow < 0 || firstRow + count > rows) {
      throw new DeviceError(`writeWeight ${name}: ${count} rows from ${firstRow} do not fit ${rows} rows`);
    }
    packRows(this.#heap.bytes(address, byteLength), format, cols, firstRow, data, sourceFormat);
  }

  createConstant(name: string, values: Float32Array): Constant {
    this.#assertOpen();
    return new WasmConstant(this.#heap, name, values);
  }

  createTensor(shape: { name: string; maxRows: number; cols: number; domain?: RowDomain }): Tensor {
    this.#assertOpen();
    return new WasmTensor(this.#heap, shape);
  }

  createKvCache(shape: KvShape & { blocks: number }): KvCache {
    this.#assertOpen();
    return new WasmKvCache(this.#heap, shape);
  }

  kvBlockBytes(shape: KvShape): number {
    return kvBlockBytes(shape);
  }

  setStepLimits(limits: StepLimits): void {
    this.#assertOpen();
    this.#step = new StepBuffers(this.#heap, limits, this.#pool.threads, KV_BLOCK_SIZE);
  }

  /** One plan serves every row count: kernels read the count from the step. */
  rowBuckets(maxRows: number): number[] {
    return [maxRows];
  }

  record(maxRows: number, ops: (record: OpRecorder) => void): Plan {
    this.#assertOpen();
    if (!this.#step) throw new DeviceError('record: setStepLimits must come first');
    const recorder = new WasmRecorder(this.#heap, this.#kernels, this.#step, this.#pool.threads);
    ops(checkedRecorder(recorder));
    const { caches, vocabSize, positions, blocks } = recorder;
    const plan: WasmPlan = {
      maxRows,
      table: recorder.finish(),
      caches,
      bounds: { limits: this.#step.limits, maxRows, vocabSize, positions, blocks },
    };
    return plan;
  }

  async run(plan: Plan, step: StepInput): Promise<void> {
    this.#assertOpen();
    if (this.#running) throw new DeviceError('run: the last step has not ended');
    const { table, caches, bounds } = plan as WasmPlan;
    checkStep(step, bounds);
    for (const copy of step.copies ?? []) for (const cache of caches) cache.copyBlock(this.#heap, copy);
    (this.#step as StepBuffers).write(step);
    this.#running = true;
    try {
      await this.#pool.run(table);
    } finally {
      this.#running = false;
    }
  }

  async read(tensor: Tensor, rows: number): Promise<Float32Array> {
    this.#assertOpen();
    const { address, strideBytes, cols } = tensor as WasmTensor;
    const out = new Float32Array(rows * cols);
    for (let r = 0; r < rows; r++) out.set(this.#heap.floats(address + r * strideBytes, cols), r * cols);
    return out;
  }

  /**
   * Reads `bytes` of memory with all threads, `rounds` times, and gives the best rate in GB/s: what a kernel that is
   * bound by memory could reach. `bytes` should exceed the caches by far.
   */
  async readBandwidth(bytes: number, rounds: number): Promise<number> {
    this.#assertOpen();
    const table = recordRead(this.#heap, this.#kernels, bytes);
    let best = Number.POSITIVE_INFINITY;
    for (let i = 0; i < rounds; i++) {
      const start = performance.now();
      await this.#pool.run(table);
      best = Math.min(best, performance.now() - start);
    }
    return bytes / best / 1e6;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#pool.close();
  }

  #assertOpen(): void {
    if (this.#closed) throw new DeviceError('wasm device is closed');
  }
}

/**
 * Threads to use when nobody says: all logical processors up to four, half of them beyond, since sibling
 * hyper-threads share the arithmetic units and the memory bus that the kernels fill.
 */
export function defaultThreads(): number {
  const logical = logicalProcessors();
  return logical <= 4 ? logical : Math.max(4, Math.floor(logical / 2));
}
