/** Brings tensor rows back to the host. */

import type { WebGpuTensor } from './buffers.ts';
import { type Gpu, type GpuMemory, USAGE } from './gpu.ts';

const MAP_READ = 1;

export class Readback {
  readonly #gpu: Gpu;
  readonly #memory: GpuMemory;
  #staging: GPUBuffer | undefined;

  constructor(gpu: Gpu, memory: GpuMemory) {
    this.#gpu = gpu;
    this.#memory = memory;
  }

  /** `rows` rows, tightly packed, when all that was submitted before is done. */
  async read(tensor: WebGpuTensor, rows: number, firstRow: number): Promise<Float32Array> {
    const { cols, stride, buffer } = tensor;
    if (rows === 0) return new Float32Array(0);
    const bytes = 4 * rows * stride;
    const staging = this.#take(bytes);
    const { device } = this.#gpu;
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(buffer, 4 * firstRow * stride, staging, 0, bytes);
    device.queue.submit([encoder.finish()]);
    await this.#gpu.settled(staging.mapAsync(MAP_READ, 0, bytes));
    const padded = new Float32Array(staging.getMappedRange(0, bytes));
    const out = new Float32Array(rows * cols);
    for (let r = 0; r < rows; r++) out.set(padded.subarray(r * stride, r * stride + cols), r * cols);
    staging.unmap();
    this.#staging = staging;
    return out;
  }

  /** The staging buffer of the last read where it is large enough and not in use. */
  #take(bytes: number): GPUBuffer {
    const staging = this.#staging;
    this.#staging = undefined;
    if (staging && staging.size >= bytes) return staging;
    if (staging) this.#memory.free(staging);
    return this.#memory.allocate(bytes, 'readback', USAGE.MAP_READ | USAGE.COPY_DST);
  }
}
