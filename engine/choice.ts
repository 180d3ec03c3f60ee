/** One of a request's choices: from the logits of its last token to the next token, its text, and the end. */

import { type Grammar, GrammarError, type Matcher } from '../grammar/index.ts';
import {
  endsInLoop,
  type ResolvedSampling,
  type RowQuery,
  type RowSummary,
  type SampledToken,
  Sampler,
  StopMatcher,
  type TokenLogprobs,
} from '../sampling/index.ts';
import type { StreamDecoder, Tokenizer } from '../tokenizer/index.ts';
import { ForcedText } from './forced-text.ts';
import { PromptLookup } from './prompt-lookup.ts';
import type { GenerateOutput } from './types.ts';

export interface ChoiceOptions {
  readonly index: number;
  readonly prompt: readonly number[];
  /** `maxTokens` is finite: at most what the context has room for. */
  readonly sampling: ResolvedSampling;
  readonly vocabSize: number;
  /** The model's end tokens; the first is the tokenizer's own. */
  readonly eosTokenIds: readonly number[];
  readonly decoder: Pick<StreamDecoder, 'push'>;
  readonly grammar?: Grammar;
  /** For drafts of what the grammar forces; without it none are made. */
  readonly tokenizer?: Pick<Tokenizer, 'encode' | 'tokenBytes'>;
  /** Most tokens that are drafted from what the text repeats. Default 0: none. */
  readonly draftLength?: number;
}

export class Choice {
  readonly index: number;
  /** For the outputs: tokens of the prompt that were not computed for this request. */
  cachedTokens = 0;
  readonly #prompt: readonly number[];
  readonly #lookup: PromptLookup | undefined;
  readonly #sampling: ResolvedSampling;
  readonly #outputIds: number[] = [];
  readonly #sampler: Sampler;
  readonly #stop: StopMatcher;
  readonly #decoder: Pick<StreamDecoder, 'push'>;
  readonly #matcher: Matcher | undefined;
  /** `[ceil(vocabSize / 32)]` bits of the tokens that the grammar allows. */
  readonly #mask: Uint32Array | undefined;
  readonly #forced: ForcedText | undefined;
  /** Tokens that end the text, and so are no part of what the grammar sees. */
  readonly #endTokenIds: ReadonlySet<number>;
  /** The same without those that only the model's generation config names. */
  readonly #plainEndTokenIds: readonly number[];

  constructor(options: ChoiceOptions) {
    const { index, prompt, sampling, vocabSize, eosTokenIds, decoder, grammar, tokenizer, draftLength = 0 } = options;
    this.index = index;
    this.#prompt = prompt;
    this.#lookup = draftLength > 0 ? new PromptLookup(draftLength) : undefined;
    this.#sampling = sampling;
    this.#sampler = new Sampler(sampling, { vocabSize, choiceIndex: index });
    this.#stop = new StopMatcher(sampling, eosTokenIds);
    this.#decoder = decoder;
    this.#matcher = grammar?.matcher();
    this.#forced = this.#matcher && tokenizer && new ForcedText(this.#matcher, tokenizer, vocabSize);
    this.#mask = grammar && new Uint32Array(Math.ceil(vocabSize / 32));
    this.#endTokenIds = new Set([...eosTokenIds, ...sampling.stopTokenIds].filter((id) => id >= 0 && id < vocabSize));
    const further = new Set(eosTokenIds.slice(1).filter((id) => !sampling.stopTokenIds.includes(id)));
    this.#plainEndTokenIds = [...this.#endTokenIds].filter((id) => !further.has(id));
  }

  /** Whether the text may end here, as far as the grammar is concerned. */
  get mayEnd(): boolean {
    return this.#matcher?.canFinish() !== false;
  }

  /**
   * Chooses the next token from the logits `[vocabSize]` of the last one, and takes it.
   * @throws SamplingError when the logits are not finite
   * @throws GrammarError when no token continues a text that must go on
   */
  step(logits: Float32Array): GenerateOutput {
    return this.#takeSampled(this.#sample(logits));
  }

  /** What the next logits may be reduced to, so that {@link Choice.stepFrom} may do without them; null when they are needed. */
  reduction(): RowQuery | null {
    return this.#sampler.query(this.#history, this.#allowedTokens(), this.#stop.bannedIds);
  }

