/** More candidates than are wanted, of which the likeliest are given. */

import { type GrowingOutput, grow, growing } from './merge-outputs.ts';
import type { Search, SearchRun } from './search.ts';
import type { GenerateOutput } from './types.ts';

export class BestOf implements Search {
  readonly #candidates: Search;
  readonly #n: number;
  readonly #keepsLogprobs: boolean;

  /**
   * @param candidates  gives the log-probability of every token
   * @param n  how many of its choices are given, best first, with the indices 0 to n - 1
   * @param keepsLogprobs  whether the log-probabilities are given too
   */
  constructor(candidates: Search, n: number, keepsLogprobs: boolean) {
    this.#candidates = candidates;
    this.#n = n;
    this.#keepsLogprobs = keepsLogprobs;
  }

  start(run: SearchRun): void {
    const choices = new Map<number, GrowingOutput>();
    this.#candidates.start({
      ...run,
      emit: (output) => {
        const choice = choices.get(output.index);
        if (choice) grow(choice, output);
        else choices.set(output.index, growing(output));
      },
      end: () => {
        const ranked = [...choices.values()].sort(
          (a, b) => cumulativeLogprob(b) - cumulativeLogprob(a) || a.index - b.index,
        );
        for (const [index, choice] of ranked.slice(0, this.#n).entries()) {
          const { logprobs, ...output } = choice;
          run.emit({ ...output, index, ...(this.#keepsLogprobs && { logprobs }) });
        }
        run.end();
      },
    });
  }
}

/** The sum over all tokens of a choice, the one that ended it included; its length does not count. */
function cumulativeLogprob({ logprobs = [] }: GenerateOutput): number {
  return logprobs.reduce((sum, { logprob }) => sum + logprob, 0);
}
