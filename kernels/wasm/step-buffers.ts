/** The part of a memory that changes from step to step: row counts, token ids, positions, block tables. */

import type { RowDomain, StepInput, StepLimits } from '../contract.ts';
import type { Heap } from './heap.ts';
import { SPLIT } from './ops/attention-tiles.ts';
import { GROUP_BYTES } from './ops/linear.ts';
import { rowBlocks } from './row-blocks.ts';

/** Attention spreads over splits while there are fewer (row, K/V head) pairs than this for each thread. */
const SPREAD_BELOW = 2;

export class StepBuffers {
  readonly limits: StepLimits;
  /** Addresses of single words: token rows, rows with logits, whether attention spreads, over how many splits, blocks of rows. */
  readonly rows: number;
  readonly logitRowCount: number;
  readonly spread: number;
  readonly splits: number;
  readonly rowBlockCount: number;
  /** Addresses of arrays of words. */
  readonly tokens: number;
  readonly positions: number;
  readonly ropeRows: number;
  readonly slots: number;
  readonly logitRows: number;
  readonly blockTables: number;
  /** First row and number of rows of each block that attention takes together. */
  readonly rowBlocks: number;
  readonly blockTableStride: number;

  readonly #heap: Heap;
  readonly #threads: number;
  readonly #maxSplits: number;
  /** Addresses of row counts times a number, and of tables with one group of so many rows (see `ops/linear.ts`). */
  readonly #counts = new Map<string, { rows: number; group: number; domain: RowDomain; perRow: number }>();
  #scratch: { address: number; stride: number } | null = null;
  #partials: { address: number; bytes: number } | null = null;
  #spreadPairs = 0;
  #kvHeads = 1;

  constructor(heap: Heap, limits: StepLimits, threads: number, blockSize: number) {
    const words = (count: number) => heap.allocate(4 * count, 'step buffers');
    this.#heap = heap;
    this.limits = limits;
    this.#threads = threads;
    this.#maxSplits = Math.ceil((limits.maxBlocksPerSlot * blockSize) / SPLIT);
    this.rows = words(5);
    this.logitRowCount = this.rows + 4;
    this.spread = this.rows + 8;
    this.splits = this.rows + 12;
    this.rowBlockCount = this.rows + 16;
    this.tokens = words(limits.maxRows);
    this.positions = words(limits.maxRows);
    this.ropeRows = words(limits.maxRows);
    this.slots = words(limits.maxRows);
    this.logitRows = words(limits.maxLogitRows);
    this.rowBlocks = words(2 * limits.maxRows);
    this.blockTableStride = 4 * limits.maxBlocksPerSlot;
    this.blockTables = words(limits.maxSlots * limits.maxBlocksPerSlot);
  }

  /** Address of a word with the rows that a tensor has in a step. */
  rowsOf(tensor: { readonly domain: RowDomain; readonly perRow: number }): number {
    return this.#countsOf(tensor).rows;
  }

  /** Address of a table of groups: one of all rows that a tensor has in a step. */
  groupOf(tensor: { readonly domain: RowDomain; readonly perRow: number }): number {
    return this.#countsOf(tensor).group;
  }

  #countsOf({ domain, perRow }: { readonly domain: RowDomain; readonly perRow: number }) {
    const key = `${domain} ${perRow}`;
    let counts = this.#counts.get(key);
    if (!counts) {
      const group = this.#heap.allocate(4 + GROUP_BYTES, 'step buffers');
      counts = { group, rows: group + 12, domain, perRow };
      this.#counts.set(key, counts);
    }
    return counts;
  }

  /** Scratch for an attention op of that shape; all of them share what the largest needs. */
  attentionScratch(bytesPerThread: number, partialBytes: number, kvHeads: number) {
    if (!this.#scratch || this.#scratch.stride < bytesPerThread) {
      const stride = 64 * Math.ceil(bytesPerThread / 64);
      this.#scratch = { address: this.#heap.allocate(stride * this.#threads, 'attention scratch'), stride };
    }
    this.#kvHeads = Math.max(this.#kvHeads, kvHeads);
    this.#spreadPairs = SPREAD_BELOW * this.#threads + this.#kvHeads;
    const bytes = this.#spreadPairs * this.#maxSplits * partialBytes;
    if (!this.#partials || this.#partials.bytes < bytes) {
      this.#partials = { address: this.#heap.allocate(bytes, 'attention partials'), bytes };
    }
    return { scratch: this.#scratch.address, scratchStride: this.#scratch.stride, partials: this.#partials.address };
  }

  /** Scratch for each thread that reduces rows of logits: a word's logits, then the maxima of all words. */
  reductionScratch(words: number) {
    const scratchStride = 128 + 16 * words;
    return { scratch: this.#heap.allocate(scratchStride * this.#threads, 'reduction scratch'), scratchStride };
  }

  write(step: StepInput): void {
    const rows = step.tokens.length;
    const put = (address: number, values: ArrayLike<number>): void => {
      this.#heap.words(address, values.length).set(values);
    };
    let last = 0;
    for (let r = 0; r < rows; r++) last = Math.max(last, step.positions[r]);
    const splits = Math.floor(last / SPLIT) + 1;
    const spread =
      this.#threads > 1 && splits > 1 && rows * this.#kvHeads < SPREAD_BELOW * this.#threads + this.#kvHeads;
    const blocks = rowBlocks(step);
    put(this.rows, [rows, step.logitRows.length, spread ? 1 : 0, splits, blocks.length]);
    put(this.rowBlocks, blocks.flat());
    put(this.tokens, step.tokens);
    put(this.positions, step.positions);
    put(this.ropeRows, step.ropeRows ?? step.positions);
    for (const { group, domain, perRow } of this.#counts.values()) {
      put(group, [1, 0, 0, perRow * (domain === 'tokens' ? rows : step.logitRows.length)]);
    }
    put(this.slots, step.slots);
    put(this.logitRows, step.logitRows);
    for (const [slot, table] of step.blockTables.entries()) put(this.blockTables + slot * this.blockTableStride, table);
  }
}
