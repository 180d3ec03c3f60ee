/** Objects: one formula after another, from member to member; declared members in their order, all others behind them. */

import { GrammarError } from '../errors.ts';
import {
  either,
  type Flow,
  type FlowState,
  type FlowStep,
  jsonString,
  labelled,
  type Node,
  sequence,
  untold,
} from '../ir.ts';
import { type Alternative, alternatives } from './alternatives.ts';
import { ANY_HASH, hashedString, hashKey } from './distinct.ts';
import { EndSearch, type Way } from './end-search.ts';
import type { ContainerFlow } from './identity-flow.ts';
import { KeyTrie } from './key-trie.ts';
import type { Lowering } from './lowering.ts';
import { MemberNames } from './member-names.ts';
import { OBJECT, type Value } from './values.ts';

/** Counts above this are taken for this much when only an end is searched for. */
const SEARCHED_COUNT = 256;

type Stage = 'start' | 'first' | 'after' | 'more' | 'value' | 'end' | 'dead' | 'untold';

/** Where a text is in an object. */
interface State {
  readonly stage: Stage;
  /** What must hold of the members that follow; in stage `value`, of the one whose name was written and of those. */
  readonly formula: Value;
  /** Declared names before this index can no longer come. In stage `value`, the index of the name or class written. */
  readonly position: number;
  /** Which undeclared names were written, where they must not repeat. */
  readonly written: readonly string[];
}

export class ObjectFlow implements ContainerFlow {
  readonly node: Flow;
  readonly #lowering: Lowering;
  readonly #names: MemberNames;
  readonly #start: Value;
  /** True when it matters that an undeclared name is not written twice. */
  readonly #namesDiffer: boolean;
  readonly #states = new Map<FlowState, State>();
  readonly #alternatives = new Map<string, readonly Alternative[]>();
  /** By index: the alternatives of parts of formulas. */
  readonly #known: Map<Value, readonly Alternative[]>[] = [];
  readonly #clamped = new Map<Value, Value>();
  readonly #simplified = new Map<string, Value>();
  readonly #members = new Map<Value, Node>();
  readonly #leaves = new Map<Node, Value>();
  readonly #ends: EndSearch<{ readonly formula: Value; readonly position: number }>;
  #trie: KeyTrie | undefined;

