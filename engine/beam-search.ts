/**
 * Beam search: of all continuations of `width` texts the likeliest are followed, and the best of those that came to an end
 * are given. Every text is a sequence; where two continue the same one, it is forked.
 *
 * The log-probabilities are those of the processed logits at temperature 1. A text's score is its log-probability over
 * its length, prompt included and end token excluded, to the power of `lengthPenalty`.
 * Source: vLLM's beam search as of its first releases, and that of Hugging Face transformers.
 */

import { GrammarError } from '../grammar/index.ts';
import type { ResolvedSampling, TokenLogprobs } from '../sampling/index.ts';
import { Choice, type ChoiceOptions } from './choice.ts';
import { type GrowingOutput, grow, growing } from './merge-outputs.ts';
import type { Search, SearchRun } from './search.ts';
import type { Sequence } from './sequence.ts';
import type { BeamOptions, GenerateOutput } from './types.ts';

export interface BeamSearchOptions extends Required<BeamOptions> {
  /** How many texts are given, at most `width`. */
  readonly n: number;
  /** The decoder is made anew for each text. */
  readonly choice: Omit<ChoiceOptions, 'index' | 'decoder'>;
  readonly newDecoder: () => ChoiceOptions['decoder'];
}

/** A text that has come to no end. */
interface Beam {
  readonly sequence: Sequence;
  readonly path: Path;
  /** What follows: the likeliest tokens, none when no token may follow; undefined while the logits are computed. */
  next?: readonly Continuation[];
}

/** The tokens of a text, and how likely they are all together. */
interface Path {
  readonly tokens: readonly TokenLogprobs[];
  readonly logprob: number;
  /** At the end of the tokens; only one path goes on with it. */
  readonly choice: Choice;
}

interface Continuation {
  readonly beam: Beam;
  readonly token: TokenLogprobs;
  readonly logprob: number;
}

/** What a text needs no characters for: a search without stop strings. */
const NO_TEXT: ChoiceOptions['decoder'] = { push: () => '' };

export class BeamSearch implements Search {
  readonly #sequence: Sequence;
  readonly #options: BeamSearchOptions;
  /** With as many log-probabilities as a step may need. */
  readonly #sampling: ResolvedSampling;
  readonly #live = new Map<Sequence, Beam>();
  /** The best texts that came to an end, best first. */
  #finished: Path[] = [];

  constructor(sequence: Sequence, options: BeamSearchOptions) {
    const { sampling } = options.choice;
    this.#sequence = sequence;
    this.#options = options;
    this.#sampling = { ...sampling, logprobs: Math.max(2 * options.width, sampling.logprobs ?? 0) };
  }

