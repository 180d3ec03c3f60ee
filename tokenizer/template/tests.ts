/** Jinja's tests: what may stand after `is`. */

import { Callable, compare, contains, equals, fail, Lazy, numberOf, PyFloat, toText, type Value } from './values.ts';

type Test = (value: Value, args: readonly Value[]) => boolean;

/** @throws TokenizerError for a test that does not exist */
export function testOf(name: string): Test {
  return TESTS.get(name) ?? fail(`there is no test named '${name}'`);
}

function integer(value: Value, name: string): number {
  return numberOf(value) ?? fail(`the test '${name}' wants a number`);
}

const isEqual: Test = (value, [other]) => equals(value, other);
const isUnequal: Test = (value, [other]) => !equals(value, other);
const isLess: Test = (value, [other]) => compare(value, other) < 0;
const isAtMost: Test = (value, [other]) => compare(value, other) <= 0;
const isGreater: Test = (value, [other]) => compare(value, other) > 0;
const isAtLeast: Test = (value, [other]) => compare(value, other) >= 0;

const TESTS: ReadonlyMap<string, Test> = new Map<string, Test>([
  ['defined', (value) => value !== undefined],
  ['undefined', (value) => value === undefined],
  ['none', (value) => value === null],
  ['boolean', (value) => typeof value === 'boolean'],
  ['true', (value) => value === true],
  ['false', (value) => value === false],
  ['integer', (value) => typeof value === 'number'],
  ['float', (value) => value instanceof PyFloat],
  ['number', (value) => numberOf(value) !== undefined],
  ['string', (value) => typeof value === 'string'],
  ['mapping', (value) => value instanceof Map],
  ['sequence', (value) => typeof value === 'string' || Array.isArray(value) || value instanceof Map],
  [
    'iterable',
    (value) =>
      value === undefined ||
      typeof value === 'string' ||
      Array.isArray(value) ||
      value instanceof Map ||
      value instanceof Lazy,
  ],
  ['callable', (value) => value instanceof Callable],
  ['sameas', (value, [other]) => value === other],
  ['escaped', () => false],
  ['lower', (value) => /\p{L}/u.test(toText(value)) && toText(value) === toText(value).toLowerCase()],
  ['upper', (value) => /\p{L}/u.test(toText(value)) && toText(value) === toText(value).toUpperCase()],
  ['odd', (value) => Math.abs(integer(value, 'odd')) % 2 === 1],
  ['even', (value) => integer(value, 'even') % 2 === 0],
  ['divisibleby', (value, [by]) => integer(value, 'divisibleby') % integer(by, 'divisibleby') === 0],
  ['in', (value, [container]) => contains(container, value)],
  ['eq', isEqual],
  ['equalto', isEqual],
  ['==', isEqual],
  ['ne', isUnequal],
  ['!=', isUnequal],
  ['lt', isLess],
  ['lessthan', isLess],
  ['<', isLess],
  ['le', isAtMost],
  ['<=', isAtMost],
  ['gt', isGreater],
  ['greaterthan', isGreater],
  ['>', isGreater],
  ['ge', isAtLeast],
  ['>=', isAtLeast],
]);
