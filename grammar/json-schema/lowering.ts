/** From sets of values to grammar nodes. */

import { GrammarError } from '../errors.ts';
import {
  anyText,
  both,
  choice,
  either,
  jsonString,
  literal,
  type Node,
  not,
  nothing,
  type Regex,
  type Terminal,
  text,
} from '../ir.ts';
import type { Budget } from '../limits.ts';
import { ArrayFlow } from './array-flow.ts';
import { type ContainerFlow, Identities } from './identity-flow.ts';
import { Languages } from './languages.ts';
import { MemberNames } from './member-names.ts';
import { anyNumber, plainInteger, spelledNumbers } from './number-languages.ts';
import { ObjectFlow } from './object-flow.ts';
import type { SchemaReader } from './reader.ts';
import { ARRAY, FALSE, NULL, NUMBER, OBJECT, STRING, TRUE, type Value, type Values } from './values.ts';

/** What the steps of a flow from one state may cost. */
const STEP_FUEL = 200_000;

/** What the making of a flow costs. */
const FLOW_COST = 50;

/** Steps of one search for a value; a set that is still open then counts as having one. */
const SEARCH_FUEL = 50_000;

/** Most sets that are looked at for items that must be unique. */
const MAX_CHECKED = 2_000;

/** Most flows that an object becomes because its branches differ in the order of members. */
const MAX_ORDERS = 64;

const WORDS: readonly (readonly [number, string])[] = [
  [NULL, 'null'],
  [TRUE, 'true'],
  [FALSE, 'false'],
];

const anyString = jsonString(anyText);
const anyNumberText = text(anyNumber);
const plainIntegerText = text(plainInteger);

/** The tokens between values, with the whitespace that may stand around them. */
export interface Punctuation {
  readonly openObject: Terminal;
  readonly openArray: Terminal;
  readonly colon: Terminal;
  readonly comma: Terminal;
  readonly closeObject: Terminal;
  readonly closeArray: Terminal;
  /** Closing ones right after the opening ones, behind the gap that these end with. */
  readonly emptyObject: Terminal;
  readonly emptyArray: Terminal;
}

export class Lowering {
  readonly values: Values;
  readonly punctuation: Punctuation;
  readonly identities = new Identities();
  readonly languages: Languages;
  readonly #reader: SchemaReader;
  readonly #budget: Budget;
  readonly #byType = new Map<Value, Map<number, Value>>();
  readonly #open = new Set<string>();
  readonly #strings = new Map<Value, Regex>();
  readonly #stringTerminals = new Map<Value, Terminal>();
  readonly #numbers = new Map<Value, Regex>();
  readonly #numberTerminals = new Map<Value, Terminal>();
  readonly #words = new Map<number, Terminal>();
  readonly #arrays = new Map<Value, ArrayFlow>();
  readonly #objects = new Map<Value, ObjectFlow>();
  readonly #objectLists = new Map<Value, readonly Value[]>();
  readonly #nodes = new Map<Value, Node>();
  readonly #satisfiable = new Map<Value, boolean>();
  readonly #searched: Value[] = [];
  /** The outermost search that was met again while it was open; those inside it know nothing for certain. */
  #assumedFrom = Number.POSITIVE_INFINITY;
  #fuel = SEARCH_FUEL;

  constructor(values: Values, reader: SchemaReader, punctuation: Punctuation, budget: Budget) {
    this.#budget = budget;
    this.languages = new Languages(budget);
    this.values = values;
    this.#reader = reader;
    this.punctuation = punctuation;
  }

  /** The texts of a set's values. */
  node(value: Value): Node {
    let node = this.#nodes.get(value);
    if (!node) this.#nodes.set(value, (node = this.#makeNode(value)));
    return node;
  }

