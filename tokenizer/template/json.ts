/** Python's `json.dumps`, which the `tojson` filter of chat templates is. */

import {
  Attributes,
  bounded,
  Callable,
  compare,
  fail,
  floatText,
  integerText,
  Lazy,
  PyFloat,
  typeName,
  type Value,
} from './values.ts';
import { charge, TEXT_PER_UNIT } from './work.ts';

export interface JsonStyle {
  readonly ensureAscii: boolean;
  /** What one level of indentation is; undefined writes everything on one line. */
  readonly indent: string | undefined;
  readonly itemSeparator: string;
  readonly keySeparator: string;
  readonly sortKeys: boolean;
}

/** @throws TokenizerError for values that JSON cannot hold */
export function toJson(value: Value, style: JsonStyle, newline = '\n'): string {
  charge(1);
  if (value === null) return 'null';
  if (typeof value === 'boolean') return String(value);
  if (typeof value === 'number') return integerText(value);
  if (value instanceof PyFloat) return jsonFloat(value.value);
  if (typeof value === 'string') return jsonText(value, style);
  if (value === undefined || value instanceof Lazy || value instanceof Callable || value instanceof Attributes) {
    return fail(`tojson is given a value of type ${typeName(value)}`);
  }
  const inner = style.indent === undefined ? newline : newline + style.indent;
  const [opening, closing, parts] = Array.isArray(value)
    ? ['[', ']', value.map((item) => toJson(item, style, inner))]
    : ['{', '}', members(value, style, inner)];
  if (parts.length === 0) return opening + closing;
  if (style.indent === undefined) return bounded(opening + parts.join(style.itemSeparator) + closing);
  return bounded(opening + inner + parts.join(style.itemSeparator + inner) + newline + closing);
}

function members(dict: ReadonlyMap<Value, Value>, style: JsonStyle, newline: string): string[] {
  const entries = [...dict];
  if (style.sortKeys) entries.sort(([a], [b]) => compare(a, b));
  return entries.map(
    ([key, value]) => jsonText(keyText(key), style) + style.keySeparator + toJson(value, style, newline),
  );
}

function keyText(key: Value): string {
  if (typeof key === 'string') return key;
  if (typeof key === 'number') return integerText(key);
  return key === null ? 'null' : fail(`tojson is given a dict with a key of type ${typeName(key)}`);
}

function jsonFloat(value: number): string {
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? 'Infinity' : '-Infinity';
  return floatText(value);
}

function jsonText(text: string, { ensureAscii }: JsonStyle): string {
  charge(text.length / TEXT_PER_UNIT);
  const json = JSON.stringify(text);
  if (!ensureAscii) return json;
  return json.replace(/[\x7F-\uFFFF]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}
