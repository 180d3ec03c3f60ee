/**
 * Sets of JSON values as formulas: conjunctions and disjunctions of atoms, without negation. An atom speaks of one type of
 * value and says nothing of the others; for every atom there are others that say the opposite, so the complement of a
 * formula is a formula. Formulas are interned: equal ones are one object, which is what makes recursion close.
 */

import type { Regex } from '../ir.ts';
import type { Budget } from '../limits.ts';
import type { Place } from './document.ts';

export const NULL = 1;
export const TRUE = 2;
export const FALSE = 4;
export const NUMBER = 8;
export const STRING = 16;
export const ARRAY = 32;
export const OBJECT = 64;
export const ANY_TYPE = 127;

/** What the members of an object must be: by name, by pattern, and all others. */
export interface MemberTable {
  readonly properties: ReadonlyMap<string, Value>;
  readonly patterns: readonly (readonly [pattern: Regex, value: Value])[];
  /** For the names that are neither declared nor match a pattern. */
  readonly others: Value;
}

/** A set of numbers: the texts of its members without exponent, and the most digits of a bound. */
export interface NumberSet {
  readonly regex: Regex;
  readonly digits: number;
  /** True for the whole numbers: values that must be in it are written without a point. */
  readonly integers: boolean;
}

export type Shape =
  | { readonly kind: 'all' | 'none' }
  | { readonly kind: 'and' | 'or'; readonly parts: readonly Value[] }
  /** A subschema, or the complement of one, that is not looked into before it is needed. */
  | { readonly kind: 'place'; readonly place: Place; readonly negated: boolean }
  | { readonly kind: 'types'; readonly mask: number }
  | { readonly kind: 'string'; readonly regex: Regex; readonly negated: boolean }
  | { readonly kind: 'number'; readonly numbers: NumberSet; readonly negated: boolean }
  /** Item `i` is in `prefix[at + i]`, or in `rest` behind the prefix. */
  | { readonly kind: 'items'; readonly prefix: readonly Value[]; readonly rest: Value; readonly at: number }
  /** Some item is not where `items` would have it. */
  | { readonly kind: 'someItem'; readonly prefix: readonly Value[]; readonly rest: Value; readonly at: number }
  | { readonly kind: 'contains'; readonly value: Value; readonly min: number; readonly max: number }
  /** No two items are equal. */
  | { readonly kind: 'unique'; readonly where: string }
  /** Two items are equal. */
  | { readonly kind: 'repeated'; readonly where: string }
  | { readonly kind: 'members'; readonly table: MemberTable }
  /** Some member is not what the table asks. */
  | { readonly kind: 'someMember'; readonly table: MemberTable }
  /** The name of every member is in a set of strings. */
  | { readonly kind: 'names'; readonly names: Value }
  /** The name of some member is not. */
  | { readonly kind: 'someName'; readonly names: Value }
  | { readonly kind: 'required'; readonly name: string }
  /** All names of a list, from an index on; in an order that the object's flow fixes. */
  | { readonly kind: 'requiredList'; readonly names: readonly string[]; readonly from: number }
  /** Number of items (`type` ARRAY) or members (OBJECT). */
  | { readonly kind: 'count'; readonly type: number; readonly min: number; readonly max: number };

export interface Value {
  readonly id: number;
  readonly shape: Shape;
}

/** More formulas than the budget lets one schema have. */
const MAX_IDS = 2 ** 26;

export class Values {
  readonly all: Value;
  readonly none: Value;
  readonly #byKey = new Map<string, Value>();
  readonly #objectIds = new Map<object, number>();
  readonly #negations = new Map<Value, Value>();
  readonly #pairs = { and: new Map<number, Value>(), or: new Map<number, Value>() };
  /** The tables of objects without a member of some name. */
  readonly #tables = new Map<string, MemberTable>();
  readonly #budget: Budget;
  #count = 0;

  constructor(budget: Budget) {
    this.#budget = budget;
    this.all = this.#make('all', { kind: 'all' });
    this.none = this.#make('none', { kind: 'none' });
  }

  and(...parts: readonly Value[]): Value {
    return parts.length === 2 ? this.#pair('and', parts) : this.#combine('and', parts, this.all, this.none);
  }

  or(...parts: readonly Value[]): Value {
    return parts.length === 2 ? this.#pair('or', parts) : this.#combine('or', parts, this.none, this.all);
  }

