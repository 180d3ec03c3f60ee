/** JSON texts of values that keep the order of their keys. */

import { formatDecimal } from '../../grammar/json-schema/decimal.ts';
import { isDecimal, type Json } from '../../grammar/json-schema/json-text.ts';

/** The shortest text of a value. */
export function writeJson(value: Json): string {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return JSON.stringify(value);
  if (isDecimal(value)) return formatDecimal(value);
  if (Array.isArray(value)) return `[${value.map(writeJson).join()}]`;
  return `{${[...value].map(([key, member]) => `${JSON.stringify(key)}:${writeJson(member)}`).join()}}`;
}
