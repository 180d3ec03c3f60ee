/** `minimum`, `maximum`, their exclusive forms, and `multipleOf`. */

import { GrammarError } from '../errors.ts';
import type { Decimal } from './decimal.ts';
import type { Place } from './document.ts';
import { isDecimal, type JsonObject } from './json-text.ts';
import { atLeast, atMost, digitCount, multiplesOf } from './number-languages.ts';
import type { SchemaReader } from './reader.ts';
import type { Value } from './values.ts';

/** The sets of numbers that a schema's keywords describe. */
export function readNumberKeywords(reader: SchemaReader, place: Place, schema: JsonObject): Value[] {
  const found: Value[] = [];

  function bound(keyword: string): Decimal | undefined {
    const argument = schema.get(keyword);
    if (argument === undefined) return undefined;
    if (!isDecimal(argument)) reader.fail(place, [keyword], argument, 'a number');
    return argument;
  }

  function addBound(value: Decimal, language: typeof atLeast, strict: boolean): void {
    const numbers = { regex: language(value, strict), digits: digitCount(value), integers: false };
    found.push(reader.values.number(numbers));
  }

  for (const [keyword, exclusiveKeyword, language] of [
    ['minimum', 'exclusiveMinimum', atLeast],
    ['maximum', 'exclusiveMaximum', atMost],
  ] as const) {
    const value = bound(keyword);
    const exclusive = schema.get(exclusiveKeyword);
    const isFlag = typeof exclusive === 'boolean' && place.draft !== '2020-12';
    if (value) addBound(value, language, isFlag && exclusive);
    if (!isFlag) {
      const strictBound = bound(exclusiveKeyword);
      if (strictBound) addBound(strictBound, language, true);
    }
  }

  const divisor = bound('multipleOf') ?? (place.draft === '2020-12' ? undefined : bound('divisibleBy'));
  if (divisor) {
    const keyword = schema.has('multipleOf') ? 'multipleOf' : 'divisibleBy';
    if (divisor.units <= 0n) reader.fail(place, [keyword], schema.get(keyword)!, 'a number above 0');
    try {
      found.push(
        reader.values.number({
          regex: multiplesOf(divisor),
          digits: digitCount(divisor),
          integers: divisor.scale === 0,
        }),
      );
    } catch (error) {
      throw new GrammarError(`${place.pointer}/${keyword}: ${(error as Error).message}`);
    }
  }
  return found;
}
