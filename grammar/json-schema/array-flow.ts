/** Arrays: one formula after another, from item to item. */

import { GrammarError } from '../errors.ts';
import { type Flow, type FlowState, type FlowStep, type Node, untold } from '../ir.ts';
import { type Alternative, alternatives } from './alternatives.ts';
import { distinctTexts, isAnyContainer, MAX_DISTINCT, stringsIn } from './distinct.ts';
import { EndSearch, type Way } from './end-search.ts';
import type { ContainerFlow } from './identity-flow.ts';
import type { Lowering } from './lowering.ts';
import { ARRAY, type Value } from './values.ts';

const INFINITY = Number.POSITIVE_INFINITY;
/** Counts above this are taken for this much when only an end is searched for. */
const SEARCHED_COUNT = 256;

/** Most formulas of one array that are looked at for what is not supported. */
const MAX_EXPLORED = 300;

type Stage = 'start' | 'first' | 'after' | 'more' | 'end' | 'dead' | 'untold';

/** Where a text is in an array. */
interface State {
  readonly stage: Stage;
  /** What must hold of the items that follow. */
  readonly formula: Value;
  /** What was written so far, where items must be unique. */
  readonly written: readonly string[];
}

export class ArrayFlow implements ContainerFlow {
  readonly node: Flow;
  readonly #lowering: Lowering;
  readonly #start: Value;
  /** Where the schema asks for unique items. */
  readonly #uniqueAt: string | undefined;
  /** The names of items that are objects, where items must be unique. */
  #order: string | undefined;
  /** See {@link distinctTexts}. */
  #mixed: boolean | undefined;
  readonly #states = new Map<FlowState, State>();
  readonly #alternatives = new Map<Value, readonly Alternative[]>();
  readonly #known = new Map<Value, readonly Alternative[]>();
  readonly #clamped = new Map<Value, Value>();
  readonly #ends: EndSearch<Value>;
  readonly #leaves = new Map<Node, Value>();

