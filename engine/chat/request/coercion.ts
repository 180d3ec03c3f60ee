/**
 * What the API takes for a number, an integer, a boolean, a string: the lenient readings that hand-written clients rely on
 * (`"0.5"`, `2.0`, `"yes"`), by explicit rules. Null is the same as not given.
 */

import { z } from 'zod';

/** Thrown inside a reading; becomes an issue of the schema at the field's path. */
class Refusal extends Error {}

/** Refuses a value inside a reading: `rule` says what it must be. */
export function refuse(rule: string, value: unknown): never {
  throw new Refusal(`must be ${rule}, got ${shown(value)}`);
}

/** Refuses a value with a sentence of its own, which follows the field's name. */
export function refuseBecause(sentence: string): never {
  throw new Refusal(sentence);
}

/** A required field that is read by `read`; `In` is what a typed caller may give. */
export function required<In, Out>(read: (value: unknown) => Out) {
  return z.custom<In>().transform((value: unknown, context): Out => {
    try {
      return read(value);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      context.addIssue({ code: 'custom', message: error.message });
      return z.NEVER;
    }
  });
}

/** A field that may be left out or null. */
export function optional<In, Out>(read: (value: unknown) => Out) {
  return required<In | null, Out | undefined>((value) => (isGiven(value) ? read(value) : undefined)).optional();
}

/** What `read` makes of a value, or undefined where it refuses it. */
export function attempt<Out>(read: (value: unknown) => Out, value: unknown): Out | undefined {
  try {
    return read(value);
  } catch (error) {
    if (error instanceof Refusal) return undefined;
    throw error;
  }
}

export function isGiven(value: unknown): boolean {
  return value !== undefined && value !== null;
}

// Longer numbers are refused before the patterns see them.
const MAX_NUMERAL_LENGTH = 100;
const NUMBER = /^\s*[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?\s*$/i;
const INTEGER = /^\s*[+-]?\d+(\.0*)?\s*$/;

export function readNumber(value: unknown): number {
  const number =
    typeof value === 'string' && value.length < MAX_NUMERAL_LENGTH && NUMBER.test(value) ? Number(value) : value;
  if (typeof number !== 'number' || !Number.isFinite(number)) refuse('a number', value);
  return number;
}

export function readInteger(value: unknown): number {
  const integer = Number(readBigInt(value));
  if (!Number.isSafeInteger(integer)) refuse('an integer below 2^53', value);
  return integer;
}

/** An integer of any size: `1e3` and `2.0` are integers in JSON, and so are `"2"`, `"2.0"` and `true` here. */
export function readBigInt(value: unknown): bigint {
  if (typeof value === 'bigint') return value;
  if (typeof value === 'boolean') return value ? 1n : 0n;
  if (typeof value === 'number' && Number.isInteger(value)) return BigInt(value);
  if (typeof value === 'string' && value.length < MAX_NUMERAL_LENGTH && INTEGER.test(value)) {
    return BigInt(value.trim().replace(/\..*|^\+/g, ''));
  }
  return refuse('an integer', value);
}

const TRUE_WORDS: readonly unknown[] = ['true', '1', 'yes', 'on', 't', 'y'];
const FALSE_WORDS: readonly unknown[] = ['false', '0', 'no', 'off', 'f', 'n'];

export function readBoolean(value: unknown): boolean {
  if (typeof value === 'boolean') return value;
  const word = typeof value === 'string' ? value.toLowerCase() : typeof value === 'number' ? String(value) : value;
  if (TRUE_WORDS.includes(word)) return true;
  if (FALSE_WORDS.includes(word)) return false;
  return refuse('true or false', value);
}

export function readString(value: unknown): string {
  if (typeof value !== 'string') refuse('a string', value);
  return value;
}

export function readObject(value: unknown): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) refuse('an object', value);
  return value as Record<string, unknown>;
}

/** The length is checked before anything goes through the entries. */
export function readList(value: unknown, maxLength: number, rule = 'a list'): readonly unknown[] {
  if (!Array.isArray(value)) refuse(rule, value);
  if (value.length > maxLength) refuseBecause(`must have at most ${maxLength} entries, got ${value.length}`);
  return value;
}

/** A value as it may stand in a message: escaped and at most 100 characters. */
export function shown(value: unknown): string {
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'object' && value !== null) return 'an object';
  const text = typeof value === 'string' ? JSON.stringify(value.slice(0, 101)) : String(value);
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}
