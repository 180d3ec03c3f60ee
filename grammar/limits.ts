/** What a grammar may cost. All bounds are far above what schemas and grammars of honest users need. */

import { GrammarError } from './errors.ts';
import { checkSlice } from './slices.ts';

/** Longest regex, EBNF text or list of choices, in UTF-16 units. */
export const MAX_SOURCE_LENGTH = 4 << 20;
/** Deepest nesting of groups in a source text. */
export const MAX_NESTING = 250;
/** Steps (expressions made, states searched, closures taken) that one compile may cost. */
export const COMPILE_FUEL = 2_000_000;
/** The same for one mask or one token. */
export const STEP_FUEL = 500_000;
/** Places in the grammar that one text may be in at once; a byte costs a step for every sixteen. */
export const MAX_THREADS = 4096;
/** States of byte automata (1 KiB each) that the grammars of one compiler may reach. */
export const MAX_STATES = 100_000;
/** Configurations that the texts of one machine may be in, and how many of them keep a table (1 KiB) of the next ones. */
export const MAX_CONFIGURATIONS = 500_000;
export const MAX_TABLES = 8_000;
/** Byte automaton states or configurations after which new texts start with fresh tables. */
export const FRESH_START_STATES = 30_000;
/** Bytes of cached local masks, and of cached masks of one grammar. */
export const MAX_MASK_BYTES = 32 << 20;

/** How often the clock is looked at. */
const SPENDS_A_LOOK = 50;

/** What is left to spend. Work that an input controls spends; whoever starts such work refills. */
export class Budget {
  #fuel = COMPILE_FUEL;
  #sinceLook = 0;

  refill(fuel: number): void {
    this.#fuel = fuel;
  }

  /** @throws GrammarError when it runs out; Preempted when a slice of a compile is over */
  spend(amount: number): void {
    this.#fuel -= amount;
    if (++this.#sinceLook > SPENDS_A_LOOK) {
      this.#sinceLook = 0;
      checkSlice();
    }
    if (this.#fuel < 0) throw new GrammarError('the grammar is too complex: its automaton does not fit the work limit');
  }
}

/**
 * Runs work that an input controls: where it nests deeper than the stack of calls, that is the input's error.
 * @throws GrammarError
 */
export function bounded<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof RangeError) throw new GrammarError('the grammar is too complex: it nests too deep');
    throw error;
  }
}
