/** One of a request's choices: from the logits of its last token to the next token, its text, and the end. */

import { type Grammar, GrammarError, type Matcher } from '../grammar/index.ts';
import { type ResolvedSampling, Sampler, StopMatcher } from '../sampling/index.ts';
import type { StreamDecoder } from '../tokenizer/index.ts';
import { Sequence } from './sequence.ts';
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
}

export class Choice {
  readonly index: number;
  readonly sequence: Sequence;
  readonly #prompt: readonly number[];
  readonly #maxTokens: number;
  readonly #outputIds: number[] = [];
  readonly #sampler: Sampler;
  readonly #stop: StopMatcher;
  readonly #decoder: Pick<StreamDecoder, 'push'>;
  readonly #matcher: Matcher | undefined;
  /** `[ceil(vocabSize / 32)]` bits of the tokens that the grammar allows. */
  readonly #mask: Uint32Array | undefined;
  /** Tokens that end the text, and so are no part of what the grammar sees. */
  readonly #endTokenIds: ReadonlySet<number>;

  constructor(options: ChoiceOptions) {
    const { index, prompt, sampling, vocabSize, eosTokenIds, decoder, grammar } = options;
    this.index = index;
    this.sequence = new Sequence(prompt, prompt.length + sampling.maxTokens);
    this.#prompt = prompt;
    this.#maxTokens = sampling.maxTokens;
    this.#sampler = new Sampler(sampling, { vocabSize, choiceIndex: index });
    this.#stop = new StopMatcher(sampling, eosTokenIds);
    this.#decoder = decoder;
    this.#matcher = grammar?.matcher();
    this.#mask = grammar && new Uint32Array(Math.ceil(vocabSize / 32));
    this.#endTokenIds = new Set([...eosTokenIds, ...sampling.stopTokenIds].filter((id) => id >= 0 && id < vocabSize));
  }

  /**
   * Chooses the next token from the logits `[vocabSize]` of the last one, and appends it to the sequence unless the choice
   * ends with it.
   * @throws SamplingError when the logits are not finite
   * @throws GrammarError when no token continues a text that must go on
   */
  step(logits: Float32Array): GenerateOutput {
    const history = { promptIds: this.#prompt, outputIds: this.#outputIds };
    const sampled = this.#sampler.sample(logits, history, this.#allowedTokens(), this.#stop.bannedIds);
    if (sampled === null) {
      // The grammar has come to its end, and the end tokens are not allowed yet.
      if (this.#matcher?.canFinish() !== false) return this.#output(this.#stop.finish(), [], 'stop');
      throw new GrammarError('no token of the vocabulary continues the text, and it may not end here');
    }

    const { tokenId, logprobs } = sampled;
    this.#outputIds.push(tokenId);
    if (this.#matcher && !this.#endTokenIds.has(tokenId) && !this.#matcher.accept(tokenId)) {
      throw new GrammarError(`token ${tokenId} was refused after the mask had allowed it`);
    }
    const { text, stopped, stopReason } = this.#stop.push(tokenId, this.#decoder.push(tokenId));
    const ids = [tokenId];
    const entries = logprobs && [logprobs];
    if (stopped) return this.#output(text, ids, 'stop', entries, stopReason);
    if (this.#outputIds.length === this.#maxTokens) {
      return this.#output(text + this.#stop.finish(), ids, 'length', entries);
    }
    this.sequence.append(tokenId);
    return this.#output(text, ids, null, entries);
  }

  /** What the grammar allows; tokens that end the text exactly where it may end. */
  #allowedTokens(): Uint32Array | undefined {
    const mask = this.#mask;
    if (!this.#matcher || !mask) return undefined;
    this.#matcher.fillMask(mask);
    const canFinish = this.#matcher.canFinish();
    for (const id of this.#endTokenIds) {
      if (canFinish) mask[id >> 5] |= 1 << (id & 31);
      else mask[id >> 5] &= ~(1 << (id & 31));
    }
    return mask;
  }

  #output(
    text: string,
    tokenIds: readonly number[],
    finishReason: GenerateOutput['finishReason'],
    logprobs?: GenerateOutput['logprobs'],
    stopReason: GenerateOutput['stopReason'] = null,
  ): GenerateOutput {
    const output = { index: this.index, text, tokenIds, finishReason, stopReason, promptTokens: this.#prompt.length };
    return logprobs ? { ...output, logprobs } : output;
  }
}
