/** Texts that are told apart: items that must be unique, names that must not repeat. */

import { GrammarError } from '../errors.ts';
import {
  type Automaton,
  automatonRegex,
  both,
  jsonString,
  literals,
  not,
  type Regex,
  type Terminal,
  text,
} from '../ir.ts';
import { parseRegex } from '../regex.ts';
import type { Lowering } from './lowering.ts';
import { ARRAY, FALSE, NULL, NUMBER, OBJECT, STRING, TRUE, type Value } from './values.ts';

/** Most items of an array whose items must be unique. */
export const MAX_DISTINCT = 1000;
/** Strings that are told apart one by one; others by a remainder, so that a few are taken for equal that are not. */
const MAX_LISTED = 2000;
/** Remainders of strings: a prime. Two different strings have the same with a chance of 1 in so many. */
const REMAINDERS = 251;
/** Labels from here on are those of texts; below are those of whatever the texts were made of. */
const FIRST_LABEL = 1 << 24;

/** A terminal, and what equal ones of its texts have in common; undefined for labels that mean nothing. */
export interface DistinctTerminal {
  readonly terminal: Terminal;
  readonly keyOf: (label: number) => string | undefined;
}

export interface DistinctTexts {
  /** The texts that are none of those written. */
  readonly terminals: (written: readonly string[]) => readonly DistinctTerminal[];
  /** How many values there are; undefined when without end. */
  readonly size: number | undefined;
  /** True when a key is one of these values'; asked of finite sets only. */
  readonly has: (key: string) => boolean;
}

const WORDS = [
  [NULL, 'null'],
  [TRUE, 'true'],
  [FALSE, 'false'],
] as const;

/** Numbers in their one shortest spelling without exponent. */
const canonicalNumbers = parseRegex('0|-?(?:[1-9][0-9]*(?:[.][0-9]*[1-9])?|0[.][0-9]*[1-9])', { match: 'whole' });

const known = new WeakMap<Lowering, Map<Value, DistinctTexts>>();

/**
 * The texts of a set's values, each with a label that says which value it is.
 * @throws GrammarError when arrays or objects are in the set
 */
export function distinctTexts(lowering: Lowering, value: Value, where: string): DistinctTexts {
  let byValue = known.get(lowering);
  if (!byValue) known.set(lowering, (byValue = new Map()));
  let texts = byValue.get(value);
  if (!texts) byValue.set(value, (texts = makeDistinct(lowering, value, where)));
  return texts;
}

function makeDistinct(lowering: Lowering, value: Value, where: string): DistinctTexts {
  const { none } = lowering.values;
  if (lowering.satisfiable(lowering.values.and(value, lowering.values.types(ARRAY | OBJECT)))) {
    throw new GrammarError(`${where}: only supported for items that are strings, numbers, booleans or null`);
  }
  const makers: ((written: readonly string[]) => DistinctTerminal)[] = [];
  const keys: string[] = [];
  let finite = true;
  const add = (texts: readonly string[], keyOfText: (text: string) => string, make: (regex: Regex) => Terminal) => {
    const known = texts.map(keyOfText);
    keys.push(...known);
    makers.push((written) => {
      const left = texts.filter((_, i) => !written.includes(known[i]));
      const leftKeys = left.map(keyOfText);
      return { terminal: make(literals(left)), keyOf: (label) => leftKeys[label] };
    });
  };

  const words = WORDS.filter(([type]) => lowering.ofType(value, type) !== none).map(([, word]) => word);
  if (words.length > 0) add(words, (word) => word, text);

  const strings = lowering.ofType(value, STRING);
  if (strings !== none && lowering.hasText(lowering.stringRegex(strings))) {
    const regex = lowering.stringRegex(strings);
    const listed = lowering.texts(regex, MAX_LISTED);
    if (listed) add(listed, (item) => JSON.stringify(item), jsonString);
    else {
      finite = false;
      makers.push((written) => ({ terminal: jsonString(lowering.hashed(regex, written)), keyOf: hashKey }));
    }
  }

  const numbers = lowering.ofType(value, NUMBER);
  const regex = both(lowering.numberRegex(numbers), canonicalNumbers);
  if (numbers !== none && lowering.hasText(regex)) {
    const listed = lowering.texts(regex, MAX_LISTED);
    if (listed) add(listed, (digits) => digits, text);
    else {
      finite = false;
      const { automaton, textOf } = spelledOut();
      makers.push((written) => {
        const others = not(literals(written));
        return {
          terminal: text(both(regex, others, automatonRegex(automaton))),
          keyOf: (label) => (label < FIRST_LABEL ? undefined : textOf(label)),
        };
      });
    }
  }

  const all = new Set(keys);
  return {
    terminals: (written) => makers.map((make) => make(written)),
    size: finite ? all.size : undefined,
    has: (key) => all.has(key),
  };
}

/** The texts of a language whose keys are not among some; with labels that {@link hashKey} understands. */
export function hashedText(regex: Regex, written: readonly string[]): Regex {
  return both(regex, automatonRegex(written.length === 0 ? remainderAutomaton : remaindersBut(written)));
}

/** What equal texts of {@link hashedText} have in common. */
export function hashKey(label: number): string | undefined {
  return label < FIRST_LABEL ? undefined : `#${label - FIRST_LABEL}`;
}

/** Any text; the label is a remainder of it. */
const remainderAutomaton: Automaton = {
  start: 7,
  edges: (state) => {
    const edges: [number, number, number][] = [];
    for (let code = 0; code < 128; code++) edges.push([code, code, (state * 31 + code * 17 + 1) % REMAINDERS]);
    edges.push([128, 0x10ffff, (state * 31 + 128 * 17 + 1) % REMAINDERS]);
    return edges;
  },
  accepts: (state) => FIRST_LABEL + state,
  universal: true,
};

function remaindersBut(written: readonly string[]): Automaton {
  const taken = new Set(written);
  return {
    ...remainderAutomaton,
    universal: false,
    accepts: (state) => (taken.has(`#${state}`) ? -1 : FIRST_LABEL + state),
  };
}

/** Any number text; each is a state and a label of its own. */
function spelledOut(): { automaton: Automaton; textOf: (label: number) => string } {
  const texts = [''];
  const ids = new Map([['', 0]]);
  const automaton: Automaton = {
    start: 0,
    edges: (state) =>
      [...'-.0123456789'].map((char) => {
        const next = texts[state] + char;
        let id = ids.get(next);
        if (id === undefined) ids.set(next, (id = texts.push(next) - 1));
        const code = char.charCodeAt(0);
        return [code, code, id] as const;
      }),
    accepts: (state) => FIRST_LABEL + state,
  };
  return { automaton, textOf: (label) => texts[label - FIRST_LABEL] };
}
