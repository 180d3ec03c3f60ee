/** What all grammars of a compiler share: expressions, byte automaton, local masks. Equal parts are made once. */

import { ByteAutomaton } from './byte-automaton.ts';
import { Expressions } from './expressions.ts';
import { anyText, jsonString } from './ir.ts';
import { Budget, FRESH_START_STATES } from './limits.ts';
import { Machine } from './machine.ts';
import { Masks } from './masks.ts';
import type { Vocabulary } from './vocabulary.ts';

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

  /** Computes the mask that nearly every JSON text asks for: inside a string. */
  prepare(): void {
    const machine = new Machine(this.bytes, this.budget);
    const inside = machine.walk(machine.begin(jsonString(anyText)), Uint8Array.of(0x22));
    this.masks.compute(machine, inside);
  }

  /** True when new texts should start with others, so that these can be freed. */
  get full(): boolean {
    return this.bytes.size > FRESH_START_STATES || this.expressions.size > 8 * FRESH_START_STATES;
  }
}
