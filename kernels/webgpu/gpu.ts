/** One open GPU device: its limits, what went wrong on it, and the memory taken from it. */

import { DeviceError } from '../errors.ts';
import type { AdapterFeatures, OpenedAdapter } from './adapter.ts';

/** `GPUBufferUsage` bits; the global of that name exists in browsers only. */
export const USAGE = {
  MAP_READ: 0x0001,
  COPY_SRC: 0x0004,
  COPY_DST: 0x0008,
  UNIFORM: 0x0040,
  STORAGE: 0x0080,
  QUERY_RESOLVE: 0x0200,
} as const;

/** What a buffer of kernels is for. */
export const STORAGE = USAGE.STORAGE | USAGE.COPY_SRC | USAGE.COPY_DST;

/** Within so long after an operation has failed a device tells that it is lost. */
const LOSS_MILLISECONDS = 200;

export interface GpuLimits {
  /** Most bytes of one buffer, and of what a kernel sees of it. */
  readonly bufferBytes: number;
  readonly workgroupsPerDimension: number;
}

export class Gpu {
  readonly device: GPUDevice;
  readonly features: AdapterFeatures;
  readonly limits: GpuLimits;
  readonly #adapter: OpenedAdapter;
  #failure: DeviceError | undefined;
  #closed = false;

  /** @param limits  tighter limits than the adapter's, to see that large things are split */
  constructor(adapter: OpenedAdapter, limits: Partial<GpuLimits> = {}) {
    this.#adapter = adapter;
    this.device = adapter.device;
    this.features = adapter.features;
    const { maxBufferSize, maxStorageBufferBindingSize, maxComputeWorkgroupsPerDimension } = this.device.limits;
    this.limits = {
      bufferBytes: Math.min(maxBufferSize, maxStorageBufferBindingSize, limits.bufferBytes ?? Number.POSITIVE_INFINITY),
      workgroupsPerDimension: limits.workgroupsPerDimension ?? maxComputeWorkgroupsPerDimension,
    };
    void this.device.lost.then(({ message }) => {
      this.fail(new DeviceError(`device webgpu: ${this.features.description} was lost: ${oneLine(message)}`));
    });
    this.device.onuncapturederror = ({ error }) => {
      this.fail(new DeviceError(`device webgpu: ${oneLine(error.message)}`));
    };
  }

  /** Makes every later call throw; the first failure stays. */
  fail(failure: DeviceError): void {
    this.#failure ??= failure;
  }

  get hasFailed(): boolean {
    return this.#failure !== undefined;
  }

  assertUsable(): void {
    if (this.#closed) throw new DeviceError('webgpu device is closed');
    if (this.#failure) throw this.#failure;
  }

  /** What an operation of the GPU gave, or the device's own failure where that is why it went wrong. */
  async settled<T>(operation: Promise<T>): Promise<T> {
    try {
      const result = await operation;
      if (!this.#closed) this.assertUsable();
      return result;
    } catch (error) {
      // The loss of a device rejects what waits for it before `lost` resolves.
      await Promise.race([this.device.lost, new Promise((resolve) => setTimeout(resolve, LOSS_MILLISECONDS))]);
      this.assertUsable();
      throw error instanceof DeviceError ? error : new DeviceError(`device webgpu: ${oneLine(String(error))}`);
    }
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#adapter.device.destroy();
  }
}

/** Buffers that are freed together. */
export class GpuMemory {
  readonly #gpu: Gpu;
  readonly #buffers = new Set<GPUBuffer>();
  #pending: Promise<void>[] = [];

  constructor(gpu: Gpu) {
    this.#gpu = gpu;
  }

  /** Most bytes of one buffer. */
  get bufferBytes(): number {
    return this.#gpu.limits.bufferBytes;
  }

  /**
   * A zeroed buffer of at least `bytes`. That the GPU has no memory left is known only later: then the device fails, and
   * {@link settle} throws.
   * @throws DeviceError when it is larger than a buffer may be
   */
  allocate(bytes: number, purpose: string, usage: number = STORAGE): GPUBuffer {
    const size = Math.max(16, 16 * Math.ceil(bytes / 16));
    const { bufferBytes } = this.#gpu.limits;
    if (size > bufferBytes) {
      throw new DeviceError(`${purpose}: ${size} bytes exceed the ${bufferBytes} of one buffer on this adapter`);
    }
    const { device } = this.#gpu;
    device.pushErrorScope('out-of-memory');
    const buffer = device.createBuffer({ size, usage, label: purpose });
    this.#pending.push(
      device.popErrorScope().then(
        (error) => {
          if (error) this.#gpu.fail(new DeviceError(`${purpose}: the GPU has no ${size} bytes left`));
        },
        () => undefined,
      ),
    );
    this.#buffers.add(buffer);
    return buffer;
  }

  free(buffer: GPUBuffer): void {
    this.#buffers.delete(buffer);
    buffer.destroy();
  }

  freeAll(): void {
    for (const buffer of this.#buffers) buffer.destroy();
    this.#buffers.clear();
  }

  /** Waits until it is known whether all buffers were made. */
  async settle(): Promise<void> {
    await Promise.all(this.#pending.splice(0));
    this.#gpu.assertUsable();
  }
}

function oneLine(text: string): string {
  return text.split('\n')[0].trim();
}
