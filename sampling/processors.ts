/** The processors: they edit one row of logits [vocabSize] in place, in the order of this file. */

import type { ResolvedSampling } from './params.ts';

/** Adds the bias of each listed token. */
export function addLogitBias(row: Float32Array, bias: ReadonlyMap<number, number>): void {
  for (const [id, value] of bias) row[id] += value;
}

/** Leaves the tokens whose bit is set: bit `i & 31` of word `i >> 5`. Tokens beyond the mask are not allowed. */
export function applyMask(row: Float32Array, mask: Uint32Array): void {
  for (let word = 0, first = 0; first < row.length; word++, first += 32) {
    const allowed = word < mask.length ? mask[word] : 0;
    if (allowed === 0xffff_ffff) continue;
    const end = Math.min(first + 32, row.length);
    if (allowed === 0) {
      row.fill(Number.NEGATIVE_INFINITY, first, end);
      continue;
    }
    for (let i = first; i < end; i++) if (((allowed >>> (i & 31)) & 1) === 0) row[i] = Number.NEGATIVE_INFINITY;
  }
}

/** Makes single tokens impossible. */
export function banTokens(row: Float32Array, ids: readonly number[]): void {
  for (const id of ids) row[id] = Number.NEGATIVE_INFINITY;
}

/** A bitmask `[ceil(vocabSize / 32)]` of the listed tokens: bit `i & 31` of word `i >> 5`. */
export function maskOf(ids: readonly number[], vocabSize: number): Uint32Array {
  const mask = new Uint32Array(Math.ceil(vocabSize / 32));
  for (const id of ids) mask[id >> 5] |= 1 << (id & 31);
  return mask;
}

/** Whether a mask allows a token; no mask allows all. */
export function isSet(mask: Uint32Array | null | undefined, id: number): boolean {
  return mask == null || (id >> 5 < mask.length && ((mask[id >> 5] >>> (id & 31)) & 1) === 1);
}

/** The tokens that would complete one of the sequences at the end of the output. */
export function completing(sequences: readonly (readonly number[])[], outputIds: ArrayLike<number>): number[] {
  const isNext = (sequence: readonly number[]) => {
    const start = outputIds.length - (sequence.length - 1);
    return start >= 0 && sequence.slice(0, -1).every((id, i) => outputIds[start + i] === id);
  };
  return sequences.filter(isNext).map((sequence) => sequence[sequence.length - 1]);
}

/** Token ids of a sequence. Between two calls for one sequence the output only grows. */
export interface History {
  readonly promptIds: ArrayLike<number>;
  readonly outputIds: ArrayLike<number>;
}

const MAX_FLOAT32 = 3.4028234663852886e38;

/** The penalties of one sequence. It counts each output token once and remembers the counts. */
export class Penalties {
  readonly #repetition: number;
  readonly #frequency: number;
  readonly #presence: number;
  #promptIds: ReadonlySet<number> | null = null;
  #outputCounts = new Map<number, number>();
  #counted = 0;

  constructor(sampling: Pick<ResolvedSampling, 'repetitionPenalty' | 'frequencyPenalty' | 'presencePenalty'>) {
    this.#repetition = sampling.repetitionPenalty;
    this.#frequency = sampling.frequencyPenalty;
    this.#presence = sampling.presencePenalty;
  }

  /** False when no penalty changes anything. */
  get active(): boolean {
    return this.#repetition !== 1 || this.#frequency !== 0 || this.#presence !== 0;
  }

  /**
   * Repetition (Keskar et al., arXiv:1909.05858, with the sign mended) for tokens in prompt or output, then frequency and
   * presence for tokens in the output.
   */
  apply(row: Float32Array, history: History): void {
    this.#count(history);
    if (this.#repetition !== 1) {
      for (const id of this.#promptIds!) if (!this.#outputCounts.has(id)) row[id] = this.#repeated(row[id]);
      for (const id of this.#outputCounts.keys()) row[id] = this.#repeated(row[id]);
    }
    for (const [id, count] of this.#outputCounts) row[id] -= this.#frequency * count + this.#presence;
  }

  /** Tokens whose logits {@link Penalties.apply} changes: those that it looks at for the first time since the last call. */
  newlyTouched(history: History): number[] {
    const { outputIds } = history;
    const known = this.#promptIds !== null;
    const first = this.#counted;
    this.#count(history);
    const output = Array.from({ length: outputIds.length - first }, (_, i) => outputIds[first + i]);
    return known || this.#repetition === 1 ? output : [...this.#promptIds!, ...output];
  }

  #repeated(logit: number): number {
    return logit > 0 ? Math.min(logit / this.#repetition, MAX_FLOAT32) : logit * this.#repetition;
  }

  #count({ promptIds, outputIds }: History): void {
    this.#promptIds ??= new Set(Array.from(promptIds));
    for (; this.#counted < outputIds.length; this.#counted++) {
      const id = outputIds[this.#counted];
      this.#outputCounts.set(id, (this.#outputCounts.get(id) ?? 0) + 1);
    }
  }
}
