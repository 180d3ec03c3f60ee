/** Choices that are sampled side by side: they share the prompt, and part from its last token on. */

import type { Choice } from './choice.ts';
import type { Search, SearchRun } from './search.ts';
import type { Sequence } from './sequence.ts';

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
    let hasForked = false;
    run.submit(this.#sequence, (logits, rows) => {
      const forks = hasForked ? [] : others.map((choice) => this.#fork(run, choice));
      hasForked = true;
      for (const { choice, sequence } of forks) this.#advance(run, choice, sequence, logits, rows);
      this.#advance(run, first, this.#sequence, logits, rows);
    });
  }

  #fork(run: SearchRun, choice: Choice) {
    const sequence = run.fork(this.#sequence, (logits, rows) => this.#advance(run, choice, sequence, logits, rows));
    return { choice, sequence };
  }

  /** Takes tokens as long as there are logits for them: more than one when a draft was right. */
  #advance(run: SearchRun, choice: Choice, sequence: Sequence, logits: Float32Array, rows: number): void {
    const vocabSize = logits.length / rows;
    choice.cachedTokens = sequence.cachedTokens ?? 0;
    for (let row = 0; row < rows; row++) {
      const output = choice.step(logits.subarray(row * vocabSize, (row + 1) * vocabSize));
      run.emit(output);
      if (output.finishReason !== null) {
        run.settle(sequence);
        if (--this.#unfinished === 0) run.end();
        return;
      }
      if (!sequence.append(output.tokenIds[0])) break;
    }
    sequence.propose(choice.draft(sequence.tokens));
  }
}
