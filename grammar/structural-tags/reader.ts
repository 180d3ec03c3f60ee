/** Members of a structural tag's JSON, read one by one, with errors that name their place. */

import { GrammarError } from '../errors.ts';

export type Spec = Readonly<Record<string, unknown>>;

/** One format of a structural tag: an object with a `type`. */
export class FormatReader {
  readonly spec: Spec;
  /** Where it stands, as a path from the root. */
  readonly place: string;
  readonly #read = new Set(['type']);

  constructor(value: unknown, place: string) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new GrammarError(`${place}: expected an object, found ${shown(value)}`);
    }
    this.spec = value as Spec;
    this.place = place;
  }

  get type(): string {
    return this.text('type');
  }

  has(name: string): boolean {
    return this.spec[name] !== undefined && this.spec[name] !== null;
  }

  /** A member as it is. */
  value(name: string): unknown {
    this.#read.add(name);
    return this.spec[name];
  }

  text(name: string): string {
    const value = this.value(name);
    return isText(value) ? value : this.#fail(name, 'a string');
  }

  flag(name: string): boolean {
    const value = this.value(name) ?? false;
    return typeof value === 'boolean' ? value : this.#fail(name, 'true or false');
  }

  count(name: string, absent: number): number {
    const value = this.value(name) ?? absent;
    // -1 is how the format's makers write "without end".
    if (value === -1) return Number.POSITIVE_INFINITY;
    const isCount = value === Number.POSITIVE_INFINITY || (Number.isInteger(value) && (value as number) >= 0);
    return isCount ? (value as number) : this.#fail(name, 'a whole number');
  }

  /** Strings that are not empty; a single one may stand for a list. */
  texts(name: string): readonly string[] {
    const value = this.value(name) ?? [];
    const list = typeof value === 'string' ? [value] : value;
    if (!Array.isArray(list) || !list.every((item) => isText(item) && item !== '')) {
      return this.#fail(name, 'strings that are not empty');
    }
    return list;
  }

  format(name: string): FormatReader {
    return new FormatReader(this.value(name), `${this.place}.${name}`);
  }

  formats(name: string): FormatReader[] {
    const list = this.value(name);
    if (!Array.isArray(list) || list.length === 0) return this.#fail(name, 'a list of at least one format');
    return list.map((item, i) => new FormatReader(item, `${this.place}.${name}[${i}]`));
  }

  /** @throws GrammarError when there is a member that nobody asked for: it would be ignored */
  close(): void {
    const unknown = Object.keys(this.spec).find((name) => !this.#read.has(name) && this.has(name));
    if (unknown !== undefined) throw new GrammarError(`${this.place}.${unknown}: not supported here`);
  }

  #fail(name: string, expected: string): never {
    throw new GrammarError(`${this.place}.${name}: expected ${expected}, found ${shown(this.spec[name])}`);
  }
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value.isWellFormed();
}

function shown(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing';
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
