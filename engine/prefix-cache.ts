/**
 * Which full K/V blocks can serve another sequence: those whose tokens, and all tokens before them, are the same.
 *
 * A block's name is the name of the block before it and its own token ids, so that a chain of names stands for a whole
 * prefix. The names are compared, not hashed: a hit is never somebody else's text. A name is used for one block only and
 * never again; what followed a block that was given up can no longer be found.
 * Source: vLLM's automatic prefix caching; Kwon et al., arXiv:2309.06180.
 */

import { KV_BLOCK_SIZE } from '../kernels/index.ts';

/** Stands for a block and all that comes before it. */
export type PrefixName = string | number;

/** A block with its name. */
export interface NamedBlock {
  readonly name: PrefixName;
  readonly block: number;
}

/** Where the prefixes of a salt begin: sequences with different salts share nothing. */
export function rootName(salt: string | undefined): PrefixName {
  return salt === undefined ? 0 : `salt ${salt}`;
}

/** Where the prefixes of long sequences begin, which have other keys and values than short ones; see {@link Model.longFrom}. */
export function longRoot(root: PrefixName): PrefixName {
  return `long ${root}`;
}

export class PrefixCache {
  readonly #blocks = new Map<string, NamedBlock>();
  /** The key in `#blocks` of each block that has a name. */
  readonly #keys = new Map<number, string>();
  #names = 0;

  /** True when a sequence might find the block. */
  has(block: number): boolean {
    return this.#keys.has(block);
  }

  /**
   * The block that goes on after `before` with the tokens of block `index`.
   * @param tokens  of a sequence that has all tokens of the block
   */
  find(before: PrefixName, tokens: readonly number[], index: number): NamedBlock | undefined {
    return this.#blocks.get(keyOf(before, tokens, index));
  }

  /** Gives the name of a block whose keys and values are there; of two equal ones, the first is the one to be found. */
  add(before: PrefixName, tokens: readonly number[], index: number, block: number): PrefixName {
    const key = keyOf(before, tokens, index);
    const known = this.#blocks.get(key);
    if (known) return known.name;
    if (this.#keys.has(block)) throw new Error(`block ${block} has a name already`);
    const named = { name: ++this.#names, block };
    this.#blocks.set(key, named);
    this.#keys.set(block, key);
    return named.name;
  }

  /** The content of all blocks is lost. */
  clear(): void {
    this.#blocks.clear();
    this.#keys.clear();
  }

  /** The block's content is about to be lost. */
  forget(block: number): void {
    const key = this.#keys.get(block);
    if (key === undefined) return;
    this.#keys.delete(block);
    this.#blocks.delete(key);
  }
}

/** Token ids have no colon, so what stands before the last one is the name. */
function keyOf(before: PrefixName, tokens: readonly number[], index: number): string {
  return `${before}:${tokens.slice(index * KV_BLOCK_SIZE, (index + 1) * KV_BLOCK_SIZE).join(',')}`;
}
