/**
 * Which tokens of which sequences the next forward pass computes.
 *
 * Sequences are served in the order in which they came. A step has room for `maxRows` tokens: first one for every running
 * sequence that is one token behind (decode), then the prompts of running sequences, cut to what is left (chunked
 * prefill), then new sequences while there are blocks for all their tokens. When a running sequence needs a block and
 * none is free, the youngest one gives its blocks up and is computed again later. The oldest one is never stopped, so
 * every sequence ends.
 *
 * The scheduler knows nothing of sampling or text: the engine runs the step, commits it, and appends a token to each
 * sequence that goes on. Source: vLLM's v1 scheduler; Agrawal et al., "Sarathi-Serve", arXiv:2403.02310.
 */

import { KV_BLOCK_SIZE, type StepInput } from '../kernels/index.ts';
import { BlockPool, blocksFor } from './block-pool.ts';
import type { Model } from './model.ts';
import type { Sequence } from './sequence.ts';

/** What one sequence has in a step. */
export interface StepPart {
  readonly sequence: Sequence;
  /** Tokens of the sequence that the step computes. */
  readonly rows: number;
  /** First row of the step's logits that belongs to the sequence. */
  readonly firstLogitRow: number;
  /** Rows of logits of the sequence: its last positions in this step. */
  readonly logitRows: number;
}

/** One forward pass, planned. */
export interface Step {
  readonly input: StepInput;
  /** In the order of `input.slots`; the parts' logit rows follow each other. */
  readonly parts: readonly StepPart[];
}

/** What the scheduler holds at the moment. */
export interface SchedulerStats {
  readonly running: number;
  readonly waiting: number;
  readonly freeBlocks: number;
  readonly totalBlocks: number;
  /** Times that a sequence gave up its blocks, since the start. */
  readonly preemptions: number;
}

type SchedulerLimits = Pick<Model, 'kvBlocks' | 'maxRows' | 'maxSeqs' | 'maxLogitRows'>;

export class Scheduler {
  readonly #pool: BlockPool;
  readonly #limits: SchedulerLimits;
  /** Most running sequences: each can have a row and a row of logits in every step. */
  readonly #maxRunning: number;
  /** Both oldest first; every running sequence is older than every waiting one. */
  readonly #running: Sequence[] = [];
  readonly #waiting: Sequence[] = [];
  #stepInFlight: Step | undefined;
  #preemptions = 0;

