/** Sets of numbers as languages of number texts. */

import { GrammarError } from '../errors.ts';
import {
  type Automaton,
  automatonRegex,
  both,
  chars,
  concat,
  either,
  literal,
  many,
  not,
  oneOrMore,
  optional,
  type Regex,
  repeat,
} from '../ir.ts';
import { type Decimal, decimalDigits } from './decimal.ts';

/** Most digits before the point, and behind it, in a number that no bound asks to be longer. */
const MAX_NUMBER_DIGITS = 32;
/** Largest divisor, scaled to a whole number, whose remainders are followed. */
const MAX_MODULUS = 1_000_000n;

const digit = chars([48, 57]);
const nonZeroDigit = chars([49, 57]);
const minus = literal('-');
const point = literal('.');

/** How numbers are written where their value matters: no exponent, any number of zeros at the end of a fraction. */
const unsignedNumber = concat(
  either(literal('0'), concat(nonZeroDigit, many(digit))),
  optional(concat(point, oneOrMore(digit))),
);
const plainNumber = concat(optional(minus), unsignedNumber);

/** Numbers whose value does not matter, with or without an exponent. */
export const anyNumber: Regex = concat(
  cappedNumber(MAX_NUMBER_DIGITS),
  optional(concat(chars([69, 69], [101, 101]), optional(chars([43, 43], [45, 45])), repeat(digit, 1, 4))),
);

/** Whole numbers without point and exponent. */
export const plainInteger: Regex = concat(
  optional(minus),
  either(literal('0'), concat(nonZeroDigit, repeat(digit, 0, MAX_NUMBER_DIGITS - 1))),
);

/** Whole numbers by value: `1` and `1.0`. */
export const wholeNumbers: Regex = concat(
  optional(minus),
  either(literal('0'), concat(nonZeroDigit, many(digit))),
  optional(concat(point, oneOrMore(literal('0')))),
);

/** The spellings that a set of numbers is intersected with: free of exponents, with enough digits for `digits`-digit bounds. */
export function spelledNumbers(form: 'plain' | 'integer', digits: number): Regex {
  const cap = Math.max(MAX_NUMBER_DIGITS, digits);
  if (form === 'plain') return cappedNumber(cap);
  return concat(optional(minus), either(literal('0'), concat(nonZeroDigit, repeat(digit, 0, cap - 1))));
}

/** All texts of one value. */
export function exactly(value: Decimal): Regex {
  const { whole, fraction } = decimalDigits(value);
  const zeros = many(literal('0'));
  const tail =
    fraction === '' ? optional(concat(point, oneOrMore(literal('0')))) : concat(literal(`.${fraction}`), zeros);
  return concat(signOf(value), literal(whole), tail);
}

/** All numbers that are not less than a bound (`strict`: that are greater). */
export function atLeast(bound: Decimal, strict: boolean): Regex {
  if (bound.units > 0n) return automatonRegex(magnitudes(bound, strict));
  if (bound.units === 0n)
    return strict ? automatonRegex(magnitudes(bound, true)) : either(unsignedNumber, exactly(bound));
  const beyond = automatonRegex(magnitudes(bound, !strict));
  return either(unsignedNumber, concat(minus, both(unsignedNumber, not(beyond))));
}

/** All numbers that are not greater than a bound (`strict`: that are less). */
export function atMost(bound: Decimal, strict: boolean): Regex {
  return both(plainNumber, not(atLeast(bound, !strict)));
}

/**
 * All multiples of a positive number.
 * @throws GrammarError when the divisor has too many digits to follow its remainders
 */
export function multiplesOf(divisor: Decimal): Regex {
  if (divisor.units > MAX_MODULUS) {
    throw new GrammarError(`multipleOf is only supported up to ${MAX_MODULUS} units of its last digit`);
  }
  return concat(optional(minus), automatonRegex(remainders(Number(divisor.units), divisor.scale)));
}

/** How many digits, before or behind the point, a number in the schema has. */
export function digitCount(value: Decimal): number {
  const { whole, fraction } = decimalDigits(value);
  return Math.max(whole.length, fraction.length) + 1;
}

function cappedNumber(digits: number): Regex {
  return concat(
    optional(minus),
    either(literal('0'), concat(nonZeroDigit, repeat(digit, 0, digits - 1))),
    optional(concat(point, repeat(digit, 1, digits))),
  );
}

function signOf({ units }: Decimal): Regex {
  return units < 0n ? minus : units === 0n ? optional(minus) : literal('');
}

