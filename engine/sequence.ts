/**
 * One sequence of tokens on its way through the model.
 *
 * There is no prefill and no decode state: a sequence has tokens, of which the first `computed` have their keys and
 * values in its blocks, and the scheduler computes the rest, a few or many at a time. A preempted sequence starts again
 * at `computed = 0` with the same tokens.
 */

/**
 * `new` → `waiting` → `running` → `settled`; a preempted sequence goes back to `waiting`, and every state may go to
 * `settled`. Only a running sequence holds blocks.
 */
export type SequenceState = 'new' | 'waiting' | 'running' | 'settled';

export class Sequence {
  /** Prompt, then output. */
  readonly tokens: number[];
  readonly promptLength: number;
  /** Tokens that it may have in the end, prompt and output together. */
  readonly maxLength: number;

  // The scheduler alone writes what follows.
  state: SequenceState = 'new';
  /** K/V block of every KV_BLOCK_SIZE positions, in order. */
  readonly blockTable: number[] = [];
  /** Tokens whose keys and values are in the blocks. */
  computed = 0;
  /** First position whose logits are still wanted; the logits of all later ones are wanted too. */
  logitsFrom: number;

  /**
   * @param logitsFrom  first position whose logits are wanted; the last token of the prompt, unless said otherwise
   */
  constructor(prompt: ArrayLike<number>, maxLength: number, logitsFrom = prompt.length - 1) {
    this.tokens = Array.from(prompt);
    this.promptLength = prompt.length;
    this.maxLength = maxLength;
    this.logitsFrom = logitsFrom;
  }

  /** Tokens that wait for their turn in a step. */
  get pending(): number {
    return this.tokens.length - this.computed;
  }

  /** Adds the token that follows; only when all the others are computed. */
  append(token: number): void {
    if (this.pending !== 0) throw new Error(`a token was appended while ${this.pending} are not computed`);
    if (this.tokens.length >= this.maxLength) throw new Error(`a token was appended beyond ${this.maxLength}`);
    this.tokens.push(token);
  }
}
