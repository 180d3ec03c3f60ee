/** One linear memory and the addresses in it. Nothing is freed alone: a device's memory goes all at once. */

import { DeviceError } from '../errors.ts';
import { HEAP_BASE } from './memory-map.ts';
import { MAX_PAGES } from './module-bytes.ts';

const PAGE_BYTES = 65536;
const ALIGNMENT = 64;

/** Most bytes of a memory of 32-bit addresses. */
export const MAX_MEMORY_BYTES = MAX_PAGES * PAGE_BYTES;

export class Heap {
  readonly memory: WebAssembly.Memory;
  /** Most bytes that may be given out, a multiple of 64 KiB. */
  readonly capacity: number;
  #next = HEAP_BASE;

  /** @param shared  whether worker threads will use the memory */
  constructor(shared: boolean, capacity = MAX_MEMORY_BYTES) {
    this.capacity = capacity;
    this.memory = new WebAssembly.Memory({ initial: 1, maximum: MAX_PAGES, shared });
  }

  /** Bytes given out so far. */
  get used(): number {
    return this.#next;
  }

  /**
   * Zeroed room of at least `bytes`, aligned to 64.
   * @throws DeviceError when the memory's capacity, or what the machine has, does not suffice.
   */
  allocate(bytes: number, purpose: string): number {
    const address = this.#next;
    const end = address + Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
    const missing = Math.ceil(end / PAGE_BYTES) - this.memory.buffer.byteLength / PAGE_BYTES;
    if (missing > 0) this.#grow(missing, end, purpose);
    this.#next = end;
    return address;
  }

  #grow(pages: number, end: number, purpose: string): void {
    if (!(end <= this.capacity)) {
      const mebibytes = (bytes: number) => Math.ceil(bytes / 2 ** 20);
      throw new DeviceError(
        `${purpose}: ${mebibytes(end)} MiB in all exceed the ${mebibytes(this.capacity)} MiB of one WASM memory`,
      );
    }
    try {
      this.memory.grow(pages);
    } catch {
      throw new DeviceError(`${purpose}: the machine has no ${pages * PAGE_BYTES} bytes left for WASM memory`);
    }
  }

  bytes(address: number, length: number): Uint8Array {
    return new Uint8Array(this.memory.buffer, address, length);
  }

  words(address: number, length: number): Int32Array {
    return new Int32Array(this.memory.buffer, address, length);
  }

  floats(address: number, length: number): Float32Array {
    return new Float32Array(this.memory.buffer, address, length);
  }
}
