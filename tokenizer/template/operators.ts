/** Python's binary and unary operators on numbers, texts and lists. */

import { formatPercent } from './format.ts';
import {
  bounded,
  compare,
  fail,
  MAX_TEXT_LENGTH,
  numberOf,
  PyFloat,
  Tuple,
  toText,
  typeName,
  type Value,
} from './values.ts';

/** @throws TokenizerError for values that the operator does not take */
export function binary(operator: string, left: Value, right: Value): Value {
  switch (operator) {
    case '~':
      return bounded(toText(left) + toText(right));
    case '<':
      return compare(left, right) < 0;
    case '<=':
      return compare(left, right) <= 0;
    case '>':
      return compare(left, right) > 0;
    case '>=':
      return compare(left, right) >= 0;
  }
  if (typeof left === 'string') {
    if (operator === '+' && typeof right === 'string') return bounded(left + right);
    if (operator === '%') return bounded(formatPercent(left, right));
  }
  if (operator === '+' && Array.isArray(left) && Array.isArray(right)) {
    const isTuple = left instanceof Tuple;
    if (isTuple === right instanceof Tuple) return isTuple ? Tuple.from([...left, ...right]) : [...left, ...right];
  }
  if (operator === '*') {
    const repeated = repeat(left, right) ?? repeat(right, left);
    if (repeated !== undefined) return repeated;
  }
  const a = numberOf(left);
  const b = numberOf(right);
  if (a === undefined || b === undefined) {
    return fail(`uses ${operator} on ${typeName(left)} and ${typeName(right)}`);
  }
  const isFloat = left instanceof PyFloat || right instanceof PyFloat;
  return arithmetic(operator, a, b, isFloat);
}

function arithmetic(operator: string, a: number, b: number, isFloat: boolean): Value {
  const typed = (result: number) => (isFloat ? new PyFloat(result) : result);
  switch (operator) {
    case '+':
      return typed(a + b);
    case '-':
      return typed(a - b);
    case '*':
      return typed(a * b);
    case '**': {
      const power = a ** b;
      return isFloat || b < 0
        ? new PyFloat(power)
        : Number.isFinite(power)
          ? power
          : fail('raises to too high a power');
    }
  }
  if (b === 0) return fail('divides by zero');
  switch (operator) {
    case '/':
      return new PyFloat(a / b);
    case '//':
      return typed(Math.floor(a / b));
    case '%':
      // The sign of the result is that of the divisor.
      return typed(((a % b) + b) % b);
  }
  return fail(`has the unknown operator ${operator}`);
}

/** `-x` and `+x`. */
export function negative(operator: string, value: Value): Value {
  const number = numberOf(value) ?? fail(`uses ${operator} on ${typeName(value)}`);
  const result = operator === '-' ? -number : number;
  return value instanceof PyFloat ? new PyFloat(result) : result + 0;
}

/** A text or list times an integer. */
function repeat(items: Value, times: Value): Value {
  if (typeof times !== 'number' && typeof times !== 'boolean') return undefined;
  if (typeof items !== 'string' && !Array.isArray(items)) return undefined;
  const count = Math.max(0, Number(times));
  if (items.length * count > MAX_TEXT_LENGTH) fail('repeats a value too many times');
  if (typeof items === 'string') return items.repeat(count);
  const repeated = Array.from({ length: count }, () => items).flat(1);
  return items instanceof Tuple ? Tuple.from(repeated) : repeated;
}
