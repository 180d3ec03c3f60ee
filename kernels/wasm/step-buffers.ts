/** The part of a memory that changes from step to step: row counts, token ids, positions, block tables. */

import type { RowDomain, StepInput, StepLimits } from '../contract.ts';
import { attentionTasks, slotsFor } from './attention-tasks.ts';
import type { Heap } from './heap.ts';
import { SPLIT } from './ops/attention-tiles.ts';
import { GROUP_BYTES } from './ops/linear.ts';

/** Bytes of a task of attention, and of a block of rows that is spread over tasks: row, rows, split, slot. */
export const ATTENTION_TASK_BYTES = 16;

export class StepBuffers {
  readonly limits: StepLimits;
  /** Addresses of single words: token rows, rows with logits, attention's tasks and blocks that are spread over them. */
  readonly rows: number;
  readonly logitRowCount: number;
  readonly attentionTaskCount: number;
  readonly spreadCount: number;
  /** Addresses of arrays of words. */
  readonly tokens: number;
  readonly positions: number;
  readonly ropeRows: number;
  readonly slots: number;
  readonly logitRows: number;
  readonly blockTables: number;
  readonly blockTableStride: number;

  readonly #heap: Heap;
  readonly #threads: number;
  readonly #maxSplits: number;
  /** Addresses of row counts times a number, and of tables with one group of so many rows (see `ops/linear.ts`). */
  readonly #counts = new Map<string, { rows: number; group: number; domain: RowDomain; perRow: number }>();
  #scratch: { address: number; stride: number } | null = null;
  #partials: { address: number; bytes: number } | null = null;
  #attention: { tasks: number; spread: number } | null = null;
  #kvHeads = 0;

  constructor(heap: Heap, limits: StepLimits, threads: number, blockSize: number) {
    const words = (count: number) => heap.allocate(4 * count, 'step buffers');
    this.#heap = heap;
    this.limits = limits;
    this.#threads = threads;
    this.#maxSplits = Math.ceil((limits.maxBlocksPerSlot * blockSize) / SPLIT);
    this.rows = words(4);
    this.logitRowCount = this.rows + 4;
    this.attentionTaskCount = this.rows + 8;
    this.spreadCount = this.rows + 12;
    this.tokens = words(limits.maxRows);
    this.positions = words(limits.maxRows);
    this.ropeRows = words(limits.maxRows);
    this.slots = words(limits.maxRows);
    this.logitRows = words(limits.maxLogitRows);
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
    const slots = this.#slotsFor(kvHeads);
    const bytes = slots * kvHeads * partialBytes;
    if (!this.#partials || this.#partials.bytes < bytes) {
      this.#partials = { address: this.#heap.allocate(bytes, 'attention partials'), bytes };
    }
    this.#attention ??= {
      tasks: this.#heap.allocate(ATTENTION_TASK_BYTES * (this.limits.maxRows + this.#slotsFor(1)), 'attention tasks'),
      spread: this.#heap.allocate(ATTENTION_TASK_BYTES * this.limits.maxRows, 'attention tasks'),
    };
    // The most heads leave the fewest slots, and these there are for every op.
    this.#kvHeads = Math.max(this.#kvHeads, kvHeads);
    return {
      scratch: this.#scratch.address,
      scratchStride: this.#scratch.stride,
      partials: this.#partials.address,
      tasks: this.#attention.tasks,
      spread: this.#attention.spread,
    };
  }

  #slotsFor(kvHeads: number): number {
    return slotsFor(this.#threads, kvHeads, this.#maxSplits);
  }

  /** Scratch for each thread that reduces rows of logits: a word's logits, the maxima of all words, and of groups of words. */
  reductionScratch(words: number) {
    const scratchStride = 128 + 16 * (words + Math.ceil(words / 16));
    return { scratch: this.#heap.allocate(scratchStride * this.#threads, 'reduction scratch'), scratchStride };
  }

  write(step: StepInput): void {
    const rows = step.tokens.length;
    const put = (address: number, values: ArrayLike<number>): void => {
      this.#heap.words(address, values.length).set(values);
    };
    put(this.rows, [rows, step.logitRows.length]);
    this.#writeAttention(step);
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

  #writeAttention(step: StepInput): void {
    if (!this.#attention) return;
    const [threads, kvHeads] = [this.#threads, this.#kvHeads];
    const { tasks, spread } = attentionTasks(step, { threads, kvHeads, split: SPLIT, slots: this.#slotsFor(kvHeads) });
    this.#heap.words(this.attentionTaskCount, 2).set([tasks.length, spread.length]);
    const taskWords = this.#heap.words(this.#attention.tasks, 4 * tasks.length);
    for (const [i, { row, rows, split, slot }] of tasks.entries()) taskWords.set([row, rows, split, slot], 4 * i);
    const spreadWords = this.#heap.words(this.#attention.spread, 4 * spread.length);
    for (const [i, { row, rows, slot }] of spread.entries()) spreadWords.set([row, rows, 0, slot], 4 * i);
  }
}
