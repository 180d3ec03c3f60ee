/**
 * Choosing a token without its row of logits: a device tells the largest logits and about how much all of them weigh, and
 * most often that decides which token it is.
 *
 * The few tokens whose logits are biased or penalised are left out of what the device looks at; it gives their logits as
 * they are, and they are put in their places here. What it says of the sum is an interval. A choice is made only where
 * every sum in it leads to the same token, which is then the one that the whole row would have led to.
 */

import { exp } from './exponential.ts';
import type { ResolvedSampling } from './params.ts';
import { weightOf, weightUnit } from './weights.ts';

/** What is to be found out about a row. */
export interface RowQuery {
  /** How many of the largest logits are wanted. */
  readonly top: number;
  /** Tokens that count: bit `i & 31` of word `i >> 5`. Default: all. */
  readonly mask?: Uint32Array;
  /** Wants Σ e^((logit - largest) · scale) over the tokens that count. */
  readonly scale?: number;
  /** Tokens whose logits are wanted as they are, whether they count or not. */
  readonly picks?: readonly number[];
}

/** What was found out. */
export interface RowSummary {
  /** False when a logit of the row is NaN or +Infinity, or all are -Infinity. */
  readonly isFinite: boolean;
  /** The tokens that count and have the largest logits, best first, the lower id first among equals. */
  readonly ids: ArrayLike<number>;
  readonly logits: ArrayLike<number>;
  /** True when no other token counts, but for those with -Infinity; else all that equal the last one are there. */
  readonly isComplete: boolean;
  readonly sumExp: number;
  /** Most by which `sumExp` is wrong, as a share of it. */
  readonly sumError: number;
  /** Logits of the picked tokens. */
  readonly picked: ArrayLike<number>;
}

/** Most of the largest logits, and most picked tokens, that a query asks for. */
export const MAX_TOP = 256;
export const MAX_PICKS = 4096;

/** A summary can be used between these temperatures; beyond them its sums may not be finite. */
const [LOWEST_TEMPERATURE, HIGHEST_TEMPERATURE] = [0.01, 100];

/** What must be asked beside mask and picks; null when a summary cannot decide. */
export function queryFor(sampling: ResolvedSampling, vocabSize: number): RowQuery | null {
  const { greedy, temperature, topK, topP, minP, logprobs } = sampling;
  if (logprobs !== null || topK > MAX_TOP) return null;
  if (greedy) return { top: 1 };
  if (temperature < LOWEST_TEMPERATURE || temperature > HIGHEST_TEMPERATURE) return null;
  if (topK > 0) return { top: topK };
  const top = Math.min(MAX_TOP, Math.ceil(vocabSize / 64));
  return topP === 1 && minP > 0 ? { top } : { top, scale: 1 / temperature };
}

/** The most likely tokens, best first. */
interface Ranked {
  readonly ids: readonly number[];
  readonly logits: readonly number[];
  /** Whether no other token can be drawn. */
  readonly isComplete: boolean;
}

/**
 * The token at share u of the weight of what the parameters keep; null when there is none at all, undefined when the
 * summary does not decide.
 * @param touched  the picked tokens that may be drawn, with their logits as they are after bias and penalties
 */
export function choose(
  sampling: ResolvedSampling,
  vocabSize: number,
  summary: RowSummary,
  touched: { readonly ids: readonly number[]; readonly logits: readonly number[] },
  u: () => number,
): number | null | undefined {
  const ranked = merge(summary, touched);
  if (ranked.ids.length === 0) return ranked.isComplete ? null : undefined;
  if (sampling.greedy) return ranked.ids[0];

  const { temperature, topK, topP, minP } = sampling;
  const unit = weightUnit(vocabSize);
  const best = ranked.logits[0];
  const weigh = (logit: number) => weightOf((logit - best) / temperature, unit);
  const weights = ranked.logits.map(weigh);
  const kept = new Kept(weights);
  if (topK > 0) {
    const least = ranked.logits[topK - 1] ?? Number.NEGATIVE_INFINITY;
    if (topK > weights.length && !ranked.isComplete) return undefined;
    kept.keep(ranked.logits.filter((logit) => logit >= least).length);
  } else if (ranked.isComplete) {
    kept.keep(weights.length);
  } else {
    // Every weight is rounded by half a unit's part at most.
    const rounding = vocabSize / 2 + 1;
    const sum = summary.sumExp * exp((summary.logits[0] - best) / temperature) * unit;
    const others = touched.logits.reduce((total, logit) => total + weigh(logit), 0);
    kept.low = sum * (1 - summary.sumError) - rounding + others;
    kept.high = sum * (1 + summary.sumError) + rounding + others;
  }
  if (topP < 1 && !kept.cutAt(topP * kept.low, topP * kept.high)) return undefined;
  if (minP > 0 && !kept.cutBelow(minP * unit)) return undefined;
  const index = kept.indexAt(u());
  return index === undefined ? undefined : ranked.ids[index];
}

/** Both lists in one, as far down as nothing is missing. */
function merge(summary: RowSummary, touched: { ids: readonly number[]; logits: readonly number[] }): Ranked {
  const { ids, logits, isComplete } = summary;
  const least = isComplete ? Number.NEGATIVE_INFINITY : (logits[logits.length - 1] ?? Number.POSITIVE_INFINITY);
  const entries = Array.from(ids, (id, i) => ({ id, logit: logits[i] }));
  const before = entries.length;
  for (const [i, logit] of touched.logits.entries()) {
    if (logit >= least && logit > Number.NEGATIVE_INFINITY) entries.push({ id: touched.ids[i], logit });
  }
  if (entries.length > before) entries.sort((a, b) => b.logit - a.logit || a.id - b.id);
  return { ids: entries.map(({ id }) => id), logits: entries.map(({ logit }) => logit), isComplete };
}

/** The first of a falling list of weights that are still in play, and between what limits their sum lies. */
class Kept {
  readonly #weights: readonly number[];
  #count: number;
  /** Whether only weights of the list are in play. */
  #isAll = false;
  low = 0;
  high = 0;

  constructor(weights: readonly number[]) {
    this.#weights = weights;
    this.#count = weights.length;
  }

  /** Only the first `count` are in play. */
  keep(count: number): void {
    this.#count = count;
    this.#isAll = true;
    this.low = 0;
    for (let i = 0; i < count; i++) this.low += this.#weights[i];
    this.high = this.low;
  }

  /** Keeps the first ones, as few as add up to a target between `low` and `high`. False when that is not decided. */
  cutAt(low: number, high: number): boolean {
    const index = this.#reach(low, high);
    if (index !== undefined) this.keep(index + 1);
    return index !== undefined;
  }

  /** Keeps those of at least `least`. False when others might be among them. */
  cutBelow(least: number): boolean {
    let count = 0;
    while (count < this.#count && this.#weights[count] >= least) count++;
    if (count === this.#count && !this.#isAll) return false;
    this.keep(count);
    return true;
  }

  /** The weight at share u of the sum; undefined when that is not decided. */
  indexAt(u: number): number | undefined {
    return this.#reach(Math.floor(u * this.low) + 1, Math.floor(u * this.high) + 1);
  }

  /** The first index at which the sum reaches a target, the same one for all targets between `low` and `high`. */
  #reach(low: number, high: number): number | undefined {
    let sum = 0;
    for (let i = 0; i < this.#count; i++) {
      sum += this.#weights[i];
      if (sum >= low) return sum >= high ? i : undefined;
    }
    return undefined;
  }
}
