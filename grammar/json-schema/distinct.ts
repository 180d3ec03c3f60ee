/** Texts that are told apart: items that must be unique, names that must not repeat. */

import { GrammarError } from '../errors.ts';
import {
  type Automaton,
  automatonRegex,
  both,
  either,
  jsonString,
  labelled,
  literal,
  literals,
  type Node,
  not,
  type Regex,
  type Terminal,
  text,
  untold,
} from '../ir.ts';
import { parseRegex } from '../regex.ts';
import { IdentityFlow } from './identity-flow.ts';
import type { Lowering } from './lowering.ts';
import { FALSE, NULL, NUMBER, STRING, TRUE, type Value } from './values.ts';

/** Most items of an array whose items must be unique. */
export const MAX_DISTINCT = 1000;
/** Strings that are told apart one by one; others by a remainder, so that a few are taken for equal that are not. */
const MAX_LISTED = 2000;
/** As few are listed where each is looked at with all that may follow it. */
const MAX_LISTED_SCALARS = 200;
/** Remainders of strings: a prime. Two different strings have the same with a chance of 1 in so many. */
const REMAINDERS = 509;
/** Labels from here on are those of texts; below are those of whatever the texts were made of. */
const FIRST_LABEL = 1 << 24;

/** A node, and what equal ones of its texts have in common; undefined for labels that mean nothing. */
export interface DistinctPart {
  readonly node: Node;
  readonly keyOf: (label: number) => string | undefined;
  /** A key that stands for any of them that was not written; undefined where all are looked at one by one. */
  readonly any: string | undefined;
}

