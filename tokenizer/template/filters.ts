/** Jinja's filters, and `tojson` as `transformers` defines it. */

import { formatPercent } from './format.ts';
import { toJson } from './json.ts';
import { capitalize, center, itemsOf, named, replaceText, sorted, stripText } from './methods.ts';
import { TUPLE_FILTER } from './rewrites.ts';
import { testOf } from './tests.ts';
import {
  assertLength,
  atMost,
  bounded,
  contains,
  equals,
  fail,
  integerOf,
  isTrue,
  iterate,
  type Kwargs,
  keyOf,
  Lazy,
  lengthOf,
  numberOf,
  PyFloat,
  Tuple,
  textOf,
  toText,
  typeName,
  type Value,
} from './values.ts';

/** Most blanks in front of a line. */
const MAX_INDENT = 1000;
/** Most items that a row is filled up to, and most lists that one is cut into. */
const MAX_FILLED = 10_000;

/** What filters need of the interpreter. */
export interface Lookup {
  /** `value.name` */
  readonly attribute: (value: Value, name: string) => Value;
  /** `value[key]` */
  readonly item: (value: Value, key: Value) => Value;
  readonly filter: (name: string, value: Value, args: Value[], kwargs: Kwargs) => Value;
  readonly add: (left: Value, right: Value) => Value;
}

type Filter = (value: Value, args: Value[], kwargs: Kwargs, lookup: Lookup) => Value;

/** @throws TokenizerError for a filter that does not exist */
export function filterOf(name: string): Filter {
  return FILTERS.get(name) ?? fail(`there is no filter named '${name}'`);
}

/** A filter whose arguments may be given by name. */
function taking(names: readonly string[], filter: (value: Value, args: Value[], lookup: Lookup) => Value): Filter {
  return (value, args, kwargs, lookup) => filter(value, named(args, kwargs, names, 'a filter'), lookup);
}

const length: Filter = (value) => lengthOf(value);

const fallback = taking(['default_value', 'boolean'], (value, [other = '', boolean]) =>
  value === undefined || (isTrue(boolean) && !isTrue(value)) ? other : value,
);

const tojson = taking(
  ['ensure_ascii', 'indent', 'separators', 'sort_keys'],
  (value, [ascii, indent, separators, sort]) => {
    const [itemSeparator, keySeparator] =
      separators == null
        ? [indent == null ? ', ' : ',', ': ']
        : Array.from(iterate(separators), (separator) => textOf(separator, 'a separator of tojson'));
    const width =
      typeof indent === 'string'
        ? indent
        : indent == null
          ? undefined
          : ' '.repeat(atMost(MAX_INDENT, integerOf(indent, 'indent'), 'the indent of tojson'));
    return bounded(
      toJson(value, { ensureAscii: isTrue(ascii), indent: width, itemSeparator, keySeparator, sortKeys: isTrue(sort) }),
    );
  },
);

const join = taking(['d', 'attribute'], (value, [separator = '', attribute], lookup) => {
  const items = Array.from(iterate(value), (item) => toText(attribute == null ? item : path(item, attribute, lookup)));
  return bounded(items.join(toText(separator)));
});

const indent = taking(['width', 'first', 'blank'], (value, [width = 4, first, blank]) => {
  const padding =
    typeof width === 'string'
      ? width
      : ' '.repeat(atMost(MAX_INDENT, integerOf(width, 'width'), 'the width of indent'));
  const lines = toText(value).split('\n');
  assertLength(lines.length * padding.length);
  const rest = lines.slice(1).map((line) => (line === '' && !isTrue(blank) ? line : padding + line));
  return bounded((isTrue(first) ? padding : '') + [lines[0], ...rest].join('\n'));
});

/** `a.b.0` step by step; `other` stands in for whatever is undefined on the way. */
function path(item: Value, attribute: Value, lookup: Lookup, other?: Value): Value {
  const parts = typeof attribute === 'number' ? [attribute] : textOf(attribute, 'the attribute').split('.');
  return parts.reduce<Value>((value, part) => {
    const key = typeof part === 'string' && /^\d+$/.test(part) ? Number(part) : part;
    return lookup.item(value, key) ?? other;
  }, item);
}

