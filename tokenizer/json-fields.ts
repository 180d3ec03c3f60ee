/**
 * Reads typed members of parsed JSON. Files are hostile until checked, so every member of `tokenizer.json` goes through
 * here; `where` is the path that an error message shows, such as `tokenizer.json: pre_tokenizer`.
 */

import { TokenizerError } from './errors.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

/** @throws TokenizerError when `value` is no object */
export function objectOf(value: unknown, where: string): JsonObject {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw mismatch(where, 'an object', value);
  return value as JsonObject;
}

/** @throws TokenizerError when `value` is no array */
export function arrayOf(value: unknown, where: string): readonly unknown[] {
  if (!Array.isArray(value)) throw mismatch(where, 'an array', value);
  return value;
}

/** @throws TokenizerError when `value` is no string */
export function stringOf(value: unknown, where: string): string {
  if (typeof value !== 'string') throw mismatch(where, 'a string', value);
  return value;
}

/** The string `fields[name]`; `fallback` when the member is absent or null. */
export function stringField(fields: JsonObject, name: string, where: string, fallback?: string): string {
  const value = fields[name] ?? fallback;
  return stringOf(value, `${where}.${name}`);
}

/** The boolean `fields[name]`; `fallback` when the member is absent or null. */
export function booleanField(fields: JsonObject, name: string, where: string, fallback: boolean): boolean {
  const value = fields[name] ?? fallback;
  if (typeof value !== 'boolean') throw mismatch(`${where}.${name}`, 'true or false', value);
  return value;
}

/** The integer `fields[name]` in [0, `most`]; `fallback` when the member is absent or null. */
export function countField(fields: JsonObject, name: string, where: string, most: number, fallback?: number): number {
  return countOf(fields[name] ?? fallback, `${where}.${name}`, most);
}

/** @throws TokenizerError when `value` is no integer in [0, `most`] */
export function countOf(value: unknown, where: string, most: number): number {
  if (typeof value !== 'number' || !Number.isInteger(value) || value < 0 || value > most) {
    throw mismatch(where, `an integer from 0 to ${most}`, value);
  }
  return value;
}

/** The error for a component whose `type` this library does not know. */
export function unknownType(where: string, type: unknown, supported: readonly string[]): TokenizerError {
  return new TokenizerError(`${where} has the type ${show(type)}; supported: ${supported.join(', ')}`);
}

function mismatch(where: string, expected: string, found: unknown): TokenizerError {
  return new TokenizerError(`${where} is ${show(found)}; expected ${expected}`);
}

function show(value: unknown): string {
  if (value === undefined) return 'missing';
  if (value === null || typeof value === 'number' || typeof value === 'boolean') return String(value);
  if (typeof value === 'string') return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value);
  return Array.isArray(value) ? 'an array' : 'an object';
}
