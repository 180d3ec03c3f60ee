/** Choices that are sampled side by side: they share the prompt, and part from its last token on. */

import type { ReducedLogits } from '../kernels/index.ts';
import type { Choice } from './choice.ts';
import type { Search, SearchRun } from './search.ts';
import type { Sequence } from './sequence.ts';
import type { GenerateOutput } from './types.ts';

export class ParallelChoices implements Search {
  readonly #sequence: Sequence;
  readonly #choices: readonly Choice[];
  #unfinished: number;

  /**
   * @param sequence  the prompt
   * @param choices  at least one
   */
  constructor(sequence: Sequence, choices: readonly Choice[]) {
    this.#sequence = sequence;
    this.#choices = choices;
    this.#unfinished = choices.length;
  }

  start(run: SearchRun): void {
    const [first, ...others] = this.#choices;
    let hasForked = others.length === 0;
    const taker = this.#taker(run, first, () => this.#sequence);
    run.submit(this.#sequence, {
      ...taker,
      // All choices want the logits from which they part.
      reduction: () => (hasForked ? taker.reduction() : null),
      takeLogits: (logits, rows) => {
        const forks = hasForked ? [] : others.map((choice) => this.#fork(run, choice));
        hasForked = true;
        for (const fork of forks) fork.takeLogits(logits, rows);
        taker.takeLogits(logits, rows);
      },
    });
  }

  #fork(run: SearchRun, choice: Choice) {
    const taker = this.#taker(run, choice, () => sequence);
    const sequence = run.fork(this.#sequence, taker);
    return taker;
  }

  #taker(run: SearchRun, choice: Choice, sequence: () => Sequence) {
    return {
      reduction: () => choice.reduction(),
      takeReduced: (reduced: ReducedLogits) => {
        choice.cachedTokens = sequence().cachedTokens ?? 0;
        const output = choice.stepFrom(reduced);
        if (output) this.#take(run, choice, sequence(), output);
        return output !== undefined;
      },
      takeLogits: (logits: Float32Array, rows: number) => {
        const vocabSize = logits.length / rows;
        choice.cachedTokens = sequence().cachedTokens ?? 0;
        // More than one token when a draft was right.
        for (let row = 0; row < rows; row++) {
          const output = choice.step(logits.subarray(row * vocabSize, (row + 1) * vocabSize));
          if (!this.#take(run, choice, sequence(), output)) return;
        }
      },
    };
  }

  /** Gives a token out. True when the next row of logits is its own, because it was in the draft. */
  #take(run: SearchRun, choice: Choice, sequence: Sequence, output: GenerateOutput): boolean {
    run.emit(output);
    if (output.finishReason !== null) {
      run.settle(sequence);
      if (--this.#unfinished === 0) run.end();
      return false;
    }
    if (sequence.append(output.tokenIds[0])) return true;
    sequence.propose(choice.draft(sequence.tokens));
    return false;
  }
}