/** Texts compare without regard to case unless asked otherwise. */
function sortKey(value: Value, caseSensitive: Value): Value {
  return typeof value === 'string' && !isTrue(caseSensitive) ? value.toLowerCase() : value;
}

const sort = taking(
  ['reverse', 'case_sensitive', 'attribute'],
  (value, [reverse, caseSensitive, attribute], lookup) => {
    const keys = typeof attribute === 'string' ? attribute.split(',') : [attribute];
    const keyFor = (item: Value) => {
      const parts = keys.map((key) => sortKey(key == null ? item : path(item, key, lookup), caseSensitive));
      return parts.length === 1 ? parts[0] : parts;
    };
    return sorted(iterate(value), keyFor, isTrue(reverse));
  },
);

const dictsort = taking(['case_sensitive', 'by', 'reverse'], (value, [caseSensitive, by = 'key', reverse]) => {
  if (!(value instanceof Map)) return fail(`dictsort is given ${typeName(value)}; expected a dict`);
  const index = by === 'value' ? 1 : 0;
  return sorted(itemsOf(value), (pair) => sortKey((pair as Value[])[index], caseSensitive), isTrue(reverse));
});

/** `map('upper')` applies a filter, `map(attribute='name')` looks up an attribute. */
const map: Filter = (value, args, kwargs, lookup) => {
  const attribute = kwargs.get('attribute');
  if (attribute !== undefined) {
    const other = kwargs.get('default');
    return new Lazy(Array.from(iterate(value), (item) => path(item, attribute, lookup, other)));
  }
  const [name, ...rest] = args;
  const filter = textOf(name, 'the filter of map');
  return new Lazy(Array.from(iterate(value), (item) => lookup.filter(filter, item, rest, kwargs)));
};

/** `select`, `reject`: items that pass a test; with `byAttribute`, items an attribute of which does. */
function selecting(kept: boolean, byAttribute: boolean): Filter {
  return (value, args, _, lookup) => {
    const [name, ...rest] = byAttribute ? args.slice(1) : args;
    const test = name === undefined ? isTrue : testOf(textOf(name, 'the name of a test'));
    const subject = (item: Value) => (byAttribute ? path(item, args[0], lookup) : item);
    return new Lazy(Array.from(iterate(value)).filter((item) => test(subject(item), rest) === kept));
  };
}

const unique = taking(['case_sensitive', 'attribute'], (value, [caseSensitive, attribute], lookup) => {
  const seen: Value[] = [];
  const isFirst = (item: Value) => {
    const key = sortKey(attribute == null ? item : path(item, attribute, lookup), caseSensitive);
    if (contains(seen, key)) return false;
    seen.push(key);
    return true;
  };
  return new Lazy(Array.from(iterate(value)).filter(isFirst));
});

const groupby = taking(
  ['attribute', 'default', 'case_sensitive'],
  (value, [attribute, other, caseSensitive], lookup) => {
    const rawKey = (item: Value) => path(item, attribute, lookup, other);
    const groups: { key: Value; shown: Value; items: Value[] }[] = [];
    for (const item of sorted(iterate(value), (one) => sortKey(rawKey(one), caseSensitive), false)) {
      const key = sortKey(rawKey(item), caseSensitive);
      const last = groups.at(-1);
      if (last && equals(last.key, key)) last.items.push(item);
      else groups.push({ key, shown: rawKey(item), items: [item] });
    }
    return groups.map(({ shown, items }) => Tuple.of(shown, items));
  },
);

function extreme(sign: 1 | -1): Filter {
  return taking(['case_sensitive', 'attribute'], (value, [caseSensitive, attribute], lookup) => {
    const keyFor = (item: Value) => sortKey(attribute == null ? item : path(item, attribute, lookup), caseSensitive);
    return sorted(iterate(value), keyFor, sign < 0)[0];
  });
}

