/** The formats of JSON Schema Validation 2020-12, section 7.3, as languages. */

import { both, concat, either, literal, optional, type Regex } from '../ir.ts';
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
  const fraction = optional(parse('[.][0-9]+'));
  const usual = parse(`${hourMinute}:[0-5][0-9](?:[.][0-9]+)?(?:[Zz]|[+-]${hourMinute})`);
  const hours = Array.from({ length: 24 }, (_, hour) => {
    const minutes = Array.from({ length: 60 }, (_, minute) => {
      const local = hour * 60 + minute;
      const ahead = literal(`+${clock((local + 1) % 1440)}`);
      const behind = literal(`-${clock((1439 - local + 1440) % 1440)}`);
      const zones = either(ahead, behind, ...(local === 1439 ? [parse('[Zz]')] : []));
      return concat(literal(`${twoDigits(minute)}:60`), fraction, zones);
    });
    return concat(literal(`${twoDigits(hour)}:`), either(...minutes));
  });
  return either(usual, ...hours);
}

function clock(minutes: number): string {
  return `${twoDigits(Math.floor(minutes / 60))}:${twoDigits(minutes % 60)}`;
}

function twoDigits(value: number): string {
  return String(value).padStart(2, '0');
}

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