  #makeNode(value: Value): Node {
    const parts: Node[] = [];
    let words = 0;
    for (const [type] of WORDS) if (this.ofType(value, type) !== this.values.none) words |= type;
    if (words !== 0) parts.push(this.#wordTerminal(words));
    const strings = this.ofType(value, STRING);
    if (this.#hasString(strings)) parts.push(this.#stringTerminal(strings));
    const numbers = this.ofType(value, NUMBER);
    if (this.#hasNumber(numbers)) parts.push(this.#numberTerminal(numbers));
    for (const array of disjuncts(this.ofType(value, ARRAY))) {
      const flow = this.#arrayFlow(array);
      if (flow.canEnd()) parts.push(flow.node);
    }
    for (const object of this.#objectDisjuncts(value)) {
      const flow = this.#objectFlow(object);
      if (flow.canEnd()) parts.push(flow.node);
    }
    return choice(...parts);
  }

  /**
   * What a set asks of the values of one type: a formula of that type's atoms.
   * @throws GrammarError when a reference leads back to itself without a value in between
   */
  ofType(value: Value, type: number): Value {
    let byType = this.#byType.get(value);
    if (!byType) this.#byType.set(value, (byType = new Map()));
    let formula = byType.get(type);
    if (!formula) byType.set(type, (formula = this.#ofType(value, type)));
    return formula;
  }

  #ofType(value: Value, type: number): Value {
    const { values } = this;
    const { shape } = value;
    switch (shape.kind) {
      case 'all':
      case 'none':
        return value;
      case 'and':
        return values.and(...shape.parts.map((part) => this.ofType(part, type)));
      case 'or':
        return values.or(...shape.parts.map((part) => this.ofType(part, type)));
      case 'types':
        return shape.mask & type ? values.all : values.none;
      case 'place': {
        const key = `${value.id} ${type}`;
        if (this.#open.has(key)) {
          throw new GrammarError(`${shape.place.pointer}: the reference leads back to itself and never to a value`);
        }
        this.#open.add(key);
        try {
          const read = this.#reader.read(shape.place);
          return this.ofType(shape.negated ? values.not(read) : read, type);
        } finally {
          this.#open.delete(key);
        }
      }
      case 'string':
        return type === STRING ? value : values.all;
      case 'number':
        return type === NUMBER ? value : values.all;
      case 'items':
      case 'someItem':
      case 'contains':
      case 'unique':
      case 'repeated':
        return type === ARRAY ? value : values.all;
      case 'count':
        return type === shape.type ? value : values.all;
      default:
        return type === OBJECT ? value : values.all;
    }
  }

  /** True when the set has a value; also when that was not found out with the work that one search may cost. */
  satisfiable(value: Value): boolean {
    if (value === this.values.all) return true;
    if (value === this.values.none) return false;
    const known = this.#satisfiable.get(value);
    if (known !== undefined) return known;
    const depth = this.#searched.indexOf(value);
    if (depth >= 0) {
      this.#assumedFrom = Math.min(this.#assumedFrom, depth);
      return false;
    }
    this.startSearch();
    if (this.#searched.length > 200 || !this.spend()) return true;
    this.#searched.push(value);
    const outer = this.#assumedFrom;
    this.#assumedFrom = Number.POSITIVE_INFINITY;
    let found: boolean;
    try {
      found = this.#search(value);
    } catch (error) {
      this.#assumedFrom = outer;
      throw error;
    } finally {
      this.#searched.pop();
    }
    const certain = this.#assumedFrom >= this.#searched.length;
    if (found || certain) this.#satisfiable.set(value, found);
    this.#assumedFrom = found || certain ? outer : Math.min(outer, this.#assumedFrom);
    return found;
  }

  /** True when two sets have no value in common; false also when that was not found out. */
  areDisjoint(a: Value, b: Value): boolean {
    return this.#toldApart(a, b) || !this.satisfiable(this.values.and(a, b));
  }

  /** True when both are sets of objects with a member that must be there and cannot be in both. */
  #toldApart(a: Value, b: Value): boolean {
    const { values } = this;
    const types = (value: Value) => WORDS.some(([type]) => this.ofType(value, type) !== values.none);
    if (types(a) || types(b)) return false;
    for (const type of [STRING, NUMBER, ARRAY]) {
      if (this.ofType(a, type) !== values.none || this.ofType(b, type) !== values.none) return false;
    }
    const others = requiredMembers(this.ofType(b, OBJECT));
    for (const [name, value] of requiredMembers(this.ofType(a, OBJECT))) {
      const other = others.get(name);
      if (other && !this.satisfiable(values.and(value, other))) return true;
    }
    return false;
  }

  /** True while searches below an open one rest on what that has assumed. */
  get assuming(): boolean {
    return this.#assumedFrom < this.#searched.length;
  }

  /** Refills what the steps of a flow may cost. */
  refill(): void {
    this.#budget.refill(STEP_FUEL);
  }

  /** Refills what a search may cost, unless it is part of another. */
  startSearch(): void {
    if (this.#searched.length === 0) this.#fuel = SEARCH_FUEL;
  }

  /** False when the search has cost too much. */
  spend(): boolean {
    return --this.#fuel > 0;
  }

  #search(value: Value): boolean {
    const { none } = this.values;
    return (
      WORDS.some(([type]) => this.ofType(value, type) !== none) ||
      this.#hasString(this.ofType(value, STRING)) ||
      this.#hasNumber(this.ofType(value, NUMBER)) ||
      disjuncts(this.ofType(value, ARRAY)).some((array) => this.#arrayFlow(array).canEnd()) ||
      this.#objectDisjuncts(value).some((object) => this.#objectFlow(object).canEnd())
    );
  }

  /** The strings of a formula of string atoms. */
  stringRegex(formula: Value): Regex {
    let regex = this.#strings.get(formula);
    if (!regex) this.#strings.set(formula, (regex = combine(formula, this.values, anyText, 'string')));
    return regex;
  }

  /** The number texts of a formula of number atoms. */
  numberRegex(formula: Value): Regex {
    let regex = this.#numbers.get(formula);
    if (!regex) this.#numbers.set(formula, (regex = this.#makeNumberRegex(formula)));
    return regex;
  }

  #makeNumberRegex(formula: Value): Regex {
    if (formula === this.values.all) return anyNumber;
    if (formula === this.values.none) return nothing;
    const atoms = formula.shape.kind === 'and' ? formula.shape.parts : [formula];
    const integers = atoms.some(({ shape }) => shape.kind === 'number' && !shape.negated && shape.numbers.integers);
    const spelling = spelledNumbers(integers ? 'integer' : 'plain', mostDigits(formula));
    return both(spelling, combine(formula, this.values, anyText, 'number'));
  }

  /**
   * Looks at the arrays that a set's values may hold, as far as they can be told beforehand.
   * @throws GrammarError when items must be unique in a way that is not supported
   */
  checkUniqueItems(root: Value): void {
    const found = new Set([root]);
    for (const value of found) {
      if (found.size > MAX_CHECKED || !this.satisfiable(value)) continue;
      for (const array of disjuncts(this.ofType(value, ARRAY))) {
        for (const item of this.#arrayFlow(array).itemValues()) found.add(item);
      }
      for (const object of this.#objectDisjuncts(value)) {
        for (const member of this.#objectFlow(object).memberValues()) found.add(member);
      }
    }
  }

  /**
   * The arrays and objects of a set, as items that are told apart. Objects have their declared members alone, so that all
   * members come in one order.
   * @throws GrammarError when there are several orders
   */
  itemContainers(value: Value, where: string): { flow: ContainerFlow; kind: 'array' | 'object' }[] {
    const found: { flow: ContainerFlow; kind: 'array' | 'object' }[] = [];
    for (const array of disjuncts(this.ofType(value, ARRAY))) {
      const flow = this.#arrayFlow(array);
      if (flow.canEnd()) found.push({ flow, kind: 'array' });
    }
    for (const object of this.#objectDisjuncts(value)) {
      if (!this.#objectFlow(object).canEnd()) continue;
      const { declared } = new MemberNames(this, object);
      if (declared.length === 0) throw new GrammarError(`${where}: not supported for objects without declared members`);
      const properties = new Map(declared.map((name) => [name, this.values.all]));
      const closed = this.values.members({ properties, patterns: [], others: this.values.none });
      for (const part of disjuncts(this.values.and(object, closed))) {
        const flow = this.#objectFlow(part);
        if (flow.canEnd()) found.push({ flow, kind: 'object' });
      }
    }
    if (found.length > 1 && (found.length > 2 || found[0].kind === found[1].kind)) {
      throw new GrammarError(`${where}: not supported for arrays or objects that are written in several ways`);
    }
    return found;
  }

  /** The names of a set's objects in their order; undefined when it has none. */
  memberOrder(value: Value): string | undefined {
    const [object] = this.#objectDisjuncts(value);
    return object && JSON.stringify(new MemberNames(this, object).declared);
  }

  #hasString(formula: Value): boolean {
    if (formula === this.values.all) return true;
    return formula !== this.values.none && this.languages.hasText(this.stringRegex(formula));
  }

  #hasNumber(formula: Value): boolean {
    if (formula === this.values.all) return true;
    return formula !== this.values.none && this.languages.hasText(this.numberRegex(formula));
  }

  #stringTerminal(formula: Value): Terminal {
    if (formula === this.values.all) return anyString;
    let terminal = this.#stringTerminals.get(formula);
    if (!terminal) this.#stringTerminals.set(formula, (terminal = jsonString(this.stringRegex(formula))));
    return terminal;
  }

  #numberTerminal(formula: Value): Terminal {
    if (formula === this.values.all) return anyNumberText;
    let terminal = this.#numberTerminals.get(formula);
    if (!terminal) {
      const { shape } = formula;
      const plain = shape.kind === 'number' && !shape.negated && shape.numbers.integers && shape.numbers.digits === 0;
      terminal = plain ? plainIntegerText : text(this.numberRegex(formula));
      this.#numberTerminals.set(formula, terminal);
    }
    return terminal;
  }

  #wordTerminal(mask: number): Terminal {
    let terminal = this.#words.get(mask);
    if (!terminal) {
      terminal = text(either(...WORDS.flatMap(([type, word]) => (mask & type ? [literal(word)] : []))));
      this.#words.set(mask, terminal);
    }
    return terminal;
  }

  #arrayFlow(formula: Value): ArrayFlow {
    let flow = this.#arrays.get(formula);
    if (!flow) {
      this.#budget.spend(FLOW_COST);
      this.#arrays.set(formula, (flow = new ArrayFlow(this, formula)));
    }
    return flow;
  }