const batch = taking(['linecount', 'fill_with'], (value, [size, filler]) => {
  const width = Math.max(1, integerOf(size, 'linecount'));
  const items = [...iterate(value)];
  const rows: Value[] = [];
  for (let at = 0; at < items.length; at += width) rows.push(items.slice(at, at + width));
  const last = rows.at(-1) as Value[] | undefined;
  if (filler != null && last) {
    atMost(MAX_FILLED, width, 'the linecount of batch');
    while (last.length < width) last.push(filler);
  }
  return new Lazy(rows);
});

const slice = taking(['slices', 'fill_with'], (value, [count, filler]) => {
  const items = [...iterate(value)];
  const slices = Math.max(1, atMost(MAX_FILLED, integerOf(count, 'slices'), 'the slices of slice'));
  const each = Math.floor(items.length / slices);
  const longer = items.length % slices;
  return new Lazy(
    Array.from({ length: slices }, (_, i) => {
      const part = items.slice(i * each + Math.min(i, longer), (i + 1) * each + Math.min(i + 1, longer));
      return filler != null && i >= longer ? [...part, filler] : part;
    }),
  );
});

const truncate = taking(
  ['length', 'killwords', 'end', 'leeway'],
  (value, [most = 255, killwords, end = '...', leeway]) => {
    const chars = Array.from(toText(value));
    const ending = toText(end);
    const limit = integerOf(most, 'length');
    if (chars.length <= limit + integerOf(leeway ?? undefined, 'leeway', 5)) return toText(value);
    const cut = chars.slice(0, limit - lengthOf(ending)).join('');
    if (isTrue(killwords)) return cut + ending;
    const blank = cut.lastIndexOf(' ');
    return (blank < 0 ? cut : cut.slice(0, blank)) + ending;
  },
);

const round = taking(['precision', 'method'], (value, [precision = 0, method = 'common']) => {
  const number = numberOf(value) ?? fail(`round is given ${typeName(value)}`);
  const scale = 10 ** integerOf(precision, 'precision');
  const scaled = number * scale;
  if (method === 'ceil') return new PyFloat(Math.ceil(scaled) / scale);
  if (method === 'floor') return new PyFloat(Math.floor(scaled) / scale);
  // Python rounds halves to the even neighbour.
  const floor = Math.floor(scaled);
  const isHalf = scaled - floor === 0.5;
  const rounded = (isHalf ? floor + (floor & 1) : Math.round(scaled)) / scale;
  return typeof value === 'number' ? rounded : new PyFloat(rounded);
});

