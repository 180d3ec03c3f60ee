/**
 * The kinds of fields that requests have. Each carries what it is in words and as JSON Schema, so that one definition gives
 * the validation, the TypeScript type and the published description.
 */

import type { z } from 'zod';
import {
  optional,
  readBigInt,
  readBoolean,
  readInteger,
  readList,
  readNumber,
  readObject,
  readString,
  refuse,
  refuseBecause,
} from './coercion.ts';

const MAX_LABEL_LENGTH = 256;

/** What JSON Schema says of a field. */
export type FieldSchema = Readonly<Record<string, unknown>>;

/** An optional field that `read` reads; null is the same as not given. */
export function field<In, Out>(description: string, schema: FieldSchema, read: (value: unknown) => Out) {
  return describe(optional<In, Out>(read), description, schema);
}

export function describe<T extends z.ZodType>(type: T, description: string, schema: FieldSchema = {}): T {
  return type.meta({ description, ...schema });
}

export const number = (description: string, schema: FieldSchema = {}) =>
  field<number, number>(description, { type: 'number', ...schema }, readNumber);

export const integer = (description: string, schema: FieldSchema = {}) =>
  field<number, number>(description, { type: 'integer', ...schema }, readInteger);

export const bigInteger = (description: string) =>
  field<number | bigint, bigint>(description, { type: 'integer', format: 'int64' }, readBigInt);

export const boolean = (description: string, schema: FieldSchema = {}) =>
  field<boolean, boolean>(description, { type: 'boolean', ...schema }, readBoolean);

export const string = (description: string) => field<string, string>(description, { type: 'string' }, readString);

/** A short text that is not read by anybody. */
export const label = (description: string) =>
  field<string, string>(description, { type: 'string', maxLength: MAX_LABEL_LENGTH }, readLabel);

/** A label that must say something. */
export const name = (description: string) =>
  field<string, string>(description, { type: 'string', minLength: 1, maxLength: MAX_LABEL_LENGTH }, (value) => {
    const text = readLabel(value);
    return text === '' ? refuse('a string that is not empty', value) : text;
  });

export const strings = (description: string, maxLength: number) =>
  field<readonly string[], readonly string[]>(description, { type: 'array', items: { type: 'string' } }, (value) =>
    readList(value, maxLength, 'a list of strings').map(readString),
  );

export const tokenIds = (description: string, maxLength: number) =>
  field<readonly number[], readonly number[]>(description, { type: 'array', items: { type: 'integer' } }, (value) =>
    readList(value, maxLength, 'a list of token ids').map(readInteger),
  );

export const object = (description: string) =>
  field<Readonly<Record<string, unknown>>, Readonly<Record<string, unknown>>>(
    description,
    { type: 'object' },
    readJsonObject,
  );

/** One of some words. */
export const oneOf = <const T extends string>(description: string, words: readonly T[]) =>
  field<T, T>(description, { enum: words }, (value) => readWord(words, value));

export function readWord<T extends string>(words: readonly T[], value: unknown): T {
  const found = words.find((word) => word === value);
  return found ?? refuse(words.map((word) => JSON.stringify(word)).join(', '), value);
}

function readLabel(value: unknown): string {
  const text = readString(value);
  if (text.length <= MAX_LABEL_LENGTH) return text;
  return refuseBecause(`must have at most ${MAX_LABEL_LENGTH} characters, got ${text.length}`);
}

const MAX_JSON_DEPTH = 64;

/** An object that is safe to walk through. */
export function readJsonObject(value: unknown): Readonly<Record<string, unknown>> {
  const result = readObject(value);
  if (!isShallow(result, MAX_JSON_DEPTH)) refuseBecause(`must not be nested deeper than ${MAX_JSON_DEPTH} levels`);
  return result;
}

/** What a JSON text stands for; `expected` is in words what it should have been. */
export function readJsonText(text: string, expected: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return refuse(expected, text);
  }
}

/** An object, or its JSON text. */
export function readObjectOrText(value: unknown): Readonly<Record<string, unknown>> {
  return readJsonObject(typeof value === 'string' ? readJsonText(value, 'JSON') : value);
}

function isShallow(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return depth > 0 && Object.values(value).every((member) => isShallow(member, depth - 1));
}