  #objectFlow(formula: Value): ObjectFlow {
    let flow = this.#objects.get(formula);
    if (!flow) {
      this.#budget.spend(FLOW_COST);
      this.#objects.set(formula, (flow = new ObjectFlow(this, formula)));
    }
    return flow;
  }

  #objectDisjuncts(value: Value): readonly Value[] {
    const formula = this.ofType(value, OBJECT);
    let list = this.#objectLists.get(formula);
    if (!list) this.#objectLists.set(formula, (list = disjuncts(formula).flatMap((part) => this.#byOrder(part))));
    return list;
  }

  /** A formula, cut into disjuncts when its branches name the same members in different orders. */
  #byOrder(formula: Value): readonly Value[] {
    const { shape } = formula;
    if (shape.kind !== 'and') return [formula];
    const choices = shape.parts.filter((part) => part.shape.kind === 'or');
    const count = choices.reduce(
      (product, { shape: inner }) => product * (inner.kind === 'or' ? inner.parts.length : 1),
      1,
    );
    if (count === 1 || count > MAX_ORDERS) return [formula];
    let cut: Value[] = [this.values.all];
    for (const part of shape.parts) {
      cut = cut.flatMap((some) => disjuncts(part).map((branch) => this.values.and(some, branch)));
    }
    const whole = new MemberNames(this, formula).indices;
    const keepsOrder = (branch: Value) => {
      const indices = new MemberNames(this, branch).declared.map((name) => whole.get(name)!);
      return indices.every((index, i) => i === 0 || index > indices[i - 1]);
    };
    return cut.every(keepsOrder) ? [formula] : cut;
  }
}

