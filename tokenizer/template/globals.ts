/** The functions that every chat template finds: Jinja's own and the two of `transformers`. */

import { TokenizerError } from '../errors.ts';
import { dictOf } from './filters.ts';
import { strftime } from './strftime.ts';
import {
  Attributes,
  Callable,
  fail,
  integerOf,
  iterate,
  type Kwargs,
  textOf,
  toText,
  typeName,
  type Value,
} from './values.ts';

/** As in Jinja's sandbox. */
const MAX_RANGE = 100_000;
const MAX_FORMAT_LENGTH = 1000;

export function globals(now: Date): ReadonlyMap<string, Value> {
  return new Map<string, Value>([
    [
      'raise_exception',
      new Callable(([message]) => {
        throw new TokenizerError(toText(message));
      }),
    ],
    ['strftime_now', new Callable(([format]) => strftimeNow(now, textOf(format, 'the format of strftime_now')))],
    ['range', new Callable((args) => range(args))],
    ['dict', new Callable((args, kwargs) => entries(args, kwargs))],
    ['namespace', new Callable((args, kwargs) => namespace(entries(args, kwargs)))],
    ['cycler', new Callable((args) => cycler(args))],
    ['joiner', new Callable(([separator = ', ']) => joiner(separator))],
  ]);
}

function strftimeNow(now: Date, format: string): string {
  if (format.length > MAX_FORMAT_LENGTH) fail(`gives strftime_now a format of ${format.length} characters`);
  return strftime(now, format);
}

function range(args: readonly Value[]): Value[] {
  const [first, second, step = 1] = args.map((arg) => integerOf(arg, 'an argument of range'));
  const start = args.length > 1 ? first : 0;
  const stop = args.length > 1 ? second : first;
  if (args.length === 0 || step === 0) fail('range is given no end or the step 0');
  const length = Math.max(0, Math.ceil((stop - start) / step));
  if (length > MAX_RANGE) fail(`range has ${length} items; at most ${MAX_RANGE} are allowed`);
  return Array.from({ length }, (_, i) => start + i * step);
}

/** What `dict(pairs, name=value)` holds. */
function entries([source]: readonly Value[], kwargs: Kwargs): Map<Value, Value> {
  const pairs = source instanceof Map ? source : Array.from(iterate(source), pairOf);
  return dictOf([...pairs, ...kwargs]);
}

function pairOf(value: Value): readonly [Value, Value] {
  const pair = Array.isArray(value) ? value : [];
  return pair.length === 2 ? [pair[0], pair[1]] : fail(`a dict is made from ${typeName(value)}; expected pairs`);
}

function namespace(values: ReadonlyMap<Value, Value>): Attributes {
  const attributes = new Map(Array.from(values, ([name, value]) => [toText(name), value]));
  return new Attributes((name) => attributes.get(name), attributes);
}

function cycler(items: readonly Value[]): Attributes {
  if (items.length === 0) fail('cycler is given no items');
  let at = 0;
  const methods = new Map<string, Callable>([
    ['next', new Callable(() => items[at++ % items.length])],
    [
      'reset',
      new Callable(() => {
        at = 0;
        return null;
      }),
    ],
  ]);
  return new Attributes((name) => (name === 'current' ? items[at % items.length] : methods.get(name)));
}

/** Gives nothing the first time, then the separator. */
function joiner(separator: Value): Callable {
  let isUsed = false;
  return new Callable(() => {
    const result = isUsed ? separator : '';
    isUsed = true;
    return result;
  });
}
