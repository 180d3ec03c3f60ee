/**
 * One choice's way from a row of logits to a token: bias, masks, bans, penalties, then the most likely token, or temperature,
 * top-k, top-p, min-p and a draw. Sums are exact and draws go by output position, so a choice comes out the same on every
 * machine, alone or in a batch, and whether it is made from the row or from what a device tells of it.
 */

import { Candidates } from './candidates.ts';
import { SamplingError } from './errors.ts';
import { log } from './exponential.ts';
import type { ResolvedSampling, TokenLogprobs } from './params.ts';
import {
  addLogitBias,
  applyMask,
  banTokens,
  completing,
  type History,
  isSet,
  maskOf,
  Penalties,
} from './processors.ts';
import { choiceKey, uniform } from './random.ts';
import { choose, MAX_PICKS, queryFor, type RowQuery, type RowSummary } from './row-summary.ts';
import { argmax, largest } from './select.ts';
import { rankedLogprobs } from './token-logprobs.ts';
import { TouchedTokens } from './touched-tokens.ts';
import { totalWeight, weightUnit } from './weights.ts';

export interface SampledToken {
  readonly tokenId: number;
  /** When `sampling.logprobs` is set. */
  readonly logprobs?: TokenLogprobs;
}

export class Sampler {
  readonly #sampling: ResolvedSampling;
  readonly #vocabSize: number;
  readonly #penalties: Penalties;
  /** The bitmask of `allowedTokenIds`. */
  readonly #allowed: Uint32Array | null;
  readonly #key: bigint;
  /** What a summary must tell beside what changes from token to token; null when none would do. */
  readonly #query: RowQuery | null;
  readonly #touched: TouchedTokens;

  /** @param options.choiceIndex which of the n choices this is: it draws like a request of its own with seed + choiceIndex */
  constructor(sampling: ResolvedSampling, options: { readonly vocabSize: number; readonly choiceIndex: number }) {
    this.#sampling = sampling;
    this.#vocabSize = options.vocabSize;
    this.#penalties = new Penalties(sampling);
    const { allowedTokenIds } = sampling;
    this.#allowed = allowedTokenIds && maskOf(allowedTokenIds, options.vocabSize);
    this.#key = choiceKey(sampling.seed, options.choiceIndex);
    this.#query = queryFor(sampling, options.vocabSize);
    this.#touched = new TouchedTokens(options.vocabSize, sampling.logitBias.keys());
  }

