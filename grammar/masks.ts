/**
 * Which tokens may come next, in a configuration.
 *
 * A token goes on inside a thread's terminal, or leaves it. The first depends on the state of the byte automaton alone: its
 * *local mask* serves every place in every grammar where that state occurs. What leaves the terminal depends on the
 * thread's stacks: it is walked with the configurations that follow. Strings have a hundred thousand tokens inside, and
 * exits that lead to a few hundred.
 */

import type { ByteAutomaton } from './byte-automaton.ts';
import { Leaving } from './exits.ts';
import type { Expressions } from './expressions.ts';
import { LocalMasks } from './local-masks.ts';
import type { Machine } from './machine.ts';
import { TokenCollector, type TokenSet } from './token-set.ts';
import type { Vocabulary } from './vocabulary.ts';

export class Masks {
  readonly #vocabulary: Vocabulary;
  readonly #local: LocalMasks;
  readonly #found: TokenCollector;
  readonly #leaving: Leaving;

  constructor(vocabulary: Vocabulary, expressions: Expressions, bytes: ByteAutomaton) {
    this.#vocabulary = vocabulary;
    this.#local = new LocalMasks(vocabulary, expressions, bytes);
    this.#found = new TokenCollector(vocabulary.sameBytes);
    this.#leaving = new Leaving(vocabulary, this.#found);
  }

  /** Makes the local mask of a state with all that many masks will be made from. */
  prepare(state: number): void {
    for (const { exits } of this.#local.of(state).closed) exits.merge(this.#vocabulary);
  }

  /** The tokens that may come next in a configuration, without the end tokens. */
  compute(machine: Machine, configuration: number): TokenSet {
    const { threads } = machine.configuration(configuration);
    const found = this.#found;
    try {
      for (let t = 0; t < threads.length; t += 2) found.addAll(this.#local.of(threads[t]).inside);
      for (let t = 0; t < threads.length; t += 2) {
        const local = this.#local.of(threads[t]);
        const stacks = threads[t + 1];
        for (const used of local.closed) this.#leaving.add(used, stacks, machine);
        if (machine.endsText(stacks)) continue;
        const open = { exits: this.#local.open(threads[t], local), except: undefined, relabelled: undefined };
        this.#leaving.add(open, stacks, machine);
      }
    } catch (error) {
      found.end();
      throw error;
    }
    return found.end();
  }
}
