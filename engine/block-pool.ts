/**
 * The K/V blocks of a model's cache: which are free, and how many sequences hold each of the others.
 *
 * The pool knows block numbers only; what a block contains is the model's business. A wrong call is a bug in the engine
 * and throws at once: a block that is freed twice would be written by two sequences.
 * Source: Kwon et al., "Efficient Memory Management for Large Language Model Serving with PagedAttention",
 * arXiv:2309.06180.
 */

import { KV_BLOCK_SIZE } from '../kernels/index.ts';

/** Blocks that the keys and values of `positions` tokens take. */
export function blocksFor(positions: number): number {
  return Math.ceil(positions / KV_BLOCK_SIZE);
}

export class BlockPool {
  /** Blocks in the pool, numbered from 0. */
  readonly size: number;
  /** `[size]` holders of each block; 0 = free. */
  readonly #references: Uint32Array;
  /** The free blocks; the last one is taken next. */
  readonly #free: number[];

  constructor(size: number) {
    if (!Number.isSafeInteger(size) || size < 1) throw new Error(`a block pool of ${size} blocks: expected at least 1`);
    this.size = size;
    this.#references = new Uint32Array(size);
    this.#free = Array.from({ length: size }, (_, i) => size - 1 - i);
  }

  /** Blocks that nobody holds. */
  get free(): number {
    return this.#free.length;
  }

  /** Blocks that somebody holds. */
  get used(): number {
    return this.size - this.#free.length;
  }

  /** Holders of a block. */
  references(block: number): number {
    this.#check(block);
    return this.#references[block];
  }

  canAllocate(blocks: number): boolean {
    return blocks <= this.#free.length;
  }

  /** Takes a free block; the caller is its first holder. */
  allocate(): number {
    const block = this.#free.pop();
    if (block === undefined) throw new Error(`no free block: all ${this.size} are held`);
    this.#references[block] = 1;
    return block;
  }

  /** Adds a holder to a block that is held already. */
  retain(block: number): void {
    if (this.references(block) === 0) throw new Error(`block ${block} is free and cannot be shared`);
    this.#references[block]++;
  }

  /** Takes away one holder; with the last one the block is free. */
  release(block: number): void {
    if (this.references(block) === 0) throw new Error(`block ${block} is free already`);
    if (--this.#references[block] === 0) this.#free.push(block);
  }

  #check(block: number): void {
    if (!(Number.isInteger(block) && block >= 0 && block < this.size)) {
      throw new Error(`block ${block} is not one of the pool's ${this.size}`);
    }
  }
}
