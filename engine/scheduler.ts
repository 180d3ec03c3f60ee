/**
 * Which tokens of which sequences the next forward pass computes.
 *
 * Sequences are served by priority, and in the order in which they came. A step has room for `maxRows` tokens: first one
 * for every running sequence that is one token behind (decode), with drafts where there is room for all, then the prompts
 * of running sequences, cut to what is left (chunked prefill), then new sequences while there are blocks for all their
 * tokens. When a running sequence needs a block and none is free, the last one gives its blocks up and is computed again
 * later. The first one that has something to compute is never stopped, so every sequence ends.
 *
 * Sequences share blocks: those that begin with the same tokens share the full blocks of the beginning, and forks share
 * what their parent had. A block that has room left is copied before one of its holders writes to it.
 *
 * The scheduler knows nothing of sampling or text: the engine runs the step, commits it, and appends a token to each
 * sequence that goes on. Source: vLLM's v1 scheduler; Agrawal et al., "Sarathi-Serve", arXiv:2403.02310.
 */

import { KV_BLOCK_SIZE } from '../kernels/index.ts';
import { BlockPool, blocksFor } from './block-pool.ts';
import type { Model } from './model.ts';
import { type NamedBlock, PrefixCache } from './prefix-cache.ts';
import type { Sequence } from './sequence.ts';
import { type Step, StepBuilder } from './step-builder.ts';

/** What the scheduler holds at the moment. */
export interface SchedulerStats {
  readonly running: number;
  readonly waiting: number;
  /** Blocks that no sequence holds. */
  readonly freeBlocks: number;
  /** Those of the free blocks whose content is kept for sequences that begin alike. */
  readonly cachedBlocks: number;
  readonly totalBlocks: number;
  /** Times that a sequence gave up its blocks, since the start. */
  readonly preemptions: number;
}

type SchedulerLimits = Pick<Model, 'kvBlocks' | 'maxRows' | 'maxSeqs' | 'maxLogitRows' | 'longFrom'>;

export class Scheduler {
  readonly #prefixes = new PrefixCache();
  readonly #pool: BlockPool;
  readonly #limits: SchedulerLimits;
  /** Most running sequences: each can have a row and a row of logits in every step. */
  readonly maxRunning: number;
  /** Both in the order in which they are served. */
  readonly #running: Sequence[] = [];
  readonly #waiting: Sequence[] = [];
  #stepInFlight: Step | undefined;
  #arrivals = 0;
  #preemptions = 0;