  constructor(lowering: Lowering, formula: Value) {
    this.#lowering = lowering;
    this.#names = new MemberNames(lowering, formula);
    this.#start = this.#simplify(this.#listRequired(formula), 0);
    this.#namesDiffer = mustDiffer(formula);
    this.#ends = new EndSearch<{ readonly formula: Value; readonly position: number }>(
      lowering,
      (state) => `${state.formula.id} ${state.position}`,
      (state) => this.#isEnd(state.formula),
      (state) => this.#ways(state.formula, state.position),
    );
    this.node = {
      kind: 'flow',
      start: this.#state('start', this.#start, 0, []),
      steps: (state) => {
        lowering.refill();
        return this.#steps(this.#states.get(state)!);
      },
      ends: (state) => state === 'end',
      needs: [],
    };
  }

  openNames(state: FlowState): ReadonlyMap<number, string> {
    const { stage, formula, position } = this.#states.get(state)!;
    const names = new Map<number, string>();
    if (stage !== 'first' && stage !== 'more') return names;
    for (const label of this.#openNames(formula, position)) {
      if (label < this.#names.declared.length) names.set(label, this.#names.declared[label]);
    }
    return names;
  }

  namesNode(labels: readonly number[]): Node {
    this.#trie ??= new KeyTrie(this.#names.declared);
    return jsonString(this.#trie.regex(labels, -1), 'minimal');
  }

  leafOf(match: Node) {
    const value = this.#leaves.get(match);
    return value && { value, before: this.#lowering.punctuation.colon };
  }

  /** The names, in the order in which they are written. */
  get declared(): readonly string[] {
    return this.#names.declared;
  }

  /** True when there is such an object. */
  canEnd(): boolean {
    return this.#canEnd(this.#start, 0);
  }

  /** The sets that the values of members come from at first, as far as they can be told. */
  memberValues(): Value[] {
    const found = new Set<Value>();
    const count = this.#names.declared.length + this.#names.classes.length;
    for (let index = 0; index < count; index++) {
      for (const { value } of this.#possibleAlternatives(index)) found.add(value);
    }
    return [...found];
  }

  #possibleAlternatives(index: number): readonly Alternative[] {
    const { all } = this.#lowering.values;
    const anything = [{ value: all, next: all }];
    try {
      return alternatives(
        this.#lowering.values,
        this.#start,
        (atom) => (atom.shape.kind === 'requiredList' ? anything : this.#ofAtom(atom, index)),
        () => true,
        new Map(),
      );
    } catch (error) {
      // Too many of them: whether they can be told is found out when a text gets there.
      if (error instanceof GrammarError) return [];
      throw error;
    }
  }

  #state(stage: Stage, formula: Value, position: number, written: readonly string[]): FlowState {
    const id =
      stage === 'end' || stage === 'dead' || stage === 'untold'
        ? stage
        : `${stage} ${formula.id} ${position} ${written.join(' ')}`;
    if (!this.#states.has(id)) this.#states.set(id, { stage, formula, position, written });
    return id;
  }

  #steps({ stage, formula, position, written }: State): FlowStep[] {
    const { punctuation } = this.#lowering;
    const end = () => this.#state('end', formula, position, []);
    switch (stage) {
      case 'start':
        return [{ match: punctuation.openObject, next: this.#state('first', formula, position, written) }];
      case 'first': {
        const steps = this.#nameSteps(formula, position, written);
        if (this.#isEnd(formula)) steps.push({ match: punctuation.emptyObject, next: end() });
        return steps;
      }
      case 'more':
        return this.#nameSteps(formula, position, written);
      case 'value':
        return this.#openAlternatives(formula, position).map(({ value, next }) => ({
          match: this.#member(value),
          next: this.#state('after', next, this.#positionAfter(position), written),
        }));
      case 'after': {
        const steps: FlowStep[] = [];
        if (this.#openNames(formula, position).length > 0) {
          steps.push({ match: punctuation.comma, next: this.#state('more', formula, position, written) });
        }
        if (this.#isEnd(formula)) steps.push({ match: punctuation.closeObject, next: end() });
        return steps;
      }
      case 'untold':
        return [{ match: untold, next: 'dead' }];
      default:
        return [];
    }
  }

  /** The colon and the value of a member. */
  #member(value: Value): Node {
    let node = this.#members.get(value);
    if (!node) {
      node = sequence(this.#lowering.punctuation.colon, this.#lowering.node(value));
      this.#members.set(value, node);
      this.#leaves.set(node, value);
    }
    return node;
  }

  #nameSteps(formula: Value, position: number, written: readonly string[]): FlowStep[] {
    const open = this.#openNames(formula, position);
    const count = this.#names.declared.length;
    const declared = open.filter((index) => index < count);
    const classes = open.filter((index) => index >= count);
    const steps: FlowStep[] = [];
    const parts = classes.map((index) => labelled(this.#names.classes[index - count].regex, index));
    if (this.#namesDiffer) {
      for (const index of classes) {
        const { regex } = this.#names.classes[index - count];
        const after = (key: string) => this.#state('value', formula, index, [...written, key].sort());
        const isTold = !written.includes(ANY_HASH);
        const afterAny = isTold ? after(ANY_HASH) : this.#state('untold', formula, position, []);
        const choose = (label: number, of: (key: string) => FlowState) => {
          const key = hashKey(label);
          return key === undefined || written.includes(key) ? this.#state('dead', formula, position, []) : of(key);
        };
        steps.push({
          match: hashedString(this.#lowering, regex, written, 'minimal'),
          next: (label) => choose(label, isTold ? after : () => afterAny),
          alike: (label) => choose(label, () => afterAny),
        });
      }
      parts.length = 0;
    }
    // Without patterns all that are not declared are one class, which the trie can tell as well.
    const others = parts.length > 0 && !this.#names.hasPatterns ? classes[0] : -1;
    if (others >= 0) parts.length = 0;
    if (declared.length > 0 || others >= 0) {
      this.#trie ??= new KeyTrie(this.#names.declared);
      parts.unshift(this.#trie.regex(declared, others));
    }
    if (parts.length > 0) {
      const next = (label: number) => this.#state('value', formula, label, written);
      steps.push({ match: jsonString(either(...parts), 'minimal'), next });
    }
    return steps;
  }

  /** The declared names, by index, and the classes of others (counted behind them) that may come next. */
  #openNames(formula: Value, position: number): number[] {
    const open: number[] = [];
    const last = this.#firstRequired(formula);
    const count = this.#names.declared.length;
    const end = last === undefined ? count + this.#names.classes.length : last + 1;
    for (let index = position; index < end; index++) {
      if (this.#openAlternatives(formula, index).length > 0) open.push(index);
    }
    return open;
  }

  readonly #openByIndex = new Map<string, readonly Alternative[]>();

  #openAlternatives(formula: Value, index: number): readonly Alternative[] {
    const key = `${formula.id} ${index}`;
    let open = this.#openByIndex.get(key);
    if (!open) {
      open = this.#alternativesOf(formula, index).filter(
        ({ value, next }) => this.#lowering.satisfiable(value) && this.#canEnd(next, this.#positionAfter(index)),
      );
      this.#openByIndex.set(key, open);
    }
    return open;
  }

  #positionAfter(index: number): number {
    return Math.min(index + 1, this.#names.declared.length);
  }

  #canEnd(formula: Value, position: number): boolean {
    if (formula === this.#lowering.values.none) return false;
    return this.#ends.canEnd({ formula: this.#clamp(formula), position });
  }

  *#ways(formula: Value, position: number): Iterable<Way<{ readonly formula: Value; readonly position: number }>> {
    const required = this.#firstRequired(formula);
    if (required !== undefined) yield* this.#waysOf(formula, required);
    const end = required ?? this.#names.declared.length + this.#names.classes.length;
    for (let index = position; index < end; index++) yield* this.#waysOf(formula, index);
  }

  *#waysOf(formula: Value, index: number): Iterable<Way<{ readonly formula: Value; readonly position: number }>> {
    for (const { value, next } of this.#alternativesOf(formula, index)) {
      const state = { formula: this.#clamp(next), position: this.#positionAfter(index) };
      yield { open: () => this.#lowering.satisfiable(value), next: state };
    }
  }

  /** The index of the first name that must still come; those behind it cannot come before it. */
  #firstRequired(formula: Value): number | undefined {
    const { shape } = formula;
    const parts = shape.kind === 'and' ? shape.parts : [formula];
    const list = parts.find((part) => part.shape.kind === 'requiredList')?.shape;
    return list?.kind === 'requiredList' ? this.#names.indices.get(list.names[list.from]) : undefined;
  }

  /** Ways to go on when the name of an index is written. */
  #alternativesOf(formula: Value, index: number): readonly Alternative[] {
    const key = `${formula.id} ${index}`;
    let list = this.#alternatives.get(key);
    if (!list) {
      const lowering = this.#lowering;
      const { values } = lowering;
      const position = this.#positionAfter(index);
      list = alternatives(
        values,
        formula,
        (atom) => this.#ofAtom(atom, index),
        // What is only assumed to have no value may have one.
        (value) => lowering.satisfiable(value) || lowering.assuming,
        this.#knownAt(index),
      )
        .map(({ value, next }) => ({ value, next: this.#simplify(next, position) }))
        .filter(({ next }) => next !== values.none);
      this.#alternatives.set(key, list);
    }
    return list;
  }

  #knownAt(index: number): Map<Value, readonly Alternative[]> {
    this.#known[index] ??= new Map();
    return this.#known[index];
  }

  #ofAtom(atom: Value, index: number): Alternative[] {
    const { values } = this.#lowering;
    const { all } = values;
    const { shape } = atom;
    switch (shape.kind) {
      case 'members':
      case 'names':
        return [{ value: this.#names.valueOf(this.#names.table(atom), index), next: atom }];
      case 'someMember':
      case 'someName': {
        const broken = values.not(this.#names.valueOf(this.#names.table(atom), index));
        const unbroken = { value: all, next: atom };
        return broken === values.none ? [unbroken] : [{ value: broken, next: all }, unbroken];
      }
      case 'required':
        return [{ value: all, next: this.#names.declared[index] === shape.name ? all : atom }];
      case 'requiredList': {
        const wanted = this.#names.indices.get(shape.names[shape.from])!;
        if (index > wanted) return [];
        return [{ value: all, next: index < wanted ? atom : values.requiredList(shape.names, shape.from + 1) }];
      }
      case 'count': {
        const { min, max } = shape;
        return max === 0 ? [] : [{ value: all, next: values.count(OBJECT, Math.max(0, min - 1), max - 1) }];
      }
      default:
        return [];
    }
  }

  #isEnd(formula: Value): boolean {
    const { shape } = formula;
    switch (shape.kind) {
      case 'all':
      case 'members':
      case 'names':
        return true;
      case 'and':
        return shape.parts.every((part) => this.#isEnd(part));
      case 'or':
        return shape.parts.some((part) => this.#isEnd(part));
      case 'count':
        return shape.min === 0;
      default:
        return false;
    }
  }

  /** What is left of a formula when no declared name before a position can come. */
  #simplify(formula: Value, position: number): Value {
    const { values } = this.#lowering;
    const { shape } = formula;
    switch (shape.kind) {
      case 'and':
      case 'or': {
        const key = `${formula.id} ${position}`;
        let simplified = this.#simplified.get(key);
        if (!simplified) {
          simplified = values[shape.kind](...shape.parts.map((part) => this.#simplify(part, position)));
          this.#simplified.set(key, simplified);
        }
        return simplified;
      }
      case 'required':
        return this.#names.indices.get(shape.name)! < position ? values.none : formula;
      case 'members':
      case 'names':
        return this.#names.lastRelevant(this.#names.table(formula)) < position ? values.all : formula;
      case 'someMember':
      case 'someName':
        return this.#names.lastRelevant(this.#names.table(formula)) < position ? values.none : formula;
      default:
        return formula;
    }
  }

  /** One list, in the order of the names, of all that the formula requires in any case. */
  #listRequired(formula: Value): Value {
    const { values } = this.#lowering;
    const { shape } = formula;
    const parts = shape.kind === 'and' ? shape.parts : [formula];
    const names = parts.flatMap((part) => (part.shape.kind === 'required' ? [part.shape.name] : []));
    if (names.length === 0) return formula;
    names.sort((a, b) => this.#names.indices.get(a)! - this.#names.indices.get(b)!);
    return values.and(...parts.filter((part) => part.shape.kind !== 'required'), values.requiredList(names, 0));
  }

  /** The same formula with great counts made small. */
  #clamp(formula: Value): Value {
    let clamped = this.#clamped.get(formula);
    if (!clamped) this.#clamped.set(formula, (clamped = this.#makeClamped(formula)));
    return clamped;
  }

  #makeClamped(formula: Value): Value {
    const { values } = this.#lowering;
    const { shape } = formula;
    switch (shape.kind) {
      case 'and':
        return values.and(...shape.parts.map((part) => this.#clamp(part)));
      case 'or':
        return values.or(...shape.parts.map((part) => this.#clamp(part)));
      case 'count': {
        const least = SEARCHED_COUNT + this.#names.declared.length;
        const cut = Math.max(0, shape.min - least);
        return values.count(OBJECT, shape.min - cut, shape.max - cut);
      }
      default:
        return formula;
    }
  }
}

/** True for a formula that a name written twice could satisfy when its members, read with the last one winning, do not. */
function mustDiffer({ shape }: Value): boolean {
  switch (shape.kind) {
    case 'and':
    case 'or':
      return shape.parts.some(mustDiffer);
    case 'someMember':
    case 'someName':
      return true;
    case 'count':
      return shape.min > 1;
    default:
      return false;
  }
}
