/** How a request goes about its sequences, and what it can do with them. */

import type { Sequence } from './sequence.ts';
import type { GenerateOutput } from './types.ts';

/** One way from a prompt to outputs. It is started once; whatever it throws ends its request. */
export interface Search {
  start(run: SearchRun): void;
}

/** Takes the logits `[rows, vocabSize]` of the last `rows` computed positions of a sequence, drafted ones included. */
export type TakeLogits = (logits: Float32Array, rows: number) => void;

export interface SearchRun {
  submit(sequence: Sequence, takeLogits: TakeLogits): void;
  /** A second sequence that goes on from where the parent is. */
  fork(parent: Sequence, takeLogits: TakeLogits): Sequence;
  /** The sequence is needed no more. */
  settle(sequence: Sequence): void;
  emit(output: GenerateOutput): void;
  /** The request has all its outputs. */
  end(): void;
}