  start(run: SearchRun): void {
    const path = { tokens: [], logprob: 0, choice: this.#choiceAfter([]) };
    this.#live.set(this.#sequence, { sequence: this.#sequence, path });
    run.submit(this.#sequence, { takeLogits: (logits) => this.#takeLogits(run, this.#sequence, logits) });
  }

  #takeLogits(run: SearchRun, sequence: Sequence, logits: Float32Array): void {
    const beam = this.#live.get(sequence)!;
    const { choice, logprob } = beam.path;
    const wanted = this.#options.choice.sampling.logprobs ?? 0;
    const ranked = choice.rank(logits)?.top ?? [];
    beam.next = ranked
      .filter((token) => token.logprob > Number.NEGATIVE_INFINITY)
      .slice(0, 2 * this.#options.width)
      .map((token) => ({
        beam,
        token: { ...token, top: ranked.slice(0, wanted) },
        logprob: logprob + token.logprob,
      }));
    for (const { next } of this.#live.values()) if (!next) return;
    this.#advance(run);
  }

  /** All live texts know what follows: chooses those that are followed further. */
  #advance(run: SearchRun): void {
    const { width } = this.#options;
    const beams = [...this.#live.values()];
    const ended = beams.filter(({ next, path }) => next!.length === 0 && path.choice.mayEnd).map(({ path }) => path);
    const going: { beam: Beam; path: Path }[] = [];
    for (const { beam, token, logprob } of best(beams, 2 * width)) {
      const tokens = [...beam.path.tokens, token];
      const choice = this.#choiceAfter(beam.path.tokens);
      const { finishReason } = choice.take(token.tokenId);
      const path = { tokens, logprob, choice };
      if (finishReason === null) going.push({ beam, path });
      else ended.push(path);
    }
    this.#finished = [...this.#finished, ...ended].sort((a, b) => this.#score(b) - this.#score(a)).slice(0, width);
    going.sort((a, b) => this.#score(b.path) - this.#score(a.path));
    if (going.length === 0 || this.#isDecided(going[0].path)) this.#finish(run);
    else this.#follow(run, beams, going.slice(0, width));
  }

  /** True when no live text may still get among the finished ones. */
  #isDecided(likeliest: Path): boolean {
    const { width, earlyStopping, lengthPenalty } = this.#options;
    if (this.#finished.length < width) return false;
    if (earlyStopping === true) return true;
    const worst = this.#score(this.#finished[width - 1]);
    if (earlyStopping === false || lengthPenalty <= 0) return worst >= this.#score(likeliest);
    return worst >= likeliest.logprob / this.#sequence.maxLength ** lengthPenalty;
  }

  #follow(run: SearchRun, beams: readonly Beam[], chosen: readonly { beam: Beam; path: Path }[]): void {
    this.#live.clear();
    for (const beam of beams) {
      const [heir, ...others] = chosen.filter((next) => next.beam === beam).map(({ path }) => path);
      if (!heir) {
        run.settle(beam.sequence);
        continue;
      }
      for (const path of others) {
        const fork = run.fork(beam.sequence, { takeLogits: (logits) => this.#takeLogits(run, fork, logits) });
        this.#goOn(fork, path);
      }
      this.#goOn(beam.sequence, heir);
    }
  }

  #goOn(sequence: Sequence, path: Path): void {
    sequence.append(path.tokens.at(-1)!.tokenId);
    this.#live.set(sequence, { sequence, path });
  }

  #finish(run: SearchRun): void {
    if (this.#finished.length === 0) {
      throw new GrammarError('no token of the vocabulary continues any of the texts, and none may end here');
    }
    for (const [index, { tokens }] of this.#finished.slice(0, this.#options.n).entries()) {
      run.emit(this.#outputOf(index, tokens));
    }
    run.end();
  }

  #outputOf(index: number, tokens: readonly TokenLogprobs[]): GenerateOutput {
    const { choice: options, newDecoder } = this.#options;
    const keepsLogprobs = options.sampling.logprobs !== null;
    const choice = new Choice({ ...options, index, decoder: newDecoder() });
    choice.cachedTokens = this.#sequence.cachedTokens ?? 0;
    let output: GrowingOutput | undefined;
    const add = (next: GenerateOutput) => {
      if (output) grow(output, next);
      else output = growing(next);
    };
    for (const token of tokens) add(choice.take(token.tokenId, keepsLogprobs ? token : undefined));
    if (!output?.finishReason) add(choice.end());
    return output!;
  }

  /** A choice that has taken the tokens. */
  #choiceAfter(tokens: readonly TokenLogprobs[]): Choice {
    const { choice: options, newDecoder } = this.#options;
    const decoder = this.#sampling.stop.length > 0 ? newDecoder() : NO_TEXT;
    const choice = new Choice({ ...options, sampling: this.#sampling, index: 0, decoder });
    for (const { tokenId } of tokens) choice.take(tokenId);
    return choice;
  }

  #score({ tokens, logprob }: Path): number {
    const { choice, lengthPenalty } = this.#options;
    const endsWithEos = tokens.at(-1)?.tokenId === choice.eosTokenIds[0];
    return logprob / (choice.prompt.length + tokens.length - (endsWithEos ? 1 : 0)) ** lengthPenalty;
  }
}

/** The likeliest continuations of all texts; of equally likely ones, that of the better text, then the lower token id. */
function best(beams: readonly Beam[], count: number): Continuation[] {
  return beams
    .flatMap(({ next }) => next!)
    .sort((a, b) => b.logprob - a.logprob)
    .slice(0, count);
}