/** The parts of a disjunction. Each becomes a flow of its own, so each may have its own order of names. */
function disjuncts(value: Value): readonly Value[] {
  if (value.shape.kind === 'none') return [];
  return value.shape.kind === 'or' ? value.shape.parts : [value];
}

/** The members that a formula asks for, with what it asks of their values. */
function requiredMembers(formula: Value): ReadonlyMap<string, Value> {
  const parts = formula.shape.kind === 'and' ? formula.shape.parts : [formula];
  const names = new Set(parts.flatMap(({ shape }) => (shape.kind === 'required' ? [shape.name] : [])));
  const members = new Map<string, Value>();
  for (const { shape } of parts) {
    if (shape.kind !== 'members') continue;
    for (const [name, value] of shape.table.properties) if (names.has(name)) members.set(name, value);
  }
  return members;
}

/** The language of a formula of string or number atoms. */
function combine(formula: Value, values: Values, all: Regex, kind: 'string' | 'number'): Regex {
  const { shape } = formula;
  if (formula === values.all) return all;
  if (shape.kind === 'and') return both(...shape.parts.map((part) => combine(part, values, all, kind)));
  if (shape.kind === 'or') return either(...shape.parts.map((part) => combine(part, values, all, kind)));
  if (shape.kind === 'string') return shape.negated ? not(shape.regex) : shape.regex;
  if (shape.kind === 'number') return shape.negated ? not(shape.numbers.regex) : shape.numbers.regex;
  return nothing;
}

/** The most digits that a bound in a formula of number atoms has. */
function mostDigits({ shape }: Value): number {
  if (shape.kind === 'number') return shape.numbers.digits;
  return shape.kind === 'and' || shape.kind === 'or' ? Math.max(...shape.parts.map(mostDigits)) : 0;
}
