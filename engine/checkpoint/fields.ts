/** Typed, range-checked access to the members of a JSON object from an untrusted file. */

import { CheckpointError } from '../errors.ts';
import { isJsonObject, parseJsonObject, show } from './json.ts';
import { type ModelSource, readText } from './model-source.ts';

/** Largest configuration file that is read. */
const MAX_CONFIG_BYTES = 4 * 2 ** 20;

/**
 * The members of a JSON file that holds one object.
 * @throws CheckpointError when there is no such file, it is over 4 MiB, or it is not an object.
 */
export async function readFields(source: ModelSource, file: string): Promise<Fields> {
  return new Fields(file, parseJsonObject(file, await readText(source, file, MAX_CONFIG_BYTES)));
}

/** A range of allowed numbers, both ends included. */
export interface Range {
  readonly min: number;
  readonly max: number;
}

/**
 * The members of one object. A member that is null counts as absent, as it does for the libraries that write these
 * files. Every method throws a CheckpointError that names file, member, value and what was expected.
 */
export class Fields {
  readonly file: string;
  readonly #members: ReadonlyMap<string, unknown>;
  readonly #path: string;

  /** `path` stands before member names in messages: `rope_scaling.` for the members of that object. */
  constructor(file: string, object: Record<string, unknown>, path = '') {
    this.file = file;
    this.#members = new Map(Object.entries(object));
    this.#path = path;
  }

  /** True when the member is there, be it null. */
  mentions(name: string): boolean {
    return this.#members.has(name);
  }

  has(name: string): boolean {
    return (this.#members.get(name) ?? null) !== null;
  }

  /** The member as it is in the file. */
  value(name: string): unknown {
    return this.#members.get(name);
  }

  /** The same object with `members` instead of its own, and `defaults` where it has none. */
  with(members: Record<string, unknown>, defaults: Record<string, unknown>): Fields {
    return new Fields(this.file, { ...defaults, ...Object.fromEntries(this.#members), ...members }, this.#path);
  }

  integer(name: string, range: Range, fallback?: number): number {
    if (!this.has(name) && fallback !== undefined) return fallback;
    const value = this.#members.get(name);
    if (!isInteger(value, range)) this.fail(name, `an integer from ${range.min} to ${range.max}`);
    return value;
  }

  /** A finite number greater than 0, and at most `max`. */
  positive(name: string, fallback?: number, max = Number.MAX_VALUE): number {
    if (!this.has(name) && fallback !== undefined) return fallback;
    const value = this.#members.get(name);
    if (typeof value !== 'number' || !(value > 0 && value <= max)) {
      this.fail(name, max === Number.MAX_VALUE ? 'a number above 0' : `a number above 0, at most ${max}`);
    }
    return value;
  }

  /** A finite number within `range`. */
  number(name: string, range: Range, fallback?: number): number {
    if (!this.has(name) && fallback !== undefined) return fallback;
    const value = this.#members.get(name);
    if (typeof value !== 'number' || !(value >= range.min && value <= range.max)) {
      this.fail(name, `a number from ${range.min} to ${range.max}`);
    }
    return value;
  }

  boolean(name: string, fallback: boolean): boolean {
    if (!this.has(name)) return fallback;
    const value = this.#members.get(name);
    if (typeof value !== 'boolean') this.fail(name, 'true or false');
    return value;
  }

  string(name: string, fallback?: string): string {
    if (!this.has(name) && fallback !== undefined) return fallback;
    const value = this.#members.get(name);
    if (typeof value !== 'string') this.fail(name, 'a string');
    return value;
  }

  /** One of `choices`' keys, turned into its value. */
  choice<T>(name: string, choices: ReadonlyMap<string, T>, fallback?: string): T {
    const value = this.string(name, fallback);
    if (!choices.has(value)) this.fail(name, `one of ${[...choices.keys()].join(', ')}`);
    return choices.get(value) as T;
  }

  /** A list of strings, or undefined when absent. */
  strings(name: string, length: number): readonly string[] | undefined {
    if (!this.has(name)) return undefined;
    const value = this.#members.get(name);
    if (!Array.isArray(value) || value.length !== length || !value.every((item) => typeof item === 'string')) {
      this.fail(name, `a list of ${length} strings`);
    }
    return value;
  }

  /** One integer or a list of them; empty when absent. */
  integers(name: string, range: Range): readonly number[] {
    if (!this.has(name)) return [];
    const value = this.#members.get(name);
    const list: readonly unknown[] = Array.isArray(value) ? value : [value];
    if (!list.every((item) => isInteger(item, range))) {
      this.fail(name, `an integer from ${range.min} to ${range.max}, or a list of them`);
    }
    return list as number[];
  }

  /** A list of finite numbers above 0; empty when absent. */
  positives(name: string): readonly number[] {
    const value = this.#members.get(name) ?? [];
    if (!Array.isArray(value) || !value.every((item) => typeof item === 'number' && item > 0 && item < Infinity)) {
      this.fail(name, 'a list of numbers above 0');
    }
    return value;
  }

  /** The members of an inner object, or undefined when absent. */
  object(name: string): Fields | undefined {
    if (!this.has(name)) return undefined;
    const value = this.#members.get(name);
    if (!isJsonObject(value)) this.fail(name, 'an object');
    return new Fields(this.file, value, `${this.#path}${name}.`);
  }

  /** @throws CheckpointError always. */
  fail(name: string, expected: string): never {
    const found = show(this.#members.get(name));
    throw new CheckpointError(`${this.file}: ${this.#path}${name} is ${found}; expected ${expected}`);
  }
}

function isInteger(value: unknown, range: Range): value is number {
  return Number.isSafeInteger(value) && (value as number) >= range.min && (value as number) <= range.max;
}
