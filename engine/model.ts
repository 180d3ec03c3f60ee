/** What the scheduler needs of a loaded model: a forward pass over a ragged batch, and its limits. */

import type { ReducedLogits, StepInput } from '../kernels/index.ts';

/** One step, and what the model has to know of its sequences beyond the step. */
export interface ModelStep extends StepInput {
  /**
   * Tokens of each sequence of `blockTables`, those included that are not computed yet. By default no sequence is longer
   * than {@link Model.longFrom}.
   */
  readonly lengths?: ArrayLike<number>;
}

export interface Model {
  readonly vocabSize: number;
  /** Longest sequence in tokens. */
  readonly maxModelLen: number;
  /** K/V blocks in the cache, numbered from 0. */
  readonly kvBlocks: number;
  /** Most token rows, sequences and rows with logits in one step. */
  readonly maxRows: number;
  readonly maxSeqs: number;
  readonly maxLogitRows: number;
  /**
   * A sequence of more tokens than this has other keys and values at all its positions than a shorter one; undefined
   * where length changes nothing.
   */
  readonly longFrom?: number;

  /**
   * Runs one step. One at a time; what it left is to be asked for before the next.
   * @throws DeviceError
   */
  forward(step: ModelStep): Promise<void>;

  /**
   * Logits `[rows, vocabSize]` of the last step, those of `step.logitRows[firstRow]` and on.
   * @throws DeviceError
   */
  logits(rows: number, firstRow?: number): Promise<Float32Array>;

  /** What the last step's rows of logits were reduced to, as it asked. @throws DeviceError */
  reducedLogits(): Promise<(ReducedLogits | null)[]>;

  /** Columns of the hidden states. */
  readonly hiddenSize: number;
  /**
   * The hidden states `[rows, hiddenSize]` that the logits of the last step were made of, after the last norm.
   * @throws DeviceError
   */
  hiddenStates(rows: number): Promise<Float32Array>;

  /** True when the device has failed for good: no step will run any more. */
  readonly isLost: boolean;

  close(): Promise<void>;
}
