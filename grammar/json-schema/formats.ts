/** The formats of JSON Schema Validation 2020-12, section 7.3, as languages. */

import { type Automaton, automatonRegex, both, concat, either, type Regex } from '../ir.ts';
import { parseRegex } from '../regex.ts';
import { parseDecimal } from './decimal.ts';
import { internetNames } from './internet-formats.ts';
import { atLeast, atMost, wholeNumbers } from './number-languages.ts';
import type { NumberSet } from './values.ts';

const leapYear = '(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)';
/** RFC 3339, section 5.6: days that the calendar has. */
const date =
  '(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|' +
  `02-(?:0[1-9]|1[0-9]|2[0-8]))|${leapYear}-02-29)`;
const hourMinute = '(?:[01][0-9]|2[0-3]):[0-5][0-9]';

/** RFC 3339, appendix A. */
const durationTime = 'T(?:[0-9]+H(?:[0-9]+M(?:[0-9]+S)?)?|[0-9]+M(?:[0-9]+S)?|[0-9]+S)';
const durationDate = '(?:[0-9]+Y(?:[0-9]+M(?:[0-9]+D)?)?|[0-9]+M(?:[0-9]+D)?|[0-9]+D)';
const duration = `P(?:${durationDate}(?:${durationTime})?|${durationTime}|[0-9]+W)`;

/** RFC 6901, section 3. */
const jsonPointer = '(?:/(?:[^~/]|~[01])*)*';

const uuid = '[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}';
const base64 = '(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?';

const makers: Readonly<Record<string, () => Regex>> = {
  date: () => parse(date),
  time: () => time(),
  'date-time': () => concat(parse(`${date}[Tt]`), time()),
  duration: () => parse(duration),
  'json-pointer': () => parse(jsonPointer),
  'relative-json-pointer': () => parse(`(?:0|[1-9][0-9]*)(?:#|${jsonPointer})`),
  uuid: () => parse(uuid),
  byte: () => parse(base64),
  regex: () => regularExpression(),
  ...internetNames,
};

const made = new Map<string, Regex>();

/** The strings of a format; undefined for a name that the standard does not know, which asks nothing. */
export function formatRegex(name: string): Regex | undefined {
  if (!Object.hasOwn(makers, name)) return undefined;
  let regex = made.get(name);
  if (!regex) made.set(name, (regex = makers[name]()));
  return regex;
}

const integerBounds: Readonly<Record<string, readonly [string, string]>> = {
  int32: ['-2147483648', '2147483647'],
  int64: ['-9223372036854775808', '9223372036854775807'],
};
const integerSets = new Map<string, readonly NumberSet[]>();

/** The numbers of OpenAPI's `int32` and `int64`. */
export function integerFormat(name: string): readonly NumberSet[] | undefined {
  if (!Object.hasOwn(integerBounds, name)) return undefined;
  let sets = integerSets.get(name);
  if (!sets) {
    const [low, high] = integerBounds[name].map(parseDecimal);
    const regex = both(wholeNumbers, atLeast(low, false), atMost(high, false));
    integerSets.set(name, (sets = [{ regex, digits: 20, integers: true }]));
  }
  return sets;
}

function parse(source: string): Regex {
  return parseRegex(source, { match: 'whole' });
}

/** RFC 3339 times; second 60 only where it is 23:59:60 in UTC. */
function time(): Regex {
  const usual = parse(`${hourMinute}:[0-5][0-9](?:[.][0-9]+)?(?:[Zz]|[+-]${hourMinute})`);
  const leap = parse(`${hourMinute}:60(?:[.][0-9]+)?(?:[Zz]|[+-]${hourMinute})`);
  return either(usual, both(leap, automatonRegex(leapSeconds)));
}

/** Minutes of a day. */
const DAY = 1440;
/** Weights of the digits of `HH:MM`, in minutes. */
const MINUTES = [600, 60, 0, 10, 1];

/**
 * Of texts that look like times: those at 23:59 in UTC. A state is where the text is, how many minutes of the day are left
 * until then, and the sign of the zone: `(minutes * 3 + sign) * 8 + place`. Places 0 to 4 are those of `HH:MM`; 5 is behind
 * it, with all until the zone; the zone has places 0 to 4 again, with its sign; 6 is the end. Some states lead to no end:
 * it is for intersections alone, where these are found.
 */
const leapSeconds: Automaton = {
  start: (DAY - 1) * 24,
  edges: (state) => {
    const [place, sign, minutes] = [state & 7, (state >> 3) % 3, Math.floor(state / 24)];
    const at = (newPlace: number, newSign: number, left: number) =>
      ((((left % DAY) + DAY) % DAY) * 3 + newSign) * 8 + newPlace;
    if (place < 5) {
      const next = place === 4 && sign > 0 ? 6 : place + 1;
      if (place === 2) return [[0x3a, 0x3a, at(next, sign, minutes)]];
      // The zone is ahead of UTC by so much: local minutes less the zone's are UTC's.
      const direction = sign === 1 ? 1 : -1;
      const edges: [number, number, number][] = [];
      for (let digit = 0; digit < 10; digit++) {
        const left = at(next, sign, minutes + direction * digit * MINUTES[place]);
        if (next !== 6 || left < 24) edges.push([0x30 + digit, 0x30 + digit, left]);
      }
      return edges;
    }
    if (place === 6) return [];
    const edges: [number, number, number][] = [[0x2b, 0x2b, at(0, 1, minutes)]];
    edges.push([0x2d, 0x2d, at(0, 2, minutes)], [0x2e, 0x2e, state], [0x30, 0x3a, state]);
    if (minutes === 0) edges.push([0x5a, 0x5a, 6], [0x7a, 0x7a, 6]);
    return edges;
  },
  accepts: (state) => (state === 6 || (state & 7) === 6 ? 0 : -1),
};

/** Regular expressions of ECMA-262 whose groups nest at most three deep and whose class ranges are the usual ones. */
function regularExpression(): Regex {
  const escaped = '\\\\(?:[dDwWsStnrfv0^$\\\\.*+?()\\[\\]{}|/]|u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2})';
  const inClass = `(?:a-z|A-Z|0-9|a-f|A-F|[^\\\\\\]\\[\\-^]|${escaped})`;
  const charClass = `\\[\\^?${inClass}*-?\\]`;
  const plain = '[^\\\\^$.*+?()\\[\\]{}|]';
  const bounds = Array.from({ length: 10 }, (_, low) => `${low},[${low}-9]`).join('|');
  const quantifier = `(?:[*+?]|\\{(?:[0-9]{1,4},?|${bounds}|[0-9],[1-9][0-9])\\})\\??`;
  let atom = `(?:${plain}|\\.|${escaped}|${charClass})`;
  const alternatives = (one: string) => {
    const term = `(?:[\\^$]|${one}(?:${quantifier})?)`;
    return `${term}*(?:\\|${term}*)*`;
  };
  for (let depth = 0; depth < 3; depth++) atom = `(?:${atom}|\\((?:\\?[:])?${alternatives(atom)}\\))`;
  return parse(alternatives(atom));
}
