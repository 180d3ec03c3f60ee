/**
 * The linear memories of a device. A memory of 32-bit addresses ends at 4 GiB, so a large model takes several, each with
 * its own instance of the same kernels: an op runs in the memory where its weight (or its layer's keys and values) lies,
 * and the activations move there when the op before it ran elsewhere (`record.ts`). That needs nothing of the engine
 * beyond plain SIMD, and keeps addresses at 32 bits, which 64-bit memories would pay for with a check at every load.
 */

import { DeviceError } from '../errors.ts';
import { Heap, MAX_MEMORY_BYTES } from './heap.ts';

/** Where something lies. */
export interface Place {
  readonly heap: Heap;
  readonly address: number;
}

/**
 * Share of a memory that weights may fill. The rest is for the keys and values of the same layers and for activations,
 * whose sizes are not known when the weights come.
 */
const WEIGHT_SHARE = 5 / 8;
/** Share that keys and values leave for activations. */
const PAGES_SHARE = 7 / 8;

export class Memories {
  readonly #heaps: Heap[];
  readonly #shared: boolean;
  readonly #capacity: number;
  #lastHoldsWeights = false;
  /** The memory that addresses of tensors, constants and step buffers refer to: the one that is recorded for. */
  current: Heap;

  /**
   * @param shared  whether worker threads will use the memories
   * @param capacity  most bytes in each, at most 4 GiB
   */
  constructor(shared: boolean, capacity = MAX_MEMORY_BYTES) {
    this.#shared = shared;
    this.#capacity = capacity;
    this.current = new Heap(shared, capacity);
    this.#heaps = [this.current];
  }

  get all(): readonly Heap[] {
    return this.#heaps;
  }

  get first(): Heap {
    return this.#heaps[0];
  }

  indexOf(heap: Heap): number {
    return this.#heaps.indexOf(heap);
  }

  /** Room for a weight. Weights that are made one after the other come to lie in the same memory while there is room. */
  placeWeight(bytes: number, purpose: string): Place {
    const last = this.#heaps[this.#heaps.length - 1];
    const isFull = this.#lastHoldsWeights && last.used + bytes > WEIGHT_SHARE * this.#capacity;
    this.#lastHoldsWeights = true;
    return place(isFull ? this.#add() : last, bytes, purpose);
  }

  /** Room for keys and values: in the memory that is recorded for, or where there is some left. */
  placePages(bytes: number, purpose: string): Place {
    const hasRoom = (heap: Heap) => heap.used + bytes <= PAGES_SHARE * this.#capacity;
    const heap = hasRoom(this.current) ? this.current : (this.#heaps.find(hasRoom) ?? this.#add());
    return place(heap, bytes, purpose);
  }

  /** @throws DeviceError when no memory can have so many bytes of keys and values. */
  checkPages(bytes: number, purpose: string): void {
    const most = PAGES_SHARE * this.#capacity;
    if (bytes > most) throw new DeviceError(`${purpose}: ${bytes} bytes exceed the ${most} of one WASM memory for it`);
  }

  #add(): Heap {
    const heap = new Heap(this.#shared, this.#capacity);
    this.#heaps.push(heap);
    this.#lastHoldsWeights = false;
    return heap;
  }
}

function place(heap: Heap, bytes: number, purpose: string): Place {
  return { heap, address: heap.allocate(bytes, purpose) };
}
