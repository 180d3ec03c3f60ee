/** The names that matter to an object's formula: those it declares, in their order, and classes of all the others. */

import { GrammarError } from '../errors.ts';
import { both, literals, not, type Regex } from '../ir.ts';
import type { Lowering } from './lowering.ts';
import { type MemberTable, STRING, type Value } from './values.ts';

/** Names that are not declared and match the same patterns. */
export interface NameClass {
  readonly regex: Regex;
  readonly patterns: ReadonlySet<Regex>;
}

/** Most classes of names that the patterns of one object make. */
const MAX_CLASSES = 64;

export class MemberNames {
  /** The declared names, in the order in which they are written. */
  readonly declared: readonly string[];
  readonly indices: ReadonlyMap<string, number>;
  readonly #patterns: readonly Regex[];
  #classes: readonly NameClass[] | undefined;
  readonly #lowering: Lowering;
  readonly #tables = new Map<Value, MemberTable>();
  readonly #values = new Map<MemberTable, Map<number, Value>>();
  readonly #lastRelevant = new Map<MemberTable, number>();

  constructor(lowering: Lowering, formula: Value) {
    this.#lowering = lowering;
    const declared = new Set<string>();
    const needed = new Set<string>();
    const patterns = new Set<Regex>();
    this.#collect(formula, declared, needed, patterns);
    for (const name of needed) declared.add(name);
    this.declared = [...declared];
    this.indices = new Map(this.declared.map((name, i) => [name, i]));
    this.#patterns = [...patterns];
  }

  get hasPatterns(): boolean {
    return this.#patterns.length > 0;
  }

  /** Classes of the names that are not declared; empty ones left out. */
  get classes(): readonly NameClass[] {
    if (!this.#classes) {
      const free = this.declared.length === 0 ? [] : [not(literals(this.declared))];
      this.#classes = this.#split(both(...free), this.#patterns);
    }
    return this.#classes;
  }

  /** The table of an atom about members or their names. */
  table(atom: Value): MemberTable {
    const { shape } = atom;
    if (shape.kind === 'members' || shape.kind === 'someMember') return shape.table;
    if (shape.kind !== 'names' && shape.kind !== 'someName') throw new TypeError('not an atom about members');
    let table = this.#tables.get(shape.names);
    if (!table) {
      const { all, none } = this.#lowering.values;
      const regex = this.#lowering.stringRegex(this.#lowering.ofType(shape.names, STRING));
      table = { properties: new Map(), patterns: [[regex, all]], others: none };
      this.#tables.set(shape.names, table);
    }
    return table;
  }

  /** What a table asks of the value of a member: of a declared name by its index, or of a class (counted behind them). */
  valueOf(table: MemberTable, index: number): Value {
    let byIndex = this.#values.get(table);
    if (!byIndex) this.#values.set(table, (byIndex = new Map()));
    let value = byIndex.get(index);
    if (!value) byIndex.set(index, (value = this.#valueOf(table, index)));
    return value;
  }

  /** The last index of which a table asks something, or the number of all of them when it may do so of free names. */
  lastRelevant(table: MemberTable): number {
    let last = this.#lastRelevant.get(table);
    if (last === undefined) {
      const { all } = this.#lowering.values;
      last = this.declared.length;
      if (table.others === all && table.patterns.every(([, value]) => value === all)) {
        do last--;
        while (last >= 0 && this.valueOf(table, last) === all);
      }
      this.#lastRelevant.set(table, last);
    }
    return last;
  }

  #valueOf(table: MemberTable, index: number): Value {
    const { values } = this.#lowering;
    if (index >= this.declared.length) {
      const { patterns } = this.classes[index - this.declared.length];
      const found = table.patterns.filter(([regex]) => patterns.has(regex)).map(([, value]) => value);
      return found.length === 0 ? table.others : values.and(...found);
    }
    const name = this.declared[index];
    const found = table.patterns
      .filter(([regex]) => this.#lowering.languages.matches(regex, name))
      .map(([, value]) => value);
    const own = table.properties.get(name);
    if (own) found.unshift(own);
    return found.length === 0 ? table.others : values.and(...found);
  }

  /** Names in the order of the formula: declared ones first, then those that are only required. */
  #collect(formula: Value, declared: Set<string>, needed: Set<string>, patterns: Set<Regex>): void {
    const { shape } = formula;
    switch (shape.kind) {
      case 'and':
      case 'or':
        for (const part of shape.parts) this.#collect(part, declared, needed, patterns);
        break;
      case 'required':
        needed.add(shape.name);
        break;
      case 'members':
      case 'someMember':
      case 'names':
      case 'someName': {
        const table = this.table(formula);
        const only = shape.kind === 'members' && !isForbidding(table, this.#lowering) ? declared : needed;
        for (const name of table.properties.keys()) only.add(name);
        for (const [pattern] of table.patterns) patterns.add(pattern);
      }
    }
  }

  /** Cuts a set of names by patterns. */
  #split(names: Regex, patterns: readonly Regex[]): NameClass[] {
    let classes: NameClass[] = [{ regex: names, patterns: new Set() }];
    for (const pattern of patterns) {
      classes = classes.flatMap(({ regex, patterns: matched }) => [
        { regex: both(regex, not(pattern)), patterns: matched },
        { regex: both(regex, pattern), patterns: new Set([...matched, pattern]) },
      ]);
      classes = classes.filter(({ regex }) => this.#lowering.languages.hasText(regex));
      if (classes.length > MAX_CLASSES) {
        throw new GrammarError(`the patterns for property names overlap in more than ${MAX_CLASSES} ways`);
      }
    }
    return classes;
  }
}

function isForbidding({ properties, patterns, others }: MemberTable, { values }: Lowering): boolean {
  if (properties.size !== 1 || patterns.length > 0 || others !== values.all) return false;
  const [value] = properties.values();
  return value === values.none;
}
