/**
 * A model whose "keys and values" are the token ids themselves, and whose logits are a hash of what a row can see through
 * its block table: a wrong block, a wrong position or a missing token changes the text.
 */

import type { Model } from '../../engine/model.ts';
import { KV_BLOCK_SIZE, type ReducedLogits, type StepInput } from '../../kernels/index.ts';
import { reduceRow } from '../../kernels/reference/reduce-logits.ts';

export type FakeLimits = Pick<Model, 'vocabSize' | 'maxModelLen' | 'kvBlocks' | 'maxRows' | 'maxSeqs' | 'maxLogitRows'>;

export class FakeModel implements Model {
  readonly vocabSize: number;
  readonly hiddenSize = 1;
  readonly maxModelLen: number;
  readonly kvBlocks: number;
  readonly maxRows: number;
  readonly maxSeqs: number;
  readonly maxLogitRows: number;
  /** `[kvBlocks, KV_BLOCK_SIZE]` token ids; -1 = never written. */
  readonly cache: Int32Array;
  isLost = false;
  steps = 0;
  /** Rows of logits that were asked for. */
  rowsRead = 0;
  #logits: Float32Array = new Float32Array(0);
  #asked: NonNullable<StepInput['reductions']> = [];
  rows = 0;
  closed = false;
  /** Called before every step; what it throws is what the step fails with. */
  beforeStep: (step: StepInput) => void | Promise<void> = () => {};

  constructor(limits: FakeLimits) {
    this.vocabSize = limits.vocabSize;
    this.maxModelLen = limits.maxModelLen;
    this.kvBlocks = limits.kvBlocks;
    this.maxRows = limits.maxRows;
    this.maxSeqs = limits.maxSeqs;
    this.maxLogitRows = limits.maxLogitRows;
    this.cache = new Int32Array(limits.kvBlocks * KV_BLOCK_SIZE).fill(-1);
  }

  async forward(step: StepInput): Promise<void> {
    await this.beforeStep(step);
    this.#asked = step.reductions ?? [];
    this.#logits = this.forwardSync(step);
  }

  async logits(rows: number, firstRow = 0): Promise<Float32Array> {
    this.rowsRead += rows;
    return this.#logits.slice(firstRow * this.vocabSize, (firstRow + rows) * this.vocabSize);
  }

  async reducedLogits(): Promise<(ReducedLogits | null)[]> {
    const row = (i: number) => this.#logits.subarray(i * this.vocabSize, (i + 1) * this.vocabSize);
    return this.#asked.map((asked, i) => asked && reduceRow(row(i), asked));
  }

  forwardSync(step: StepInput): Float32Array {
    this.#checkLimits(step);
    this.steps++;
    this.rows += step.tokens.length;
    for (const { from, to } of step.copies ?? []) {
      this.cache.copyWithin(to * KV_BLOCK_SIZE, from * KV_BLOCK_SIZE, (from + 1) * KV_BLOCK_SIZE);
    }
    for (let row = 0; row < step.tokens.length; row++) {
      this.cache[this.#place(step, row, step.positions[row])] = step.tokens[row];
    }
    const logits = new Float32Array(step.logitRows.length * this.vocabSize);
    for (let i = 0; i < step.logitRows.length; i++) {
      const row = step.logitRows[i];
      const visible = Array.from({ length: step.positions[row] + 1 }, (_, p) => this.cache[this.#place(step, row, p)]);
      logits.set(hashLogits(visible, this.vocabSize), i * this.vocabSize);
    }
    return logits;
  }

  async hiddenStates(rows: number): Promise<Float32Array> {
    return new Float32Array(rows);
  }

  async close(): Promise<void> {
    this.closed = true;
  }

  #place(step: StepInput, row: number, position: number): number {
    const block = step.blockTables[step.slots[row]][Math.floor(position / KV_BLOCK_SIZE)];
    if (!(block >= 0 && block < this.kvBlocks)) throw new Error(`position ${position} has block ${block}`);
    return block * KV_BLOCK_SIZE + (position % KV_BLOCK_SIZE);
  }

  #checkLimits(step: StepInput): void {
    const rows = step.tokens.length;
    if (rows < 1 || rows > this.maxRows) throw new Error(`${rows} rows of ${this.maxRows}`);
    if (step.blockTables.length > this.maxSeqs) throw new Error(`${step.blockTables.length} slots of ${this.maxSeqs}`);
    if (step.logitRows.length > this.maxLogitRows) throw new Error(`${step.logitRows.length} logit rows`);
    if (step.positions.length !== rows || step.slots.length !== rows) throw new Error('ragged step arrays');
  }
}

/** `[vocabSize]` logits between 0 and 8 that depend on every token and its place. */
export function hashLogits(visible: readonly number[], vocabSize: number): Float32Array {
  let state = 0x811c9dc5;
  for (const token of visible) state = mix(state ^ (token + 1));
  return Float32Array.from({ length: vocabSize }, (_, i) => mix(state + i * 0x9e3779b1) / 2 ** 29);
}

export function argmax(values: Float32Array): number {
  return values.indexOf(Math.max(...values));
}

/** The greedy continuation of a prompt by {@link hashLogits}, without any cache. */
export function greedyAlone(prompt: readonly number[], maxLength: number, vocabSize: number): number[] {
  const tokens = [...prompt];
  while (tokens.length < maxLength) tokens.push(argmax(hashLogits(tokens, vocabSize)));
  return tokens;
}

/** A 32-bit finaliser (murmur3). */
function mix(value: number): number {
  let x = value | 0;
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return (x ^ (x >>> 16)) >>> 0;
}
