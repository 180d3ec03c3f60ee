/** Brings what lies in buffers back to the host. */

import type { WebGpuTensor } from './buffers.ts';
import { type Gpu, type GpuMemory, USAGE } from './gpu.ts';

const MAP_READ = 1;

export interface BufferPart {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly bytes: number;
}

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
    const padded = await this.parts([{ buffer, offset: 4 * firstRow * stride, bytes: 4 * rows * stride }]);
    const floats = new Float32Array(padded.buffer);
    if (cols === stride) return floats;
    const out = new Float32Array(rows * cols);
    for (let r = 0; r < rows; r++) out.set(floats.subarray(r * stride, r * stride + cols), r * cols);
    return out;
  }

  /** The words of some parts of buffers, one after the other, when all that was submitted before is done. */
  async parts(parts: readonly BufferPart[]): Promise<Uint32Array<ArrayBuffer>> {
    const bytes = parts.reduce((sum, part) => sum + part.bytes, 0);
    if (bytes === 0) return new Uint32Array(0);
    const staging = this.#take(bytes);
    const { device } = this.#gpu;
    const encoder = device.createCommandEncoder();
    let at = 0;
    for (const part of parts) {
      encoder.copyBufferToBuffer(part.buffer, part.offset, staging, at, part.bytes);
      at += part.bytes;
    }
    device.queue.submit([encoder.finish()]);
    await this.#gpu.settled(staging.mapAsync(MAP_READ, 0, bytes));
    const words = new Uint32Array(staging.getMappedRange(0, bytes).slice(0));
    staging.unmap();
    this.#staging = staging;
    return words;
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