  /** Two formulas are put together over and over while a text is read. */
  #pair(kind: 'and' | 'or', parts: readonly Value[]): Value {
    const [a, b] = parts;
    const [neutral, absorbing] = kind === 'and' ? [this.all, this.none] : [this.none, this.all];
    if (a === absorbing || b === absorbing) return absorbing;
    if (a === neutral || a === b) return b;
    if (b === neutral) return a;
    const key = a.id * MAX_IDS + b.id;
    const known = this.#pairs[kind];
    let pair = known.get(key);
    if (!pair) known.set(key, (pair = this.#combine(kind, parts, neutral, absorbing)));
    return pair;
  }

  place(place: Place, negated = false): Value {
    if (place.schema === true) return negated ? this.none : this.all;
    if (place.schema === false) return negated ? this.all : this.none;
    const owner = typeof place.schema === 'object' && place.schema !== null ? place.schema : place;
    return this.#intern(`place ${this.#idOf(owner)} ${negated}`, { kind: 'place', place, negated });
  }

  types(mask: number): Value {
    if (mask === 0) return this.none;
    return mask === ANY_TYPE ? this.all : this.#intern(`types ${mask}`, { kind: 'types', mask });
  }

  string(regex: Regex, negated = false): Value {
    return this.#intern(`string ${this.#idOf(regex)} ${negated}`, { kind: 'string', regex, negated });
  }

  number(numbers: NumberSet, negated = false): Value {
    return this.#intern(`number ${this.#idOf(numbers)} ${negated}`, { kind: 'number', numbers, negated });
  }

  items(prefix: readonly Value[], rest: Value, at = 0): Value {
    if (rest === this.all && prefix.slice(at).every((value) => value === this.all)) return this.all;
    return this.#intern(this.#itemsKey('items', prefix, rest, at), { kind: 'items', prefix, rest, at });
  }

  someItem(prefix: readonly Value[], rest: Value, at = 0): Value {
    if (rest === this.all && prefix.slice(at).every((value) => value === this.all)) return this.none;
    return this.#intern(this.#itemsKey('someItem', prefix, rest, at), { kind: 'someItem', prefix, rest, at });
  }

  contains(value: Value, min: number, max: number): Value {
    if (min > max) return this.none;
    if (min === 0 && max === Number.POSITIVE_INFINITY) return this.all;
    if (value === this.all) return this.count(ARRAY, min, max);
    return this.#intern(`contains ${value.id} ${min} ${max}`, { kind: 'contains', value, min, max });
  }

  /** True when some schema asks for unique items. */
  get asksForUnique(): boolean {
    return this.#byKey.has('unique');
  }

  unique(where: string): Value {
    return this.#intern('unique', { kind: 'unique', where });
  }

  repeated(where: string): Value {
    return this.#intern('repeated', { kind: 'repeated', where });
  }

  members(table: MemberTable): Value {
    return this.#intern(`members ${this.#idOf(table)}`, { kind: 'members', table });
  }

  someMember(table: MemberTable): Value {
    return this.#intern(`someMember ${this.#idOf(table)}`, { kind: 'someMember', table });
  }

  names(names: Value): Value {
    return names === this.all ? this.all : this.#intern(`names ${names.id}`, { kind: 'names', names });
  }

  someName(names: Value): Value {
    return names === this.all ? this.none : this.#intern(`someName ${names.id}`, { kind: 'someName', names });
  }

  required(name: string): Value {
    return this.#intern(`required ${name}`, { kind: 'required', name });
  }

  requiredList(names: readonly string[], from: number): Value {
    if (from >= names.length) return this.all;
    return this.#intern(`requiredList ${this.#idOf(names)} ${from}`, { kind: 'requiredList', names, from });
  }

  count(type: number, min: number, max: number): Value {
    if (min > max) return this.none;
    if (min === 0 && max === Number.POSITIVE_INFINITY) return this.all;
    return this.#intern(`count ${type} ${min} ${max}`, { kind: 'count', type, min, max });
  }

  /** All other values. */
  not(value: Value): Value {
    const known = this.#negations.get(value);
    if (known) return known;
    const opposite = this.#negate(value.shape);
    this.#negations.set(value, opposite);
    if (!this.#negations.has(opposite)) this.#negations.set(opposite, value);
    return opposite;
  }

  #negate(shape: Shape): Value {
    const infinity = Number.POSITIVE_INFINITY;
    switch (shape.kind) {
      case 'all':
        return this.none;
      case 'none':
        return this.all;
      case 'and':
        return this.or(...shape.parts.map((part) => this.not(part)));
      case 'or':
        return this.and(...shape.parts.map((part) => this.not(part)));
      case 'place':
        return this.place(shape.place, !shape.negated);
      case 'types':
        return this.types(ANY_TYPE & ~shape.mask);
      case 'string':
        return this.and(this.types(STRING), this.string(shape.regex, !shape.negated));
      case 'number':
        return this.and(this.types(NUMBER), this.number(shape.numbers, !shape.negated));
      case 'items':
        return this.and(this.types(ARRAY), this.someItem(shape.prefix, shape.rest, shape.at));
      case 'someItem':
        return this.and(this.types(ARRAY), this.items(shape.prefix, shape.rest, shape.at));
      case 'contains': {
        const { value, min, max } = shape;
        const fewer = this.contains(value, 0, min - 1);
        const more = this.contains(value, max + 1, max === infinity ? -1 : infinity);
        return this.and(this.types(ARRAY), this.or(fewer, more));
      }
      case 'unique':
        return this.and(this.types(ARRAY), this.repeated(shape.where));
      case 'repeated':
        return this.and(this.types(ARRAY), this.unique(shape.where));
      case 'members':
        return this.and(this.types(OBJECT), this.#breaking(shape.table));
      case 'someMember':
        return this.and(this.types(OBJECT), this.members(shape.table));
      case 'names':
        return this.and(this.types(OBJECT), this.someName(shape.names));
      case 'someName':
        return this.and(this.types(OBJECT), this.names(shape.names));
      case 'required':
        return this.and(this.types(OBJECT), this.forbidden(shape.name));
      case 'requiredList': {
        const missing = shape.names.slice(shape.from).map((name) => this.forbidden(name));
        return this.and(this.types(OBJECT), this.or(...missing));
      }
      case 'count': {
        const { type, min, max } = shape;
        const fewer = this.count(type, 0, min - 1);
        const more = this.count(type, max + 1, max === infinity ? -1 : infinity);
        return this.and(this.types(type), this.or(fewer, more));
      }
    }
  }

  #breaking(table: MemberTable): Value {
    const [name] = table.properties.keys();
    return this.#tables.get(name) === table ? this.required(name) : this.someMember(table);
  }

  #forbidding(name: string): MemberTable {
    let table = this.#tables.get(name);
    if (!table) {
      table = { properties: new Map([[name, this.none]]), patterns: [], others: this.all };
      this.#tables.set(name, table);
    }
    return table;
  }