  constructor(limits: SchedulerLimits) {
    this.#limits = limits;
    this.#pool = new BlockPool(limits.kvBlocks);
    this.#maxRunning = Math.min(limits.maxSeqs, limits.maxRows, limits.maxLogitRows);
    if (!(this.#maxRunning >= 1)) throw new Error('a step needs room for at least one sequence');
  }

  /** Longest sequence that the blocks can hold, in tokens. */
  get capacity(): number {
    return this.#pool.size * KV_BLOCK_SIZE;
  }

  get stats(): SchedulerStats {
    return {
      running: this.#running.length,
      waiting: this.#waiting.length,
      freeBlocks: this.#pool.free,
      totalBlocks: this.#pool.size,
      preemptions: this.#preemptions,
    };
  }

  /** Takes a new sequence in. One that could never run is a bug: the engine refuses such requests before. */
  submit(sequence: Sequence): void {
    const { tokens, maxLength, state } = sequence;
    if (state !== 'new') throw new Error(`a ${state} sequence was submitted`);
    if (tokens.length === 0) throw new Error('a sequence without tokens was submitted');
    if (tokens.length > maxLength || maxLength > this.capacity) {
      throw new Error(`a sequence of ${tokens.length} to ${maxLength} tokens cannot fit into ${this.capacity}`);
    }
    sequence.state = 'waiting';
    this.#waiting.push(sequence);
  }

  /** The next step, or undefined when no sequence has a token to compute. It must be committed or abandoned. */
  plan(): Step | undefined {
    if (this.#stepInFlight) throw new Error('a step was planned before the last one ended');
    this.#growRunning();

    const step = new StepBuilder(this.#limits);
    for (const sequence of this.#running) if (sequence.pending === 1) step.add(sequence);
    for (const sequence of this.#running) if (sequence.pending > 1) step.add(sequence);
    while (step.rowsLeft > 0 && this.#canAdmit(this.#waiting[0])) {
      const sequence = this.#waiting.shift()!;
      sequence.state = 'running';
      this.#running.push(sequence);
      this.#allocate(sequence);
      step.add(sequence);
    }
    return (this.#stepInFlight = step.build());
  }

  /** The step's keys, values and logits are there. Sequences that were settled meanwhile are left alone. */
  commit(step: Step): void {
    this.#endStep(step);
    for (const { sequence, rows } of step.parts) {
      if (sequence.state !== 'running') continue;
      sequence.computed += rows;
      sequence.logitsFrom = Math.max(sequence.logitsFrom, sequence.computed);
    }
  }

  /** The step failed: nothing of it counts. */
  abandon(step: Step): void {
    this.#endStep(step);
  }

  /**
   * Ends a sequence in whatever state it is and frees its blocks; the only way to end one. False when it has ended
   * before. Blocks that a step in flight still writes to are safe: they are given out by the next plan at the earliest.
   */
  settle(sequence: Sequence): boolean {
    if (sequence.state === 'settled') return false;
    if (sequence.state === 'waiting') remove(this.#waiting, sequence);
    if (sequence.state === 'running') remove(this.#running, sequence);
    this.#release(sequence);
    sequence.state = 'settled';
    return true;
  }

  /** Gives every running sequence blocks for all its tokens, the oldest first, at the cost of the youngest. */
  #growRunning(): void {
    for (let i = 0; i < this.#running.length; i++) {
      const sequence = this.#running[i];
      while (!this.#pool.canAllocate(this.#missingBlocks(sequence))) {
        this.#preempt(this.#running.at(-1)!);
        if (sequence.state !== 'running') return;
      }
      this.#allocate(sequence);
    }
  }

  #preempt(youngest: Sequence): void {
    if (this.#running.length === 1) throw new Error('the only running sequence has no blocks to grow');
    this.#running.pop();
    this.#release(youngest);
    youngest.computed = 0;
    youngest.state = 'waiting';
    this.#waiting.unshift(youngest);
    this.#preemptions++;
  }

  /** One block for each running sequence that may still grow stays free, or the newcomer would soon be thrown out. */
  #canAdmit(sequence: Sequence | undefined): boolean {
    if (!sequence || this.#running.length >= this.#maxRunning) return false;
    const growing = this.#running.filter((other) => other.blockTable.length < blocksFor(other.maxLength)).length;
    return this.#pool.canAllocate(this.#missingBlocks(sequence) + growing);
  }

  #missingBlocks(sequence: Sequence): number {
    return blocksFor(sequence.tokens.length) - sequence.blockTable.length;
  }

  #allocate(sequence: Sequence): void {
    for (let missing = this.#missingBlocks(sequence); missing > 0; missing--) {
      sequence.blockTable.push(this.#pool.allocate());
    }
  }

  #release(sequence: Sequence): void {
    for (const block of sequence.blockTable.splice(0)) this.#pool.release(block);
  }

  #endStep(step: Step): void {
    if (this.#stepInFlight !== step) throw new Error('a step ended that is not the one in flight');
    this.#stepInFlight = undefined;
  }
}

/** Collects rows until the step is full. */
class StepBuilder {
  readonly #tokens: number[] = [];
  readonly #positions: number[] = [];
  readonly #slots: number[] = [];
  readonly #blockTables: number[][] = [];
  readonly #logitRows: number[] = [];
  readonly #parts: StepPart[] = [];
  readonly #limits: SchedulerLimits;

  constructor(limits: SchedulerLimits) {
    this.#limits = limits;
  }

  get rowsLeft(): number {
    return this.#limits.maxRows - this.#tokens.length;
  }

  /** Adds as many of the sequence's pending tokens as there is room for: rows, and rows of logits where they are wanted. */
  add(sequence: Sequence): void {
    const { computed, pending, logitsFrom } = sequence;
    const rowsWithoutLogits = Math.max(0, logitsFrom - computed);
    const logitRowsLeft = this.#limits.maxLogitRows - this.#logitRows.length;
    const rows = Math.min(pending, this.rowsLeft, rowsWithoutLogits + logitRowsLeft);
    if (rows === 0) return;

    const firstRow = this.#tokens.length;
    const firstLogitRow = this.#logitRows.length;
    for (let i = 0; i < rows; i++) {
      this.#tokens.push(sequence.tokens[computed + i]);
      this.#positions.push(computed + i);
      this.#slots.push(this.#blockTables.length);
      if (i >= rowsWithoutLogits) this.#logitRows.push(firstRow + i);
    }
    this.#blockTables.push(sequence.blockTable.slice());
    this.#parts.push({ sequence, rows, firstLogitRow, logitRows: this.#logitRows.length - firstLogitRow });
  }

  build(): Step | undefined {
    if (this.#parts.length === 0) return undefined;
    const input = {
      tokens: this.#tokens,
      positions: this.#positions,
      slots: this.#slots,
      blockTables: this.#blockTables,
      logitRows: this.#logitRows,
    };
    return { input, parts: this.#parts };
  }
}

function remove(list: Sequence[], sequence: Sequence): void {
  const index = list.indexOf(sequence);
  if (index < 0) throw new Error('a sequence is not in the list that its state says');
  list.splice(index, 1);
}
