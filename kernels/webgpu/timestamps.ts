/** How long the GPU was at its passes, by its own clock (`timestamp-query`). */

import { DeviceError } from '../errors.ts';
import { type Gpu, type GpuMemory, USAGE } from './gpu.ts';

const MAP_READ = 1;
const STAMP_BYTES = 8;
/** Of one query set. */
const MAX_STAMPS = 4096;

/** How long the kernels of one name took in a step. */
export interface KernelTime {
  readonly name: string;
  readonly dispatches: number;
  readonly milliseconds: number;
}

/** Stamps for `passes` passes; for one use. */
export class Timestamps {
  readonly #gpu: Gpu;
  readonly #memory: GpuMemory;
  readonly #passes: number;
  readonly #set: GPUQuerySet;

  /** @throws DeviceError where the adapter has no timestamps, or not so many */
  constructor(gpu: Gpu, memory: GpuMemory, passes: number) {
    if (!gpu.features.timestamps) throw new DeviceError(`${gpu.features.description} has no timestamp-query`);
    if (2 * passes > MAX_STAMPS) throw new DeviceError(`timestamps: ${passes} passes, at most ${MAX_STAMPS / 2}`);
    this.#gpu = gpu;
    this.#memory = memory;
    this.#passes = passes;
    this.#set = gpu.device.createQuerySet({ type: 'timestamp', count: 2 * passes });
  }

  /** What pass number `pass` is to be begun with. */
  descriptor(pass: number): GPUComputePassDescriptor {
    const timestampWrites = {
      querySet: this.#set,
      beginningOfPassWriteIndex: 2 * pass,
      endOfPassWriteIndex: 2 * pass + 1,
    };
    return { timestampWrites };
  }

  /** Submits the passes and gives the milliseconds of each when they are done. */
  async submit(encoder: GPUCommandEncoder): Promise<number[]> {
    const bytes = 2 * this.#passes * STAMP_BYTES;
    const resolved = this.#memory.allocate(bytes, 'timestamps', USAGE.QUERY_RESOLVE | USAGE.COPY_SRC);
    const staging = this.#memory.allocate(bytes, 'timestamps to read', USAGE.MAP_READ | USAGE.COPY_DST);
    encoder.resolveQuerySet(this.#set, 0, 2 * this.#passes, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, staging, 0, bytes);
    this.#gpu.device.queue.submit([encoder.finish()]);
    await this.#gpu.settled(staging.mapAsync(MAP_READ, 0, bytes));
    const stamps = new BigUint64Array(staging.getMappedRange(0, bytes).slice(0));
    this.#set.destroy();
    this.#memory.free(resolved);
    this.#memory.free(staging);
    return Array.from({ length: this.#passes }, (_, i) => Number(stamps[2 * i + 1] - stamps[2 * i]) / 1e6);
  }
}

/** Times of passes, added up by the kernels' names, the longest first. */
export function timesByKernel(names: readonly string[], milliseconds: readonly number[]): KernelTime[] {
  const sums = new Map<string, { name: string; dispatches: number; milliseconds: number }>();
  for (const [i, name] of names.entries()) {
    const sum = sums.get(name) ?? { name, dispatches: 0, milliseconds: 0 };
    sum.dispatches++;
    sum.milliseconds += milliseconds[i];
    sums.set(name, sum);
  }
  return [...sums.values()].sort((a, b) => b.milliseconds - a.milliseconds);
}