  /**
   * Chooses the next token.
   *
   * @param logits float32 [vocabSize], left as they are
   * @param history what the penalties look at; the length of its output is the position of the draw
   * @param mask tokens that may be chosen: bit `i & 31` of word `i >> 5`. Default: all
   * @param bannedIds tokens that may not be chosen, mask or not
   * @returns null when mask and ban leave no token at all: the text can only end here
   * @throws SamplingError when the logits have NaN or +Infinity, or are all -Infinity
   */
  sample(
    logits: Float32Array,
    history: History,
    mask?: Uint32Array,
    bannedIds: readonly number[] = [],
  ): SampledToken | null {
    if (logits.length !== this.#vocabSize) {
      throw new SamplingError(`a row of ${logits.length} logits, expected ${this.#vocabSize}`);
    }
    const likeliest = argmax(logits);
    if (likeliest < 0 || logits[likeliest] === Number.POSITIVE_INFINITY) throw new SamplingError('non-finite logits');

    const row = this.#process(logits, history, mask, bannedIds);
    const best = row === logits ? likeliest : argmax(row);
    if (best < 0) return null;
    const { greedy, temperature, logprobs, logprobsMode } = this.#sampling;
    if (greedy && logprobs === null) return { tokenId: best };

    const unit = weightUnit(this.#vocabSize);
    const candidates = greedy ? undefined : this.#candidates(row, best);
    const tokenId = candidates?.at(this.#draw(history)) ?? best;
    if (logprobs === null) return { tokenId };

    if (logprobsMode.startsWith('raw')) return { tokenId, logprobs: this.#rawLogprobs(logits, mask, tokenId) };
    const [origin, logTotal] =
      logprobsMode === 'processed_logits'
        ? [0, 0]
        : [row[best], log((candidates?.total ?? totalWeight(row, row[best], temperature, unit)) / unit)];
    const isKept = (id: number) => candidates?.has(id) ?? row[id] > Number.NEGATIVE_INFINITY;
    const logprobOf = (id: number) =>
      isKept(id) ? (row[id] - origin) / temperature - logTotal : Number.NEGATIVE_INFINITY;
    const top = largest(row, logprobs).map((id) => ({ tokenId: id, logprob: logprobOf(id) }));
    return { tokenId, logprobs: { tokenId, logprob: logprobOf(tokenId), top } };
  }

  /** The tokens that may be drawn. */
  #candidates(row: Float32Array, best: number): Candidates {
    const { temperature, topK, topP, minP } = this.#sampling;
    const { candidates } = scratchFor(this.#vocabSize);
    candidates.gather(row, topK);
    candidates.weigh(row[best], temperature);
    if (topP < 1) candidates.keepTopP(topP);
    if (minP > 0) candidates.keepMinP(minP);
    return candidates;
  }

  /** What the model itself says, as far as the grammar allows it. */
  #rawLogprobs(logits: Float32Array, mask: Uint32Array | undefined, tokenId: number): TokenLogprobs {
    const raw = mask === undefined ? logits : logits.slice();
    if (mask !== undefined) applyMask(raw, mask);
    const { logprobs, logprobsMode } = this.#sampling;
    const ranked = rankedLogprobs(raw, tokenId, logprobs ?? 0);
    const toldOf = (id: number, logprob: number) => (logprobsMode === 'raw_logits' ? raw[id] : logprob);
    const top = ranked.top.map(({ tokenId: id, logprob }) => ({ tokenId: id, logprob: toldOf(id, logprob) }));
    return { tokenId, logprob: toldOf(tokenId, ranked.logprob), top };
  }

  /**
   * What a device should find out about the row of logits, so that {@link Sampler.sampleFrom} may do without it; null when
   * the parameters need the row. Its mask holds until the next call.
   */
  query(history: History, mask?: Uint32Array, bannedIds: readonly number[] = []): RowQuery | null {
    if (this.#query === null) return null;
    if (this.#penalties.active) this.#touched.add(this.#penalties.newlyTouched(history));
    const { ids } = this.#touched;
    if (ids.length > MAX_PICKS) return null;
    const masks = [mask, this.#allowed].filter((one) => one != null);
    const counted = this.#touched.maskOfOthers(masks, this.#banned(history, bannedIds));
    return { ...this.#query, ...(counted && { mask: counted }), ...(ids.length > 0 && { picks: ids }) };
  }

  /**
   * The token that {@link Sampler.sample} would choose, with the arguments of the last {@link Sampler.query}; undefined when
   * the summary does not tell, and the row must be looked at.
   */
  sampleFrom(
    summary: RowSummary,
    history: History,
    mask?: Uint32Array,
    bannedIds: readonly number[] = [],
  ): SampledToken | null | undefined {
    if (!summary.isFinite) return undefined;
    const touched = this.#processPicked(summary.picked, history, mask, bannedIds);
    const tokenId = choose(this.#sampling, this.#vocabSize, summary, touched, () => this.#draw(history));
    return tokenId == null ? tokenId : { tokenId };
  }

  #draw({ outputIds }: History): number {
    return uniform(this.#key, outputIds.length);
  }

  #banned({ outputIds }: History, bannedIds: readonly number[]): readonly number[] {
    const { badTokens } = this.#sampling;
    return badTokens.length > 0 ? [...bannedIds, ...completing(badTokens, outputIds)] : bannedIds;
  }

  /** The touched tokens that may be chosen, with their logits after bias and penalties. */
  #processPicked(
    picked: ArrayLike<number>,
    history: History,
    mask: Uint32Array | undefined,
    bannedIds: readonly number[],
  ) {
    const { ids } = this.#touched;
    if (ids.length === 0) return { ids, logits: [] };
    // Bias and penalties touch no other place of the row.
    const { row } = scratchFor(this.#vocabSize);
    for (const [i, id] of ids.entries()) row[id] = picked[i];
    addLogitBias(row, this.#sampling.logitBias);
    if (this.#penalties.active) this.#penalties.apply(row, history);
    const banned = new Set(this.#banned(history, bannedIds));
    const isAllowed = (id: number) =>
      isSet(mask, id) && isSet(this.#allowed, id) && !banned.has(id) && row[id] > Number.NEGATIVE_INFINITY;
    const allowed = ids.filter(isAllowed);
    return { ids: allowed, logits: allowed.map((id) => row[id]) };
  }

  /** Gives the processed row: the logits themselves when there is nothing to do, else the scratch row. */
  #process(
    logits: Float32Array,
    history: History,
    mask: Uint32Array | undefined,
    bannedIds: readonly number[],
  ): Float32Array {
    const { logitBias } = this.#sampling;
    const banned = this.#banned(history, bannedIds);
    const isMasked = mask !== undefined || this.#allowed !== null || banned.length > 0;
    if (logitBias.size === 0 && !isMasked && !this.#penalties.active) return logits;
    const { row } = scratchFor(this.#vocabSize);
    row.set(logits);
    addLogitBias(row, logitBias);
    if (mask !== undefined) applyMask(row, mask);
    if (this.#allowed !== null) applyMask(row, this.#allowed);
    banTokens(row, banned);
    if (this.#penalties.active) this.#penalties.apply(row, history);
    return row;
  }
}

/** Some megabytes at a large vocabulary. Sampling does not pause, so one is enough for all samplers. */
interface Scratch {
  readonly row: Float32Array;
  readonly candidates: Candidates;
}

let scratch: Scratch | null = null;

function scratchFor(vocabSize: number): Scratch {
  if (scratch?.row.length !== vocabSize) {
    scratch = { row: new Float32Array(vocabSize), candidates: new Candidates(vocabSize) };
  }
  return scratch;
}
