/** Collects the rows of one forward pass until it is full. */

import type { BlockCopy } from '../kernels/index.ts';
import type { Model, ModelStep } from './model.ts';
import type { Sequence } from './sequence.ts';

/** What one sequence has in a step. */
export interface StepPart {
  readonly sequence: Sequence;
  /** Tokens of the sequence that the step computes. */
  readonly rows: number;
  /** Drafted tokens that the step computes after all the others. */
  readonly draft: readonly number[];
  /** First row of the step's logits that belongs to the sequence. */
  readonly firstLogitRow: number;
  /** Rows of logits of the sequence: its last positions in this step, those of the draft included. */
  readonly logitRows: number;
}

/** One forward pass, planned. */
export interface Step {
  readonly input: ModelStep;
  /** In the order of `input.slots`; the parts' logit rows follow each other. */
  readonly parts: readonly StepPart[];
}

export class StepBuilder {
  readonly #tokens: number[] = [];
  readonly #positions: number[] = [];
  readonly #slots: number[] = [];
  readonly #lengths: number[] = [];
  readonly #blockTables: number[][] = [];
  readonly #logitRows: number[] = [];
  readonly #copies: BlockCopy[] = [];
  readonly #parts: StepPart[] = [];
  readonly #limits: Pick<Model, 'maxRows' | 'maxLogitRows'>;

  constructor(limits: Pick<Model, 'maxRows' | 'maxLogitRows'>) {
    this.#limits = limits;
  }

  get isEmpty(): boolean {
    return this.#parts.length === 0;
  }

  get rowsLeft(): number {
    return this.#limits.maxRows - this.#tokens.length;
  }

  get logitRowsLeft(): number {
    return this.#limits.maxLogitRows - this.#logitRows.length;
  }

  /** Lets the step begin with a copy of a block. */
  copy(from: number, to: number): void {
    this.#copies.push({ from, to });
  }

  /**
   * Adds as many of the sequence's pending tokens as there is room for, rows and rows of logits where they are wanted;
   * after the last of them, `draft`, for which there must be room.
   */
  add(sequence: Sequence, draft: readonly number[] = []): void {
    const { computed, pending, logitsFrom } = sequence;
    const rowsWithoutLogits = Math.max(0, logitsFrom - computed);
    const rows = Math.min(pending, this.rowsLeft, rowsWithoutLogits + this.logitRowsLeft);
    if (rows === 0) return;

    const firstLogitRow = this.#logitRows.length;
    const slot = this.#blockTables.length;
    const addRow = (token: number, offset: number) => {
      if (offset >= rowsWithoutLogits) this.#logitRows.push(this.#tokens.length);
      this.#tokens.push(token);
      this.#positions.push(computed + offset);
      this.#slots.push(slot);
    };
    for (let i = 0; i < rows; i++) addRow(sequence.tokens[computed + i], i);
    for (const [i, token] of draft.entries()) addRow(token, rows + i);
    this.#blockTables.push(sequence.blockTable.slice());
    this.#lengths.push(sequence.tokens.length);
    this.#parts.push({ sequence, rows, draft, firstLogitRow, logitRows: this.#logitRows.length - firstLogitRow });
  }

  build(): Step | undefined {
    if (this.isEmpty) return undefined;
    const input = {
      tokens: this.#tokens,
      positions: this.#positions,
      slots: this.#slots,
      blockTables: this.#blockTables,
      lengths: this.#lengths,
      logitRows: this.#logitRows,
      copies: this.#copies,
    };
    return { input, parts: this.#parts };
  }
}