/** Unsigned numbers that are at least (`strict`: more than) the absolute value of a bound, digit by digit. */
function magnitudes(bound: Decimal, strict: boolean): Automaton {
  const { whole, fraction } = decimalDigits(bound);
  type State =
    | { readonly at: 'start' }
    | { readonly at: 'whole'; readonly count: number; readonly order: number; readonly zero: boolean }
    | { readonly at: 'fraction'; readonly index: number; readonly written: boolean }
    | { readonly at: 'more'; readonly written: boolean };

  const orderAtEnd = (state: { count: number; order: number }) =>
    state.count === whole.length ? state.order : state.count - whole.length;

  return lazyAutomaton<State>(
    { at: 'start' },
    (state) => {
      const edges: [number, number, State][] = [];
      if (state.at === 'more') return [[48, 57, { at: 'more', written: true }]];
      if (state.at === 'fraction') {
        const wanted = state.index < fraction.length ? fraction.charCodeAt(state.index) : 48;
        const next = Math.min(state.index + 1, fraction.length);
        edges.push([wanted, wanted, { at: 'fraction', index: next, written: true }]);
        if (wanted < 57) edges.push([wanted + 1, 57, { at: 'more', written: true }]);
        return edges;
      }
      if (state.at === 'whole') {
        const order = orderAtEnd(state);
        if (order > 0) edges.push([46, 46, { at: 'more', written: false }]);
        else if (order === 0) edges.push([46, 46, { at: 'fraction', index: 0, written: false }]);
        if (state.zero) return edges;
      }
      const count = state.at === 'whole' ? state.count : 0;
      for (let code = 48; code <= 57; code++) {
        const earlier = state.at === 'whole' ? state.order : 0;
        const order = earlier !== 0 || count >= whole.length ? earlier : Math.sign(code - whole.charCodeAt(count));
        const zero = count === 0 && code === 48;
        if (zero && whole !== '0') continue;
        edges.push([code, code, { at: 'whole', count: Math.min(count + 1, whole.length + 1), order, zero }]);
      }
      return edges;
    },
    (state) => {
      if (state.at === 'start') return false;
      if (state.at === 'more') return state.written;
      if (state.at === 'fraction') return state.written && state.index === fraction.length && !strict;
      const order = orderAtEnd(state);
      return order > 0 || (order === 0 && fraction === '' && !strict);
    },
  );
}

/** Unsigned numbers whose value times `10^scale` is a multiple of `modulus`. */
function remainders(modulus: number, scale: number): Automaton {
  type State = {
    readonly remainder: number;
    readonly behind: number;
    readonly at: 'start' | 'zero' | 'whole' | 'point' | 'fraction';
  };
  /** Ten to the digits still to come, no further than past the modulus. */
  const powers = Array.from({ length: scale + 1 }, (_, i) => Number(10n ** BigInt(Math.min(i, 7))));
  const remaindersOfPowers = Array.from({ length: scale + 1 }, (_, i) => Number(10n ** BigInt(i) % BigInt(modulus)));
  const canEnd = ({ remainder, behind }: State) => {
    const shifted = (remainder * remaindersOfPowers[scale - behind]) % modulus;
    return (modulus - shifted) % modulus < powers[scale - behind];
  };
  return lazyAutomaton<State>(
    { remainder: 0, behind: 0, at: 'start' },
    (state) => {
      const edges: [number, number, State][] = [];
      if (state.at === 'zero' || state.at === 'whole') {
        const open: State = { ...state, at: 'point' };
        if (canEnd(open)) edges.push([46, 46, open]);
        if (state.at === 'zero') return edges;
      }
      for (let value = 0; value < 10; value++) {
        let next: State;
        if (state.at !== 'fraction' && state.at !== 'point') {
          const at = state.at === 'start' && value === 0 ? 'zero' : 'whole';
          next = { remainder: (state.remainder * 10 + value) % modulus, behind: 0, at };
        } else if (state.behind === scale) {
          if (value > 0) break;
          next = { ...state, behind: scale, at: 'fraction' };
        } else next = { remainder: (state.remainder * 10 + value) % modulus, behind: state.behind + 1, at: 'fraction' };
        if (next.at === 'fraction' ? canEnd(next) : true) edges.push([48 + value, 48 + value, next]);
      }
      return edges;
    },
    ({ remainder, behind, at }) => at !== 'start' && (remainder * remaindersOfPowers[scale - behind]) % modulus === 0,
  );
}

/** An automaton over states of any shape; equal ones (as JSON) are the same. */
function lazyAutomaton<State>(
  start: State,
  edges: (state: State) => readonly (readonly [low: number, high: number, next: State])[],
  accepts: (state: State) => boolean,
): Automaton {
  const states: State[] = [];
  const ids = new Map<string, number>();
  const idOf = (state: State) => {
    const key = JSON.stringify(state);
    let id = ids.get(key);
    if (id === undefined) ids.set(key, (id = states.push(state) - 1));
    return id;
  };
  return {
    start: idOf(start),
    edges: (id) => edges(states[id]).map(([low, high, next]) => [low, high, idOf(next)] as const),
    accepts: (id) => (accepts(states[id]) ? 0 : -1),
  };
}
