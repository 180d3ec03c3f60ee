/** What the scheduler needs of a loaded model: a forward pass over a ragged batch, and its limits. */

import type { StepInput } from '../kernels/index.ts';

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
   * Runs one step and gives the logits `[logitRows.length, vocabSize]` of the wanted rows. One at a time.
   * @throws DeviceError
   */
  forward(step: StepInput): Promise<Float32Array>;

  /** Columns of the hidden states. */
  readonly hiddenSize: number;
  /**
   * The hidden states `[rows, hiddenSize]` that the logits of the last step were made of, after the last norm. To be asked
   * for before the next step.
   * @throws DeviceError
   */
  hiddenStates(rows: number): Promise<Float32Array>;

  close(): Promise<void>;
}
