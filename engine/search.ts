/** How a request goes about its sequences, and what it can do with them. */

import type { LogitReduction, ReducedLogits } from '../kernels/index.ts';
import type { Sequence } from './sequence.ts';
import type { GenerateOutput } from './types.ts';

/** One way from a prompt to outputs. It is started once; whatever it throws ends its request. */
export interface Search {
  start(run: SearchRun): void;
}

/** What becomes of a sequence's logits. */
export interface LogitTaker {
  /** Takes the logits `[rows, vocabSize]` of the last `rows` computed positions of a sequence, drafted ones included. */
  takeLogits(logits: Float32Array, rows: number): void;
  /** What the logits of the next position may be reduced to; null when they are wanted themselves. */
  reduction?(): LogitReduction | null;
  /** Takes what they were reduced to. False when the logits are wanted after all. */
  takeReduced?(reduced: ReducedLogits): boolean;
}

export interface SearchRun {
  submit(sequence: Sequence, taker: LogitTaker): void;
  /** A second sequence that goes on from where the parent is. */
  fork(parent: Sequence, taker: LogitTaker): Sequence;
  /** The sequence is needed no more. */
  settle(sequence: Sequence): void;
  emit(output: GenerateOutput): void;
  /** The request has all its outputs. */
  end(): void;
}