export interface DistinctTexts {
  /** The texts that are none of those written. */
  readonly parts: (written: readonly string[]) => readonly DistinctPart[];
  /** How many values there are; undefined when without end. */
  readonly size: number | undefined;
  /** True when it is known that there are more than can be counted. */
  readonly endless: boolean;
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

const known = new WeakMap<Lowering, Map<Value, DistinctTexts>[]>();

/** How many strings a set has: so few that they are told apart one by one, or more. */
export function stringsIn(lowering: Lowering, value: Value): 'none' | 'few' | 'many' {
  const strings = lowering.ofType(value, STRING);
  if (strings === lowering.values.none) return 'none';
  return lowering.languages.texts(lowering.stringRegex(strings), MAX_LISTED) ? 'few' : 'many';
}

/**
 * The texts of a set's values, each with a label that says which value it is.
 * @param mixed true when some sets of items have {@link stringsIn few strings} and others many: then remainders tell all of
 *   them apart
 * @throws GrammarError when arrays or objects are in the set whose members may come in several orders
 */
export function distinctTexts(lowering: Lowering, value: Value, where: string, mixed: boolean): DistinctTexts {
  let maps = known.get(lowering);
  if (!maps) known.set(lowering, (maps = [new Map(), new Map()]));
  const byValue = maps[mixed ? 1 : 0];
  let texts = byValue.get(value);
  if (!texts) byValue.set(value, (texts = makeDistinct(lowering, value, where, mixed)));
  return texts;
}

function makeDistinct(lowering: Lowering, value: Value, where: string, mixed: boolean): DistinctTexts {
  const { none } = lowering.values;
  const makers: ((written: readonly string[]) => readonly DistinctPart[])[] = [];
  const keys: string[] = [];
  let finite = true;
  const add = (texts: readonly string[], keyOfText: (text: string) => string, make: (regex: Regex) => Terminal) => {
    const known = texts.map(keyOfText);
    keys.push(...known);
    makers.push((written) => {
      const left = texts.filter((_, i) => !written.includes(known[i]));
      const leftKeys = left.map(keyOfText);
      return [{ node: make(literals(left)), keyOf: (label) => leftKeys[label], any: undefined }];
    });
  };

  const words = wordsOf(lowering, value);
  if (words.length > 0) add(words, (word) => word, text);

  const strings = lowering.ofType(value, STRING);
  if (strings !== none && lowering.languages.hasText(lowering.stringRegex(strings))) {
    const regex = lowering.stringRegex(strings);
    const listed = lowering.languages.texts(regex, MAX_LISTED);
    if (listed) add(listed, (item) => (mixed ? `#${remainderOf(item)}` : JSON.stringify(item)), jsonString);
    else {
      finite = false;
      // Where single strings are counted elsewhere, it matters which one was written.
      const any = mixed ? undefined : ANY_HASH;
      makers.push((written) => [{ node: hashedString(lowering, regex, written, 'all'), keyOf: hashKey, any }]);
    }
  }

  const regex = both(lowering.numberRegex(lowering.ofType(value, NUMBER)), canonicalNumbers);
  if (lowering.languages.hasText(regex)) {
    const listed = lowering.languages.texts(regex, MAX_LISTED);
    if (listed) add(listed, (digits) => digits, text);
    else {
      finite = false;
      const { automaton, textOf } = spelledOut();
      makers.push((written) => [{ node: otherNumbers(regex, automaton, written), keyOf: textOf, any: undefined }]);
    }
  }

  const { identities } = lowering;
  let endless = !finite;
  for (const { flow: container, kind } of containersOf(lowering, value, where, makers.length > 0)) {
    finite = false;
    const own = `${IDENTITY}${kind}`;
    const made = new Map<string, readonly DistinctPart[]>();
    endless ||= new IdentityFlow(lowering, container, identities, []).isEndless();
    makers.push((written) => {
      const taken = written.filter((key) => key.startsWith(own));
      const any = own + ANY;
      if (taken.includes(any)) return [{ node: untold, keyOf: () => undefined, any }];
      let parts = made.get(taken.join());
      if (!parts) {
        const texts = taken.map((key) => identities.text(Number(key.slice(own.length))));
        const flow = new IdentityFlow(lowering, container, identities, texts);
        const keyOf = (label: number) => (isAnyIdentity(identities.text(label)) ? any : `${own}${label}`);
        parts = flow.canStart() ? [{ node: flow.node, keyOf, any }] : [];
        made.set(taken.join(), parts);
      }
      return parts;
    });
  }

  const all = new Set(keys);
  return {
    parts: (written) => makers.flatMap((make) => make(written)),
    size: finite ? all.size : undefined,
    endless,
    has: (key) => all.has(key),
  };
}

/**
 * The arrays and objects that can be told apart. Beside scalars others are left out of arrays inside a value: refusing the
 * whole schema for them would help nobody. Of the value itself they are not.
 */
function containersOf(lowering: Lowering, value: Value, where: string, hasScalars: boolean) {
  try {
    return lowering.itemContainers(value, where);
  } catch (error) {
    if (error instanceof GrammarError && hasScalars && where !== '#/uniqueItems') return [];
    throw error;
  }
}

/** What keys of arrays and objects begin with. */
const IDENTITY = '~';
/** What keys end with that stand for any of their kind that was not written. */
const ANY = '?';
/** The key that stands for any text of {@link hashedText}. */
export const ANY_HASH = `#${ANY}`;

/** True for the key that stands for any array or object. */
export function isAnyContainer(key: string): boolean {
  return key.startsWith(IDENTITY) && key.endsWith(ANY);
}

/** True when an identity holds a string that stands for many. */
function isAnyIdentity(identity: string): boolean {
  return identity.includes(ANY_HASH);
}

/** Scalars of one kind, with keys that depend on the value alone, whatever set it is from. */
export interface ScalarPart {
  readonly terminal: Terminal;
  readonly keyOf: (label: number) => string | undefined;
  /** By label; undefined when there are more than can be listed. */
  readonly keys: readonly string[] | undefined;
  /** True for strings that are told apart by {@link hashKey}. */
  readonly isHashed: boolean;
  /** The texts with these labels. */
  readonly among: (labels: readonly number[]) => Terminal;
}

/**
 * @param written keys of which those that are without end must be none
 * @param withNumbers false leaves numbers out
 */
export function scalarParts(
  lowering: Lowering,
  value: Value,
  written: readonly string[],
  withNumbers: boolean,
): ScalarPart[] {
  const parts: ScalarPart[] = [];
  const list = (texts: readonly string[], keyOfText: (text: string) => string, make: (regex: Regex) => Terminal) => {
    const keys = texts.map(keyOfText);
    const among = (labels: readonly number[]) => make(either(...labels.map((i) => labelled(literal(texts[i]), i))));
    parts.push({ terminal: make(literals(texts)), keyOf: (label) => keys[label], keys, isHashed: false, among });
  };
  const endless = (terminal: Terminal, keyOf: ScalarPart['keyOf']) => {
    parts.push({ terminal, keyOf, keys: undefined, isHashed: keyOf === hashKey, among: () => terminal });
  };

  const words = wordsOf(lowering, value);
  if (words.length > 0) list(words, (word) => word, text);

  const strings = lowering.ofType(value, STRING);
  if (strings !== lowering.values.none) {
    const regex = lowering.stringRegex(strings);
    const listed = lowering.languages.texts(regex, MAX_LISTED_SCALARS);
    const others = lowering.languages.hashed(regex, written)!;
    if (listed && listed.length > 0) list(listed, (item) => `#${remainderOf(item)}`, jsonString);
    else if (!listed && lowering.languages.hasText(written.length === 0 ? regex : others))
      endless(jsonString(others), hashKey);
  }

  if (!withNumbers) return parts;
  const numbers = both(lowering.numberRegex(lowering.ofType(value, NUMBER)), canonicalNumbers);
  const listed = lowering.languages.texts(numbers, MAX_LISTED_SCALARS);
  if (listed && listed.length > 0) list(listed, (digits) => digits, text);
  else if (!listed) {
    const { automaton, textOf } = spelledOut();
    endless(otherNumbers(numbers, automaton, written), textOf);
  }
  return parts;
}

function wordsOf(lowering: Lowering, value: Value): string[] {
  return WORDS.filter(([type]) => lowering.ofType(value, type) !== lowering.values.none).map(([, word]) => word);
}

function otherNumbers(regex: Regex, automaton: Automaton, written: readonly string[]): Terminal {
  return text(both(regex, not(literals(written)), automatonRegex(automaton)));
}

/** The texts of a language whose keys are not among some; with labels that {@link hashKey} understands. */
export function hashedText(regex: Regex, written: readonly string[]): Regex {
  return both(regex, automatonRegex(written.length === 0 ? remainderAutomaton : remaindersBut(written)));
}

/** The strings of a language that were not written. */
export function hashedString(
  lowering: Lowering,
  regex: Regex,
  written: readonly string[],
  escapes: 'all' | 'minimal',
): Node {
  const told = lowering.languages.hashed(regex, written);
  return told ? jsonString(told, escapes) : untold;
}

/** What equal texts of {@link hashedText} have in common. */
export function hashKey(label: number): string | undefined {
  return label < FIRST_LABEL ? undefined : `#${label - FIRST_LABEL}`;
}

/** The remainder after one more character. */
function nextRemainder(state: number, codePoint: number): number {
  return (state * 31 + Math.min(codePoint, 128) * 17 + 1) % REMAINDERS;
}

/** Any text; the label is a remainder of it. */
const remainderAutomaton: Automaton = {
  start: 7,
  edges: (state) => {
    const edges: [number, number, number][] = [];
    for (let code = 0; code < 128; code++) edges.push([code, code, nextRemainder(state, code)]);
    edges.push([128, 0x10ffff, nextRemainder(state, 128)]);
    return edges;
  },
  accepts: (state) => FIRST_LABEL + state,
  next: nextRemainder,
};

/** The remainder of a text. */
function remainderOf(text: string): number {
  let state = remainderAutomaton.start;
  for (const char of text) state = nextRemainder(state, char.codePointAt(0)!);
  return state;
}

function remaindersBut(written: readonly string[]): Automaton {
  const taken = new Set(written);
  return {
    start: remainderAutomaton.start,
    edges: remainderAutomaton.edges,
    accepts: (state) => (taken.has(`#${state}`) ? -1 : FIRST_LABEL + state),
  };
}

/** Any number text; each is a state and a label of its own. */
function spelledOut(): { automaton: Automaton; textOf: (label: number) => string | undefined } {
  const texts = [''];
  const ids = new Map([['', 0]]);
  const next = (state: number, codePoint: number) => {
    const text = texts[state] + String.fromCodePoint(codePoint);
    let id = ids.get(text);
    if (id === undefined) ids.set(text, (id = texts.push(text) - 1));
    return id;
  };
  const automaton: Automaton = {
    start: 0,
    edges: (state) =>
      [...'-.0123456789'].map((char) => {
        const code = char.charCodeAt(0);
        return [code, code, next(state, code)] as const;
      }),
    accepts: (state) => FIRST_LABEL + state,
    next,
  };
  return { automaton, textOf: (label) => (label < FIRST_LABEL ? undefined : texts[label - FIRST_LABEL]) };
}
