/** The options of a bench, described once: what is read, what is refused, and what `--help` tells. */

import { basename } from 'node:path';
import { parseArgs } from 'node:util';

/** A kind of values. */
export interface Kind<T> {
  /** What stands for a value in the help; none: it is a switch. */
  readonly value?: string;
  /** What a value is to be. */
  readonly expected: string;
  /** All values that there are, where the help names them. */
  readonly choices?: readonly string[];
  /** Undefined for a text that is no such value. */
  readonly read: (text: string) => T | undefined;
}

export const SWITCH: Kind<boolean> = { expected: 'nothing', read: (text) => text === 'true' };

export const INTEGER: Kind<number> = {
  value: 'N',
  expected: 'an integer',
  read: (text) => (/^\d{1,15}$/.test(text) ? Number(text) : undefined),
};

export function string(value: string): Kind<string> {
  return { value, expected: 'a text', read: (given) => given };
}

export function oneOf<const T extends string>(...choices: readonly T[]): Kind<T> {
  const read = (given: string) => choices.find((choice) => choice === given);
  return { value: 'NAME', expected: `one of ${choices.join(', ')}`, choices, read };
}

/** Values with commas between. */
export function listOf<T>({ read, ...kind }: Kind<T>): Kind<readonly T[]> {
  const readAll = (given: string) => {
    const values = given.split(',').map(read);
    return values.every((one) => one !== undefined) ? values : undefined;
  };
  return { ...kind, value: `${kind.value},…`, read: readAll };
}

export interface BenchOption<T> {
  readonly kind: Kind<T>;
  readonly help: string;
  /** What it is when it is not given, as on a command line. */
  readonly fallback?: string;
  /** May be given several times; its value is a list. */
  readonly repeated?: boolean;
}

type Options = Readonly<Record<string, BenchOption<unknown>>>;

type Value<O> = O extends { kind: Kind<infer T> }
  ? O extends { repeated: true }
    ? readonly T[]
    : O extends { fallback: string }
      ? T
      : T extends boolean
        ? T
        : T | undefined
  : never;

export type Values<O extends Options> = { readonly [K in keyof O]: Value<O[K]> };

export interface BenchUsage<O extends Options> {
  /** What the bench measures, in a sentence. */
  readonly about: string;
  /** Arguments, and what they are for. */
  readonly examples?: readonly (readonly [args: string, what: string])[];
  readonly options: O;
}

/**
 * The values of a bench's options on the command line. `--help` prints what there is, and ends the process.
 * @throws Error of one line for an option that the bench does not have, or a value that the option cannot have
 */
export function readOptions<const O extends Options>(usage: BenchUsage<O>): Values<O> {
  const [, script, ...args] = process.argv;
  const bench = basename(script).replace(/\.[jt]s$/, '');
  if (args.some((arg) => arg === '--help' || arg === '-h')) {
    process.stdout.write(usageText(bench, usage));
    process.exit();
  }
  return parseOptions(bench, usage.options, args);
}

/** @throws Error of one line, as {@link readOptions} */
export function parseOptions<const O extends Options>(bench: string, options: O, args: readonly string[]): Values<O> {
  const given = parsed(bench, options, args);
  const values = Object.entries(options).map(([name, { kind, fallback, repeated }]) => {
    const texts = given[name] ?? (fallback === undefined ? [] : [fallback]);
    const read = texts.map((one) => {
      const value = kind.read(String(one));
      if (value !== undefined) return value;
      throw new Error(`bench ${bench}: --${name} is ${JSON.stringify(one)}; expected ${kind.expected}`);
    });
    return [name, repeated ? read : (read.at(-1) ?? (kind.value ? undefined : false))];
  });
  return Object.fromEntries(values);
}

function parsed(bench: string, options: Options, args: readonly string[]): Record<string, (string | boolean)[]> {
  const names = Object.keys(options);
  const kindOf = (name: string) => (options[name].kind.value ? 'string' : 'boolean');
  const config = names.map((name) => [name, { type: kindOf(name), multiple: true }]);
  try {
    return parseArgs({ args: [...args], options: Object.fromEntries(config) }).values as never;
  } catch (error) {
    // The first sentence names the option; what follows is advice about dashes.
    const [reason] = (error as Error).message.split('. ', 1);
    throw new Error(`bench ${bench}: ${reason}; there are ${names.map((name) => `--${name}`).join(', ')}`);
  }
}

export function usageText(bench: string, { about, examples = [], options }: BenchUsage<Options>): string {
  const command = `quern bench ${bench}`;
  const rows = Object.entries(options).map(([name, { kind, help, fallback, repeated }]) => {
    const choices = kind.choices ? `: ${kind.choices.join(', ')}` : '';
    const notes = [fallback && `default ${fallback}`, repeated && 'may be given several times'].filter(Boolean);
    const note = notes.length > 0 ? ` (${notes.join('; ')})` : '';
    return [`--${name} ${kind.value ?? ''}`.trimEnd(), `${help}${choices}${note}`];
  });
  const shown = examples.map(([args, what]) => [`${command} ${args}`.trimEnd(), what]);
  const parts = [`Usage: ${command} [OPTIONS]\n\n${about}\n`, columns(rows)];
  if (shown.length > 0) parts.push(`Examples:\n${columns(shown)}`);
  return parts.join('\n');
}

/** Two columns; what is too long for the first stands in a line of its own. */
function columns(rows: readonly (readonly string[])[]): string {
  const widest = 26;
  return rows
    .map(([left, right]) =>
      left.length > widest ? `  ${left}\n  ${' '.repeat(widest)}  ${right}` : `  ${left.padEnd(widest)}  ${right}`,
    )
    .map((line) => `${line.trimEnd()}\n`)
    .join('');
}