const int = taking(['default', 'base'], (value, [other = 0, base = 10]) => {
  const number = numberOf(value);
  if (number !== undefined) return Number.isFinite(number) ? Math.trunc(number) : other;
  const text = typeof value === 'string' ? stripText(value, undefined, 'both').replace(/(\d)_(?=\d)/g, '$1') : '';
  if (base !== 10) {
    const parsed = Number.parseInt(text.replace(/^0[xob]/i, ''), integerOf(base, 'base'));
    return Number.isNaN(parsed) ? other : parsed;
  }
  if (/^[-+]?\d+$/.test(text)) return Number(text);
  return /^[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?$/.test(text) ? Math.trunc(Number(text)) : other;
});

const float = taking(['default'], (value, [other = new PyFloat(0)]) => {
  const number = numberOf(value);
  if (number !== undefined) return new PyFloat(number);
  const text = typeof value === 'string' ? stripText(value, undefined, 'both') : '';
  return /^[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?$/.test(text) ? new PyFloat(Number(text)) : other;
});

const sum = taking(['attribute', 'start'], (value, [attribute, start = 0], lookup) => {
  const items = Array.from(iterate(value), (item) => (attribute == null ? item : path(item, attribute, lookup)));
  return items.reduce((total, item) => lookup.add(total, item), start);
});

const HTML: ReadonlyMap<string, string> = new Map([
  ['&', '&amp;'],
  ['<', '&lt;'],
  ['>', '&gt;'],
  ["'", '&#39;'],
  ['"', '&#34;'],
]);

const escapeHtml: Filter = (value) => toText(value).replace(/[&<>'"]/g, (char) => HTML.get(char)!);

const FILTERS: ReadonlyMap<string, Filter> = new Map<string, Filter>([
  [TUPLE_FILTER, (value) => Tuple.from(iterate(value))],
  [
    'abs',
    (value) => {
      const number = numberOf(value) ?? fail(`abs is given ${typeName(value)}`);
      return value instanceof PyFloat ? new PyFloat(Math.abs(number)) : Math.abs(number);
    },
  ],
  [
    'attr',
    (value, [name], _, lookup) =>
      value instanceof Map ? undefined : lookup.attribute(value, textOf(name, 'the name of attr')),
  ],
  ['batch', batch],
  ['capitalize', (value) => capitalize(toText(value))],
  ['center', taking(['width'], (value, [width = 80]) => center(toText(value), integerOf(width, 'width')))],
  ['count', length],
  ['d', fallback],
  ['default', fallback],
  ['dictsort', dictsort],
  ['e', escapeHtml],
  ['escape', escapeHtml],
  ['first', (value) => firstOf(iterate(value))],
  ['float', float],
  ['forceescape', escapeHtml],
  [
    'format',
    (value, args, kwargs) => formatPercent(toText(value), kwargs.size > 0 ? new Map(kwargs) : Tuple.from(args)),
  ],
  ['groupby', groupby],
  ['indent', indent],
  ['int', int],
  [
    'items',
    (value) =>
      value instanceof Map ? itemsOf(value) : value === undefined ? [] : fail(`items is given ${typeName(value)}`),
  ],
  ['join', join],
  ['last', (value) => [...iterate(value)].at(-1)],
  ['length', length],
  ['list', (value) => Array.from(iterate(value))],
  ['lower', (value) => toText(value).toLowerCase()],
  ['map', map],
  ['max', extreme(-1)],
  ['min', extreme(1)],
  ['reject', selecting(false, false)],
  ['rejectattr', selecting(false, true)],
  [
    'replace',
    taking(['old', 'new', 'count'], (value, [old, replacement, count]) =>
      replaceText(toText(value), toText(old), toText(replacement), integerOf(count ?? undefined, 'count', -1)),
    ),
  ],
  [
    'reverse',
    (value) =>
      typeof value === 'string' ? Array.from(value).reverse().join('') : new Lazy([...iterate(value)].reverse()),
  ],
  ['round', round],
  ['safe', (value) => toText(value)],
  ['select', selecting(true, false)],
  ['selectattr', selecting(true, true)],
  ['slice', slice],
  ['sort', sort],
  ['string', (value) => toText(value)],
  ['sum', sum],
  // Unlike the method `title`, the filter keeps the marks within a word and knows `don't` as one.
  [
    'title',
    (value) =>
      toText(value).replace(/[^-\s({[<]+/g, (word) => word.charAt(0).toUpperCase() + word.slice(1).toLowerCase()),
  ],
  ['tojson', tojson],
  ['trim', taking(['chars'], (value, [chars]) => stripText(toText(value), chars, 'both'))],
  ['truncate', truncate],
  ['unique', unique],
  ['upper', (value) => toText(value).toUpperCase()],
  ['urlencode', (value) => encodeURIComponent(toText(value)).replaceAll('%2F', '/')],
  ['wordcount', (value) => (toText(value).match(/[\p{L}\p{N}_]+/gu) ?? []).length],
]);

function firstOf(items: Iterable<Value>): Value {
  for (const item of items) return item;
  return undefined;
}

/** Used by dict literals and `dict()`. */
export function dictOf(pairs: Iterable<readonly [Value, Value]>): Map<Value, Value> {
  const dict = new Map<Value, Value>();
  for (const [key, value] of pairs) dict.set(keyOf(key), value);
  return dict;
}