  constructor(limits: SchedulerLimits) {
    this.#limits = limits;
    this.#pool = new BlockPool(limits.kvBlocks, this.#prefixes);
    this.maxRunning = Math.min(limits.maxSeqs, limits.maxRows, limits.maxLogitRows);
    if (!(this.maxRunning >= 1)) throw new Error('a step needs room for at least one sequence');
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
      cachedBlocks: this.#pool.kept,
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
    sequence.arrival = ++this.#arrivals;
    sequence.state = 'waiting';
    insert(this.#waiting, sequence);
  }

  /**
   * A second sequence with the tokens of one whose logits have all come. It shares the blocks, or waits without any when
   * as many sequences are running as can be.
   */
  fork(parent: Sequence): Sequence {
    const { state, wantsLogits } = parent;
    if (!(state === 'running' || state === 'waiting')) throw new Error(`a ${state} sequence was forked`);
    if (wantsLogits) throw new Error('a sequence was forked before the logits of its last token came');
    const child = parent.fork();
    if (state === 'running' && this.#running.length < this.maxRunning) {
      for (const block of parent.blockTable.slice(0, blocksFor(parent.computed))) {
        this.#pool.retain(block);
        child.blockTable.push(block);
      }
      child.computed = parent.computed;
      child.state = 'running';
      insert(this.#running, child);
    } else {
      forgetBlocks(child);
      child.state = 'waiting';
      insert(this.#waiting, child);
    }
    return child;
  }

  /** The next step, or undefined when no sequence has a token to compute. It must be committed or abandoned. */
  plan(): Step | undefined {
    if (this.#stepInFlight) throw new Error('a step was planned before the last one ended');
    const step = new StepBuilder(this.#limits);
    this.#startLongOnesOver();
    this.#growRunning(step);
    this.#addDecodes(step);
    for (const sequence of this.#running) if (sequence.pending > 1) step.add(sequence);
    this.#admitWaiting(step);
    return (this.#stepInFlight = step.build());
  }

  /** The step's keys, values and logits are there. Sequences that were settled meanwhile are left alone. */
  commit(step: Step): void {
    this.#endStep(step);
    for (const { sequence, rows, draft } of step.parts) {
      if (sequence.state !== 'running') continue;
      sequence.computed += rows;
      sequence.logitsFrom = Math.max(sequence.logitsFrom, sequence.computed);
      sequence.onTrial = [...draft];
      this.#nameFullBlocks(sequence);
    }
  }

  /** The step failed: nothing of it counts, and the blocks of its sequences have lost their content. */
  abandon(step: Step): void {
    this.#endStep(step);
  }

  /** No block has its content any more. The caller has settled all running sequences; those that wait have no blocks. */
  loseBlocks(): void {
    if (this.#running.length > 0) throw new Error('blocks were lost under running sequences');
    this.#prefixes.clear();
    this.#pool.dropKept();
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

  /** Those that have grown beyond the length from which on all keys and values are others are computed again. */
  #startLongOnesOver(): void {
    const { longFrom } = this.#limits;
    if (longFrom === undefined) return;
    for (const sequence of [...this.#running, ...this.#waiting]) {
      if (sequence.isLong || sequence.tokens.length <= longFrom) continue;
      this.#release(sequence);
      sequence.becomeLong();
    }
  }

  /** Gives every running sequence with pending tokens blocks for all of them, in order, at the cost of the last. */
  #growRunning(step: StepBuilder): void {
    let someoneWorks = false;
    for (let i = 0; i < this.#running.length; i++) {
      const sequence = this.#running[i];
      if (sequence.pending === 0) continue;
      while (!this.#pool.canAllocate(this.#missingBlocks(sequence) + this.#sharedBlocks(sequence).length)) {
        const victim = this.#victimFor(sequence, someoneWorks);
        if (this.#running.indexOf(victim) < i) i--;
        this.#preempt(victim);
        if (victim === sequence) return;
      }
      for (const index of this.#sharedBlocks(sequence)) this.#makeOwn(sequence, index, step);
      this.#allocate(sequence);
      someoneWorks = true;
    }
  }

  /**
   * Who gives up its blocks for a sequence that has none left: the last of all. When that is the sequence itself and all
   * before it only wait for each other, the last of those; or nothing would ever go on.
   */
  #victimFor(sequence: Sequence, someoneWorks: boolean): Sequence {
    const last = this.#running.at(-1)!;
    if (last !== sequence || someoneWorks) return last;
    const idle = this.#lastIdle();
    if (!idle) throw new Error('the only running sequence has no blocks to grow');
    return idle;
  }

  #lastIdle(): Sequence | undefined {
    return this.#running.findLast(({ pending }) => pending === 0);
  }

  #preempt(sequence: Sequence): void {
    remove(this.#running, sequence);
    this.#release(sequence);
    sequence.state = 'waiting';
    insert(this.#waiting, sequence);
    this.#preemptions++;
  }

  /** Drafts get what is left when every decoding sequence has its row, of rows, logits and free blocks. */
  #addDecodes(step: StepBuilder): void {
    const decoding = this.#running.filter(({ pending }) => pending === 1);
    for (const [i, sequence] of decoding.entries()) {
      const spare = Math.min(step.rowsLeft, step.logitRowsLeft) - (decoding.length - i);
      step.add(sequence, this.#draftWithBlocks(sequence, spare));
    }
  }

  #draftWithBlocks({ tokens, draft, blockTable, isLong }: Sequence, spareRows: number): readonly number[] {
    // A draft must not make the sequence a long one: its own tokens would have the wrong keys.
    const { longFrom = Number.POSITIVE_INFINITY } = this.#limits;
    const length = Math.min(draft.length, spareRows, isLong ? draft.length : longFrom - tokens.length);
    if (length <= 0) return [];
    while (blockTable.length < blocksFor(tokens.length + length) && this.#pool.canAllocate(1)) {
      blockTable.push(this.#pool.allocate());
    }
    return draft.slice(0, Math.min(length, blockTable.length * KV_BLOCK_SIZE - tokens.length));
  }

  #admitWaiting(step: StepBuilder): void {
    while (step.rowsLeft > 0) {
      const next = this.#waiting.find(({ wantsLogits }) => wantsLogits);
      if (!next) return;
      if (this.#tryToAdmit(next)) {
        step.add(next);
        continue;
      }
      if (!step.isEmpty) return;
      // All that run wait for one that cannot run beside them.
      const idle = this.#lastIdle();
      if (!idle) throw new Error('nothing runs, and the first that waits cannot');
      this.#preempt(idle);
    }
  }

  /** One block for each running sequence that may still grow stays free, or the newcomer would soon be thrown out. */
  #tryToAdmit(sequence: Sequence): boolean {
    if (this.#running.length >= this.maxRunning) return false;
    const growing = this.#running.filter((other) => other.blockTable.length < blocksFor(other.maxLength)).length;
    if (!this.#pool.canAllocate(growing + 1)) return false;
    const cached = this.#cachedBlocks(sequence);
    const revived = cached.filter(({ block }) => this.#pool.references(block) === 0).length;
    const fresh = blocksFor(sequence.tokens.length) - cached.length;
    if (!this.#pool.canAllocate(fresh + revived + growing)) return false;

    remove(this.#waiting, sequence);
    sequence.state = 'running';
    insert(this.#running, sequence);
    for (const { name, block } of cached) {
      this.#pool.retain(block);
      sequence.blockTable.push(block);
      sequence.prefixes.push(name);
    }
    sequence.computed = cached.length * KV_BLOCK_SIZE;
    sequence.cachedTokens ??= sequence.computed;
    this.#allocate(sequence);
    return true;
  }

  /** Full blocks with the sequence's first tokens, as far as no logits of them are wanted. */
  #cachedBlocks({ tokens, logitsFrom, prefixes: [root] }: Sequence): NamedBlock[] {
    const found: NamedBlock[] = [];
    const most = Math.floor(logitsFrom / KV_BLOCK_SIZE);
    for (let name = root; found.length < most; ) {
      const next = this.#prefixes.find(name, tokens, found.length);
      if (!next) break;
      found.push(next);
      name = next.name;
    }
    return found;
  }

  #nameFullBlocks({ computed, blockTable, prefixes, tokens }: Sequence): void {
    for (let index = prefixes.length - 1; (index + 1) * KV_BLOCK_SIZE <= computed; index++) {
      prefixes.push(this.#prefixes.add(prefixes[index], tokens, index, blockTable[index]));
    }
  }

  /** Index of the block that the sequence writes to next, if others hold it too. */
  #sharedBlocks({ computed, blockTable }: Sequence): number[] {
    const index = Math.floor(computed / KV_BLOCK_SIZE);
    return index < blockTable.length && this.#pool.references(blockTable[index]) > 1 ? [index] : [];
  }

  #makeOwn({ blockTable }: Sequence, index: number, step: StepBuilder): void {
    const block = this.#pool.allocate();
    step.copy(blockTable[index], block);
    this.#pool.release(blockTable[index]);
    blockTable[index] = block;
  }

  #missingBlocks(sequence: Sequence): number {
    return Math.max(0, blocksFor(sequence.tokens.length) - sequence.blockTable.length);
  }

  #allocate(sequence: Sequence): void {
    for (let missing = this.#missingBlocks(sequence); missing > 0; missing--) {
      sequence.blockTable.push(this.#pool.allocate());
    }
  }

  /** The end of a sequence is of less use to others than its beginning, so it is the first to be given out again. */
  #release(sequence: Sequence): void {
    for (const block of sequence.blockTable.splice(0).reverse()) this.#pool.release(block);
    forgetBlocks(sequence);
  }

  #endStep(step: Step): void {
    if (this.#stepInFlight !== step) throw new Error('a step ended that is not the one in flight');
    this.#stepInFlight = undefined;
  }
}

function forgetBlocks(sequence: Sequence): void {
  sequence.computed = 0;
  sequence.onTrial = [];
  sequence.prefixes.length = 1;
}

/** Puts a sequence where it belongs in a list in serving order, behind its equals. */
function insert(list: Sequence[], sequence: Sequence): void {
  const { priority, arrival } = sequence;
  const goesAfter = (other: Sequence) => other.priority - priority || other.arrival - arrival;
  list.splice(list.findLastIndex((other) => goesAfter(other) <= 0) + 1, 0, sequence);
}

function remove(list: Sequence[], sequence: Sequence): void {
  const index = list.indexOf(sequence);
  if (index < 0) throw new Error('a sequence is not in the list that its state says');
  list.splice(index, 1);
}
