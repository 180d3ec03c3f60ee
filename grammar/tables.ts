/** What all grammars of a compiler share: expressions, byte automaton, local masks. Equal parts are made once. */

import { ByteAutomaton } from './byte-automaton.ts';
import { Expressions } from './expressions.ts';
import { anyText, jsonString } from './ir.ts';
import { Budget, FRESH_START_STATES } from './limits.ts';
import { Masks } from './masks.ts';
import type { Vocabulary } from './vocabulary.ts';

const QUOTE = 0x22;

export class Tables {
  readonly vocabulary: Vocabulary;
  readonly budget = new Budget();
  readonly expressions: Expressions;
  readonly bytes: ByteAutomaton;
  readonly masks: Masks;

  constructor(vocabulary: Vocabulary) {
    this.vocabulary = vocabulary;
    this.expressions = new Expressions(this.budget);
    this.bytes = new ByteAutomaton(this.expressions, this.budget);
    this.masks = new Masks(vocabulary, this.expressions, this.bytes);
  }

  /** Computes the masks that nearly every JSON text is made from: inside a string, inside a name. */
  prepare(): void {
    for (const escapes of ['all', 'minimal'] as const) {
      const start = this.bytes.start(jsonString(anyText, escapes));
      this.masks.prepare(this.bytes.step(start, QUOTE));
    }
  }

  /** True when new grammars should start with others, so that these can be freed some day. */
  get full(): boolean {
    return this.#size > FRESH_START_STATES;
  }

  /** True when new texts of old grammars should, too. */
  get exhausted(): boolean {
    return this.#size > 2 * FRESH_START_STATES;
  }

  get #size(): number {
    return Math.max(this.bytes.size, this.expressions.size / 8);
  }
}
