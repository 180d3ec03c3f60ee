/** `minLength`, `maxLength`, `pattern` and `format`. */

import { anyChar, repeat } from '../ir.ts';
import type { Place } from './document.ts';
import { formatRegex, integerFormat } from './formats.ts';
import type { JsonObject } from './json-text.ts';
import type { SchemaReader } from './reader.ts';
import type { Value } from './values.ts';

/** The sets of strings that a schema's keywords describe, and the numbers of `format: int32`. */
export function readStringKeywords(reader: SchemaReader, place: Place, schema: JsonObject): Value[] {
  const { values } = reader;
  const found: Value[] = [];

  const min = reader.count(place, schema, 'minLength') ?? 0;
  const max = reader.count(place, schema, 'maxLength') ?? Number.POSITIVE_INFINITY;
  if (min > 0 || max < Number.POSITIVE_INFINITY) found.push(values.string(repeat(anyChar, min, max)));

  const pattern = schema.get('pattern');
  if (pattern !== undefined) {
    if (typeof pattern !== 'string') reader.fail(place, ['pattern'], pattern, 'a regular expression');
    found.push(values.string(reader.pattern(place, pattern, 'pattern')));
  }

  const format = schema.get('format');
  if (format !== undefined) {
    if (typeof format !== 'string') reader.fail(place, ['format'], format, 'the name of a format');
    const regex = formatRegex(format);
    if (regex) found.push(values.string(regex));
    const integers = integerFormat(format);
    if (integers) found.push(...integers.map((numbers) => values.number(numbers)));
  }
  return found;
}