  /** Objects without a member of this name. */
  forbidden(name: string): Value {
    return this.members(this.#forbidding(name));
  }

  #combine(kind: 'and' | 'or', given: readonly Value[], neutral: Value, absorbing: Value): Value {
    const parts = new Set<Value>();
    let mask = kind === 'and' ? ANY_TYPE : 0;
    let typesAt: Value | undefined;
    this.#budget.spend(given.length);
    for (const part of given) {
      if (part.shape.kind === kind) this.#budget.spend(part.shape.parts.length);
      for (const inner of part.shape.kind === kind ? part.shape.parts : [part]) {
        if (inner === absorbing) return absorbing;
        if (inner === neutral) continue;
        if (inner.shape.kind === 'types') {
          mask = kind === 'and' ? mask & inner.shape.mask : mask | inner.shape.mask;
          typesAt ??= inner;
        }
        const opposite = inner.shape.kind === 'place' ? this.#negations.get(inner) : undefined;
        if (opposite && parts.has(opposite)) return absorbing;
        parts.add(inner);
      }
    }
    let list = [...parts];
    if (typesAt) {
      const types = this.types(mask);
      if (types === absorbing) return absorbing;
      list = list.flatMap((part) => (part === typesAt ? [types] : part.shape.kind === 'types' ? [] : [part]));
      list = list.filter((part) => part !== neutral);
    }
    if (list.length === 0) return neutral;
    if (list.length === 1) return list[0];
    return this.#intern(`${kind} ${list.map((part) => part.id).join()}`, { kind, parts: list });
  }

  #itemsKey(kind: string, prefix: readonly Value[], rest: Value, at: number): string {
    const start = Math.min(at, prefix.length);
    if (start === prefix.length) return `${kind} ${rest.id}`;
    return `${kind} ${rest.id} ${prefix
      .slice(start)
      .map((value) => value.id)
      .join()}`;
  }

  #intern(key: string, shape: Shape): Value {
    return this.#byKey.get(key) ?? this.#make(key, shape);
  }

  #make(key: string, shape: Shape): Value {
    const value = { id: this.#count++, shape };
    this.#byKey.set(key, value);
    return value;
  }

  #idOf(object: object): number {
    let id = this.#objectIds.get(object);
    if (id === undefined) this.#objectIds.set(object, (id = this.#objectIds.size));
    return id;
  }
}