  /** @throws GrammarError when items must be unique in a way that is not supported */
  constructor(lowering: Lowering, formula: Value) {
    this.#lowering = lowering;
    const { values } = lowering;
    const parts = formula.shape.kind === 'and' ? formula.shape.parts : [formula];
    const unique = parts.find(({ shape }) => shape.kind === 'unique');
    this.#start = unique ? values.and(...parts.filter((part) => part !== unique)) : formula;
    const atMostOne = parts.some(({ shape }) => shape.kind === 'count' && shape.max <= 1);
    if (unique?.shape.kind === 'unique' && !atMostOne) this.#uniqueAt = unique.shape.where;
    this.#ends = new EndSearch<Value>(
      lowering,
      (state) => String(state.id),
      (state) => this.#isEnd(state),
      (state) => this.#ways(state),
    );
    const start = this.#state('start', this.#start, []);
    this.node = {
      kind: 'flow',
      start,
      steps: (state) => {
        lowering.refill();
        return this.#steps(this.#states.get(state)!);
      },
      ends: (state) => state === 'end',
      needs: [],
    };
  }

  openNames(): ReadonlyMap<number, string> {
    return new Map();
  }

  namesNode(): Node {
    throw new TypeError('an array has no names');
  }

  leafOf(match: Node) {
    const value = this.#leaves.get(match);
    return value && { value, before: undefined };
  }

  /** True when there is such an array. */
  canEnd(): boolean {
    return this.#canEnd(this.#start, []);
  }

  /**
   * The sets that items come from.
   * @throws GrammarError when items must be unique in a way that is not supported
   */
  itemValues(): Value[] {
    const found = new Set<Value>();
    const formulas = new Set([this.#start]);
    for (const formula of formulas) {
      for (const { value, next } of this.#alternativesOf(formula)) {
        if (this.#uniqueAt && this.#lowering.satisfiable(value)) this.#distinct(value);
        found.add(value);
        if (formulas.size < MAX_EXPLORED) formulas.add(this.#clamp(next));
      }
    }
    return [...found];
  }

  #state(stage: Stage, formula: Value, written: readonly string[]): FlowState {
    const id =
      stage === 'end' || stage === 'dead' || stage === 'untold' ? stage : `${stage} ${formula.id} ${written.join(' ')}`;
    if (!this.#states.has(id)) this.#states.set(id, { stage, formula, written });
    return id;
  }

  #steps({ stage, formula, written }: State): FlowStep[] {
    const { punctuation } = this.#lowering;
    const steps: FlowStep[] = [];
    if (stage === 'untold' || this.#isUntold(stage, formula, written)) return [{ match: untold, next: 'dead' }];
    switch (stage) {
      case 'start':
        return [{ match: punctuation.openArray, next: this.#state('first', formula, written) }];
      case 'first':
      case 'more':
        for (const { value, next } of this.#openAlternatives(formula, written)) {
          if (this.#uniqueAt) steps.push(...this.#uniqueSteps(value, next, written));
          else steps.push({ match: this.#item(value), next: this.#state('after', next, written) });
        }
        if (stage === 'first' && this.#isEnd(formula)) {
          steps.push({ match: punctuation.emptyArray, next: this.#state('end', formula, written) });
        }
        return steps;
      case 'after':
        if (this.#openAlternatives(formula, written).length > 0) {
          steps.push({ match: punctuation.comma, next: this.#state('more', formula, written) });
        }
        if (this.#isEnd(formula)) {
          steps.push({ match: punctuation.closeArray, next: this.#state('end', formula, written) });
        }
        return steps;
      default:
        return steps;
    }
  }

  #item(value: Value): Node {
    const node = this.#lowering.node(value);
    this.#leaves.set(node, value);
    return node;
  }

  #openAlternatives(formula: Value, written: readonly string[]): Alternative[] {
    return this.#alternativesOf(formula).filter(
      ({ value, next }) =>
        this.#lowering.satisfiable(value) &&
        (!this.#uniqueAt || this.#hasOthers(value, written)) &&
        this.#canEnd(next, written),
    );
  }

  /** Steps for an item that must differ from those before. */
  #uniqueSteps(value: Value, next: Value, written: readonly string[]): FlowStep[] {
    const after = (key: string) => {
      const all = [...written, key].sort();
      return this.#canEnd(next, all) ? this.#state('after', next, all) : this.#state('dead', next, []);
    };
    return this.#distinct(value)
      .parts(written)
      .map(({ node, keyOf, any }) => {
        const isTold = any === undefined || !written.includes(any);
        const afterAny = any === undefined ? undefined : isTold ? after(any) : this.#state('untold', next, []);
        const choose = (label: number, of: (key: string) => FlowState) => {
          const key = keyOf(label);
          const isWritten = key === undefined || (key !== any && written.includes(key));
          return isWritten ? this.#state('dead', next, []) : of(key);
        };
        return {
          match: node,
          next: (label: number) => choose(label, (key) => (isTold && key !== any ? after(key) : afterAny!)),
          alike: afterAny === undefined ? undefined : (label: number) => choose(label, () => afterAny),
        };
      });
  }

  #distinct(value: Value) {
    const order = this.#lowering.memberOrder(value);
    this.#order ??= order;
    if (order !== undefined && order !== this.#order) {
      throw new GrammarError(`${this.#uniqueAt}: not supported for items with members in different orders`);
    }
    this.#mixed ??= this.#isMixed();
    return distinctTexts(this.#lowering, value, this.#uniqueAt!, this.#mixed);
  }

  /** True when some items are of few strings and others of many; also when that was not found out. */
  #isMixed(): boolean {
    const { values } = this.#lowering;
    // How many items there are says nothing of what they are.
    const uncounted = (formula: Value) => {
      const parts = formula.shape.kind === 'and' ? formula.shape.parts : [formula];
      return values.and(...parts.filter(({ shape }) => shape.kind !== 'count'));
    };
    const found = new Set<string>();
    const formulas = new Set([uncounted(this.#start)]);
    for (const formula of formulas) {
      if (formulas.size > MAX_EXPLORED) return true;
      for (const { value, next } of this.#alternativesOf(formula)) {
        found.add(stringsIn(this.#lowering, value));
        formulas.add(uncounted(next));
      }
    }
    return found.has('few') && found.has('many');
  }

  /** True when some value of a set is not written yet. */
  #hasOthers(value: Value, written: readonly string[]): boolean {
    const { size, endless, parts } = this.#distinct(value);
    return size === undefined ? endless || parts(written).length > 0 : this.#left(value, written) > 0;
  }

  /** True when it depends on what exactly an item was whether there are others. */
  #isUntold(stage: Stage, formula: Value, written: readonly string[]): boolean {
    if (stage !== 'after' || !written.some(isAnyContainer)) return false;
    return this.#alternativesOf(formula).some(({ value }) => {
      if (!this.#lowering.satisfiable(value)) return false;
      const { size, endless } = this.#distinct(value);
      return size === undefined && !endless;
    });
  }

  /** How many values of a finite set are not written yet. */
  #left(value: Value, written: readonly string[]): number {
    const { size, has } = this.#distinct(value);
    return size === undefined ? INFINITY : size - written.filter((key) => has(key)).length;
  }

  #canEnd(formula: Value, written: readonly string[]): boolean {
    if (formula === this.#lowering.values.none || !this.#ends.canEnd(this.#clamp(formula))) return false;
    if (!this.#uniqueAt) return true;
    // As many different values must be left as items are still asked for; enough when all items are of one set.
    const parts = formula.shape.kind === 'and' ? formula.shape.parts : [formula];
    const missing = Math.max(0, ...parts.map(({ shape }) => (shape.kind === 'count' ? shape.min : 0)));
    if (missing === 0) return true;
    if (missing > MAX_DISTINCT)
      throw new GrammarError(`${this.#uniqueAt}: at most ${MAX_DISTINCT} unique items are supported`);
    const sets = this.#alternativesOf(formula).map(({ value }) => value);
    if (missing > 1 && sets.some((value) => !this.#distinct(value).size && !this.#distinct(value).endless)) {
      throw new GrammarError(
        `${this.#uniqueAt}: not supported for several items of few values that are arrays or objects`,
      );
    }
    return sets.some((value) => this.#left(value, written) >= missing);
  }

  #isEnd(formula: Value): boolean {
    const { shape } = formula;
    switch (shape.kind) {
      case 'all':
      case 'items':
        return true;
      case 'and':
        return shape.parts.every((part) => this.#isEnd(part));
      case 'or':
        return shape.parts.some((part) => this.#isEnd(part));
      case 'contains':
      case 'count':
        return shape.min === 0;
      default:
        return false;
    }
  }

  *#ways(formula: Value): Iterable<Way<Value>> {
    for (const { value, next } of this.#alternativesOf(formula)) {
      yield { open: () => this.#lowering.satisfiable(value), next: this.#clamp(next) };
    }
  }

  #alternativesOf(formula: Value): readonly Alternative[] {
    let list = this.#alternatives.get(formula);
    if (!list) {
      const lowering = this.#lowering;
      list = alternatives(
        lowering.values,
        formula,
        (atom) => this.#ofAtom(atom),
        // What is only assumed to have no value may have one.
        (value) => lowering.satisfiable(value) || lowering.assuming,
        this.#known,
      );
      this.#alternatives.set(formula, list);
    }
    return list;
  }

  #ofAtom(atom: Value): Alternative[] {
    const { values } = this.#lowering;
    const { all } = values;
    const { shape } = atom;
    switch (shape.kind) {
      case 'items': {
        const { prefix, rest, at } = shape;
        if (at >= prefix.length) return [{ value: rest, next: atom }];
        return [{ value: prefix[at], next: values.items(prefix, rest, at + 1) }];
      }
      case 'someItem': {
        const { prefix, rest, at } = shape;
        const broken = { value: values.not(at < prefix.length ? prefix[at] : rest), next: all };
        return [broken, { value: all, next: values.someItem(prefix, rest, Math.min(at + 1, prefix.length)) }];
      }
      case 'count':
        return shape.max === 0
          ? []
          : [{ value: all, next: values.count(ARRAY, Math.max(0, shape.min - 1), shape.max - 1) }];
      case 'contains': {
        const { value, min, max } = shape;
        const other = { value: max === INFINITY ? all : values.not(value), next: atom };
        if (max === 0) return [other];
        return [{ value, next: values.contains(value, Math.max(0, min - 1), max - 1) }, other];
      }
      case 'unique':
      case 'repeated':
        throw new GrammarError(`${shape.where}: not supported inside "not", "oneOf", "anyOf" or "if"`);
      default:
        return [];
    }
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
        const cut = Math.max(0, shape.min - SEARCHED_COUNT);
        return values.count(ARRAY, shape.min - cut, shape.max - cut);
      }
      case 'contains': {
        const cut = Math.max(0, shape.min - SEARCHED_COUNT);
        return values.contains(shape.value, shape.min - cut, shape.max - cut);
      }
      default:
        return formula;
    }
  }
}
