/** Python's two ways to fill values into a text: `'%s' % x` and `'{}'.format(x)`, with their common options. */

import {
  assertLength,
  atMost,
  fail,
  floatText,
  integerText,
  type Kwargs,
  MAX_PADDING,
  numberOf,
  PyFloat,
  repr,
  Tuple,
  toText,
  typeName,
  type Value,
} from './values.ts';

/** Digits behind the point that JavaScript can write. */
const MAX_PRECISION = 100;

/** `text % values`: a tuple fills one directive after the other, a dict those with a `(name)`. */
export function formatPercent(text: string, values: Value): string {
  const list = values instanceof Tuple ? values : [values];
  let used = 0;
  const filled = replaceBounded(
    text,
    /%(?:\((\w+)\))?([-+ 0#]*)(\d*)(?:\.(\d+))?([a-zA-Z%])/g,
    (_, name: string | undefined, flags: string, width: string, precision: string | undefined, kind: string) => {
      if (kind === '%') return '%';
      if (name === undefined && used >= list.length) fail('a format has more directives than values');
      const value =
        name === undefined
          ? list[used++]
          : values instanceof Map
            ? values.get(name)
            : fail('a format names a value without a dict');
      const numeric = 'dixXofeEgG'.includes(kind) || undefined;
      const body =
        kind === 'r'
          ? repr(value)
          : numeric
            ? numberText(value, kind, precision, flags.includes('+'))
            : shorten(toText(value), precision);
      return align(body, flags.includes('-') ? '<' : '>', flags.includes('0') && numeric ? '0' : ' ', Number(width));
    },
  );
  if (used < list.length && !(values instanceof Map)) fail('a format has fewer directives than values');
  return filled;
}

/** `text.format(...)`: `{}`, `{0}`, `{name}`, each with `!r` or a `:` and a width, fill, precision and kind. */
export function formatBraces(text: string, args: readonly Value[], kwargs: Kwargs): string {
  let next = 0;
  return replaceBounded(
    text,
    /\{\{|\}\}|\{(\w*)(?:!([rs]))?(?::(?:([^{}])?([<>^]))?([+]?)(0?)(\d*)(,?)(?:\.(\d+))?([a-zA-Z%]?))?\}/g,
    (
      written,
      name: string,
      conversion: string | undefined,
      fill: string | undefined,
      side: string | undefined,
      sign: string | undefined,
      zero: string | undefined,
      width: string | undefined,
      comma: string | undefined,
      precision: string | undefined,
      kind: string | undefined,
    ) => {
      if (written === '{{' || written === '}}') return written[0];
      const value = name === '' ? args[next++] : /^\d+$/.test(name) ? args[Number(name)] : kwargs.get(name);
      if (value === undefined) fail(`format lacks a value for ${written}`);
      const asNumber = conversion === undefined && numberOf(value) !== undefined && typeof value !== 'boolean';
      const numeric = asNumber && (kind || precision || sign || comma);
      let body = numeric
        ? numberText(value, kind || (value instanceof PyFloat ? 'g' : 'd'), precision, sign === '+')
        : shorten(conversion === 'r' ? repr(value) : toText(value), precision);
      if (comma) body = body.replace(/^([-+]?)(\d+)/, (_, s, digits) => s + digits.replace(/\B(?=(?:\d{3})+$)/g, ','));
      return align(body, side ?? (asNumber ? '>' : '<'), fill ?? (zero ? '0' : ' '), Number(width ?? 0));
    },
  );
}

/** `text.replace(pattern, part)`. @throws TokenizerError when the parts are too long together */
function replaceBounded(text: string, pattern: RegExp, part: (...groups: string[]) => string): string {
  let length = 0;
  return text.replace(pattern, (...groups: string[]) => {
    const replaced = part(...groups);
    length += replaced.length;
    assertLength(length);
    return replaced;
  });
}

function numberText(value: Value, kind: string, precision: string | undefined, plus: boolean): string {
  const number = numberOf(value);
  if (number === undefined) return fail(`a format wants a number and is given ${typeName(value)}`);
  const digits = atMost(MAX_PRECISION, Number(precision ?? 6), 'the precision of a format');
  const sign = plus && number >= 0 ? '+' : '';
  switch (kind) {
    case 'd':
    case 'i':
      return sign + integerText(Math.trunc(number));
    case 'x':
      return sign + Math.trunc(number).toString(16);
    case 'X':
      return sign + Math.trunc(number).toString(16).toUpperCase();
    case 'o':
      return sign + Math.trunc(number).toString(8);
    case 'b':
      return sign + Math.trunc(number).toString(2);
    case 'f':
    case 'F':
      return sign + number.toFixed(digits);
    case '%':
      return `${sign}${(number * 100).toFixed(digits)}%`;
    case 'e':
    case 'E': {
      const text = number.toExponential(digits).replace(/e([-+])(\d)$/, 'e$10$2');
      return sign + (kind === 'E' ? text.toUpperCase() : text);
    }
    case 'g':
    case 'G':
      return sign + floatText(Number(number.toPrecision(Math.max(1, digits)))).replace(/\.0$/, '');
  }
  return fail(`a format has the unknown kind '${kind}'`);
}

function shorten(text: string, precision: string | undefined): string {
  return precision === undefined ? text : Array.from(text).slice(0, Number(precision)).join('');
}

function align(text: string, side: string, fill: string, width: number): string {
  const room = atMost(MAX_PADDING, width, 'the width of a format') - Array.from(text).length;
  if (room <= 0) return text;
  if (side === '<') return text + fill.repeat(room);
  if (side === '^') return fill.repeat(Math.floor(room / 2)) + text + fill.repeat(Math.ceil(room / 2));
  const sign = fill === '0' && /^[-+]/.test(text) ? text[0] : '';
  return sign + fill.repeat(room) + text.slice(sign.length);
}
