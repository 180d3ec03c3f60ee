/**
 * One sequence of tokens on its way through the model.
 *
 * There is no prefill and no decode state: a sequence has tokens, of which the first `computed` have their keys and
 * values in its blocks, and the scheduler computes the rest, a few or many at a time. A preempted sequence starts again
 * at `computed = 0` with the same tokens.
 *
 * A sequence may have a draft: a guess at the tokens that come next. They are computed along with the last token, and
 * those that turn out right need no step of their own.
 */

import { longRoot, type PrefixName, rootName } from './prefix-cache.ts';

/**
 * `new` → `waiting` → `running` → `settled`; a preempted sequence goes back to `waiting`, and every state may go to
 * `settled`. Only a running sequence holds blocks.
 */
export type SequenceState = 'new' | 'waiting' | 'running' | 'settled';

export interface SequenceOptions {
  /** First position whose logits are wanted; the last token of the prompt, unless said otherwise. */
  readonly logitsFrom?: number;
  /** Sequences with a lower number go first. Default 0. */
  readonly priority?: number;
  /** Only sequences with the same salt use each other's keys and values. */
  readonly cacheSalt?: string;
}

export class Sequence {
  /** Prompt, then output. */
  readonly tokens: number[];
  /** Tokens that it may have in the end, prompt and output together. */
  readonly maxLength: number;
  readonly priority: number;

  // The scheduler alone writes what follows.
  state: SequenceState = 'new';
  /** Which sequence it was to be submitted; forks have their parent's number. */
  arrival = 0;
  /** Tokens of the prompt that were there when it ran first; undefined before. */
  cachedTokens: number | undefined;
  /** K/V block of every KV_BLOCK_SIZE positions, in order. */
  readonly blockTable: number[] = [];
  /** Names of the full blocks at the beginning of the table, after the name of an empty prefix. */
  readonly prefixes: PrefixName[];
  /** Tokens whose keys and values are in the blocks. */
  computed = 0;
  /** First position whose logits are still wanted; the logits of all later ones are wanted too. */
  logitsFrom: number;
  /** Whether its keys and values are those of a long sequence; see {@link Model.longFrom}. */
  isLong = false;
  /** Drafted tokens that were computed after the last token, and are not known to be right yet. */
  onTrial: number[] = [];

  #draft: readonly number[] = [];

  constructor(prompt: ArrayLike<number>, maxLength: number, options: SequenceOptions = {}) {
    this.tokens = Array.from(prompt);
    this.maxLength = maxLength;
    this.priority = options.priority ?? 0;
    this.logitsFrom = options.logitsFrom ?? prompt.length - 1;
    this.prefixes = [rootName(options.cacheSalt)];
  }

  /** A sequence with the same tokens and no blocks, as yet unknown to the scheduler. */
  fork(): Sequence {
    const { tokens, maxLength, logitsFrom, priority, arrival, cachedTokens, prefixes } = this;
    const child = new Sequence(tokens, maxLength, { logitsFrom, priority });
    child.arrival = arrival;
    child.cachedTokens = cachedTokens;
    child.isLong = this.isLong;
    child.prefixes.splice(0, 1, ...prefixes);
    return child;
  }

  /** From here on it has the keys and values of a long sequence; those of a short one are of no use to it. */
  becomeLong(): void {
    this.isLong = true;
    this.prefixes[0] = longRoot(this.prefixes[0]);
  }

  /** Tokens that wait for their turn in a step. */
  get pending(): number {
    return this.tokens.length - this.computed;
  }

  /** False when all logits have come, and it is the consumer's turn to append a token. */
  get wantsLogits(): boolean {
    return this.logitsFrom < this.tokens.length;
  }

  /** A guess at what follows the tokens; empty when there is none. */
  get draft(): readonly number[] {
    return this.#draft;
  }

  /**
   * Adds the token that follows; only when the logits of all others have come. True when the next row of the logits that
   * came last is this token's own, because it was in the draft.
   */
  append(token: number): boolean {
    if (this.wantsLogits) throw new Error('a token was appended before the logits of the last one came');
    if (this.tokens.length >= this.maxLength) throw new Error(`a token was appended beyond ${this.maxLength}`);
    this.tokens.push(token);
    this.#draft = [];
    if (this.onTrial.shift() !== token) {
      this.onTrial = [];
      return false;
    }
    this.computed++;
    this.logitsFrom++;
    return true;
  }

  /** Says what probably follows the tokens. It costs a row of the step for each token, and changes no result. */
  propose(draft: readonly number[]): void {
    // The last drafted token is followed by another one.
    this.#draft = draft.slice(0, Math.max(0, this.maxLength - this.tokens.length - 1));
  }
}
