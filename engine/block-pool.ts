/**
 * The K/V blocks of a model's cache: which are free, and how many sequences hold each of the others. A free block whose
 * content another sequence might want is kept as long as there are others to give out; of those, the one goes first that
 * nobody has held for the longest time.
 *
 * The pool knows block numbers only; what a block contains is the model's business. A wrong call is a bug in the engine
 * and throws at once: a block that is freed twice would be written by two sequences.
 * Source: Kwon et al., "Efficient Memory Management for Large Language Model Serving with PagedAttention",
 * arXiv:2309.06180.
 */

import { KV_BLOCK_SIZE } from '../kernels/index.ts';
import type { PrefixCache } from './prefix-cache.ts';

/** Blocks that the keys and values of `positions` tokens take. */
export function blocksFor(positions: number): number {
  return Math.ceil(positions / KV_BLOCK_SIZE);
}

/** What the pool must know of the blocks' content. */
type Contents = Pick<PrefixCache, 'has' | 'forget'>;

const NO_CONTENTS: Contents = { has: () => false, forget: () => {} };

export class BlockPool {
  /** Blocks in the pool, numbered from 0. */
  readonly size: number;
  readonly #contents: Contents;
  /** `[size]` holders of each block; 0 = free. */
  readonly #references: Uint32Array;
  /** The free blocks with nothing in them; the last one is taken next. */
  readonly #empty: number[];
  /** The free blocks whose content is kept, the one that was released first in front. */
  readonly #kept = new Set<number>();

  constructor(size: number, contents: Contents = NO_CONTENTS) {
    if (!Number.isSafeInteger(size) || size < 1) throw new Error(`a block pool of ${size} blocks: expected at least 1`);
    this.size = size;
    this.#contents = contents;
    this.#references = new Uint32Array(size);
    this.#empty = Array.from({ length: size }, (_, i) => size - 1 - i);
  }

  /** Blocks that nobody holds, those with kept content among them. */
  get free(): number {
    return this.#empty.length + this.#kept.size;
  }

  /** Blocks that nobody holds and whose content is kept. */
  get kept(): number {
    return this.#kept.size;
  }

  /** Blocks that somebody holds. */
  get used(): number {
    return this.size - this.free;
  }

  /** Holders of a block. */
  references(block: number): number {
    this.#check(block);
    return this.#references[block];
  }

  canAllocate(blocks: number): boolean {
    return blocks <= this.free;
  }

  /** Takes a free block, whose content is lost; the caller is its first holder. */
  allocate(): number {
    const block = this.#empty.pop() ?? this.#evict();
    if (block === undefined) throw new Error(`no free block: all ${this.size} are held`);
    this.#references[block] = 1;
    return block;
  }

  /** Adds a holder to a block that is held already, or whose content is kept. */
  retain(block: number): void {
    if (this.references(block) === 0 && !this.#kept.delete(block)) {
      throw new Error(`block ${block} is free and cannot be shared`);
    }
    this.#references[block]++;
  }

  /** Takes away one holder; with the last one the block is free. */
  release(block: number): void {
    if (this.references(block) === 0) throw new Error(`block ${block} is free already`);
    if (--this.#references[block] > 0) return;
    if (this.#contents.has(block)) this.#kept.add(block);
    else this.#empty.push(block);
  }

  /** The content of the free blocks is lost. */
  dropKept(): void {
    this.#empty.push(...this.#kept);
    this.#kept.clear();
  }

  #evict(): number | undefined {
    for (const block of this.#kept) {
      this.#kept.delete(block);
      this.#contents.forget(block);
      return block;
    }
    return undefined;
  }

  #check(block: number): void {
    if (!(Number.isInteger(block) && block >= 0 && block < this.size)) {
      throw new Error(`block ${block} is not one of the pool's ${this.size}`);
    }
  }
}