  /**
   * As {@link Choice.step}, from what the last {@link Choice.reduction} gave; undefined when that does not decide.
   * @throws GrammarError when no token continues a text that must go on
   */
  stepFrom(reduced: RowSummary): GenerateOutput | undefined {
    const sampled = this.#sampler.sampleFrom(reduced, this.#history, this.#mask, this.#stop.bannedIds);
    return sampled === undefined ? undefined : this.#takeSampled(sampled);
  }

  /**
   * The likeliest next tokens and their log-probabilities, as many as `sampling.logprobs` says; null when no token may
   * follow. @throws SamplingError when the logits are not finite
   */
  rank(logits: Float32Array): TokenLogprobs | null {
    return this.#sample(logits)?.logprobs ?? null;
  }

  /** Goes on with a token that may follow. */
  take(tokenId: number, logprobs?: TokenLogprobs): GenerateOutput {
    this.#outputIds.push(tokenId);
    if (this.#matcher && !this.#endTokenIds.has(tokenId) && !this.#matcher.accept(tokenId)) {
      throw new GrammarError(`token ${tokenId} was refused after the mask had allowed it`);
    }
    const { text, stopped, stopReason } = this.#stop.push(tokenId, this.#decoder.push(tokenId));
    const ids = [tokenId];
    const entries = logprobs && [logprobs];
    if (stopped) return this.#output(text, ids, 'stop', entries, stopReason);
    if (this.#outputIds.length === this.#sampling.maxTokens) {
      return this.#output(text + this.#stop.finish(), ids, 'length', entries);
    }
    if (this.#isLooping()) {
      return this.#output(text + this.#stop.finish(), ids, 'repetition', entries, 'repetition_detected');
    }
    return this.#output(text, ids, null, entries);
  }

  /** Ends the text without another token. */
  end(): GenerateOutput {
    return this.#output(this.#stop.finish(), [], 'stop');
  }

  /**
   * What probably follows: what the grammar leaves no choice about, or tokens that followed the same text before.
   * @param tokens  prompt and output
   */
  draft(tokens: readonly number[]): readonly number[] {
    const forced = this.#forced?.draft(tokens.length) ?? [];
    return forced.length > 0 ? forced : (this.#lookup?.draft(tokens) ?? []);
  }

  #isLooping(): boolean {
    const { repetitionDetection: rule, minTokens } = this.#sampling;
    return rule !== null && this.#outputIds.length >= minTokens && endsInLoop(this.#outputIds, rule);
  }

  #takeSampled(sampled: SampledToken | null): GenerateOutput {
    if (sampled) return this.take(sampled.tokenId, sampled.logprobs);
    // The grammar has come to its end, and the end tokens are not allowed yet.
    if (this.mayEnd) return this.end();
    throw new GrammarError('no token of the vocabulary continues the text, and it may not end here');
  }

  get #history() {
    return { promptIds: this.#prompt, outputIds: this.#outputIds };
  }

  #sample(logits: Float32Array): SampledToken | null {
    return this.#sampler.sample(logits, this.#history, this.#allowedTokens(), this.#stop.bannedIds);
  }

  /**
   * What the grammar allows; tokens that end the text exactly where it may end. Where it can only end, the model's further
   * end tokens say nothing more than the tokenizer's own, and are left out.
   */
  #allowedTokens(): Uint32Array | undefined {
    const mask = this.#mask;
    if (!this.#matcher || !mask) return undefined;
    this.#matcher.fillMask(mask);
    for (const id of this.#endTokenIds) mask[id >> 5] &= ~(1 << (id & 31));
    if (!this.#matcher.canFinish()) return mask;
    const ends = mask.some((word) => word !== 0) ? this.#endTokenIds : this.#plainEndTokenIds;
    for (const id of ends) mask[id >> 5] |= 1 << (id & 31);
    return mask;
  }

  #output(
    text: string,
    tokenIds: readonly number[],
    finishReason: GenerateOutput['finishReason'],
    logprobs?: GenerateOutput['logprobs'],
    stopReason: GenerateOutput['stopReason'] = null,
  ): GenerateOutput {
    const { index, cachedTokens } = this;
    const promptTokens = this.#prompt.length;
    const output = { index, text, tokenIds, finishReason, stopReason, promptTokens, cachedTokens };
    return logprobs ? { ...output, logprobs } : output;
  }
}
