/**
 * Arrays and objects as items that must be unique. What is kept of an item is its *identity*: the names and scalars from its
 * start up to the third string that has many values; strings by a remainder, numbers only before the first string. Members come in one order, so the
 * identities of equal items are equal, or one is the beginning of the other. Where neither is, the items differ; so items
 * are only taken when that is so. Some that differ behind their identities alone are not taken.
 */

import { type Flow, type FlowState, type FlowStep, type Node, sequence } from '../ir.ts';
import { ANY_HASH, scalarParts } from './distinct.ts';
import type { Lowering } from './lowering.ts';
import { ARRAY, NUMBER, OBJECT, type Value } from './values.ts';

/** A flow of an array or an object, and what its steps stand for. */
export interface ContainerFlow {
  readonly node: Flow;
  /** The names that may come next, by their labels. */
  openNames(state: FlowState): ReadonlyMap<number, string>;
  /** Some of the names. */
  namesNode(labels: readonly number[]): Node;
  /** The set that a step's item or member's value comes from; undefined for steps that are punctuation or names. */
  leafOf(match: Node): { readonly value: Value; readonly before: Node | undefined } | undefined;
}

type Leaf = NonNullable<ReturnType<ContainerFlow['leafOf']>>;

/** Identities by number, so that labels can name them. */
export class Identities {
  readonly #texts: string[] = [];
  readonly #numbers = new Map<string, number>();

  number(text: string): number {
    let number = this.#numbers.get(text);
    if (number === undefined) this.#numbers.set(text, (number = this.#texts.push(text) - 1));
    return number;
  }

  text(number: number): string {
    return this.#texts[number];
  }
}

/** The steps of containers, which many flows follow. */
const knownSteps = new WeakMap<ContainerFlow, Map<FlowState, readonly FlowStep[]>>();

function stepsOf(container: ContainerFlow, state: FlowState): readonly FlowStep[] {
  let known = knownSteps.get(container);
  if (!known) knownSteps.set(container, (known = new Map()));
  let steps = known.get(state);
  if (!steps) known.set(state, (steps = container.node.steps(state)));
  return steps;
}

/** Where a text is: in the container, with its identity so far. */
interface State {
  readonly base: FlowState;
  readonly identity: string;
  /** Scalars of many values that the identity may still take up; 0 when it is done. */
  readonly left: number;
}

/** Scalars of many values in an identity. */
const MOST_WIDE = 3;

/** States looked at to find one from which the item can end unlike all others. */
const MAX_SEARCHED = 20_000;
const MAX_DEPTH = 500;
const DEAD = 'dead';
/** In identities: an array or an object, and the end of an item without a wide scalar. */
const CONTAINER = '*';
const END = '.';

export class IdentityFlow {
  /** Ends with the number of the item's identity as its label. */
  readonly node: Flow;
  readonly #lowering: Lowering;
  readonly #container: ContainerFlow;
  readonly #identities: Identities;
  /** Identities of the items before. */
  readonly #taken: readonly string[];
  readonly #states = new Map<FlowState, State>();
  readonly #steps = new Map<FlowState, readonly FlowStep[]>();
  readonly #finishable = new Map<FlowState, boolean>();
  #searched = 0;

  constructor(lowering: Lowering, container: ContainerFlow, identities: Identities, taken: readonly string[]) {
    this.#lowering = lowering;
    this.#container = container;
    this.#identities = identities;
    this.#taken = taken;
    this.node = {
      kind: 'flow',
      start: this.#state(container.node.start, '', MOST_WIDE),
      steps: (state) => {
        lowering.refill();
        return this.#stepsOf(state);
      },
      ends: (state) => state !== DEAD && this.#mayEnd(this.#states.get(state)!),
      endLabel: (state) => identities.number(wholeOf(this.#states.get(state)!)),
      needs: [],
    };
  }

  /** True when there is an item unlike those before. */
  canStart(): boolean {
    return this.#canFinish(this.node.start);
  }

  /** True when there are items without end that differ. */
  isEndless(): boolean {
    return this.#isEndless(this.node.start, 0);
  }

  #isEndless(id: FlowState, depth: number): boolean {
    const state = this.#states.get(id);
    if (!state || state.left === 0 || depth > MAX_DEPTH || ++this.#searched > MAX_SEARCHED) return false;
    return stepsOf(this.#container, state.base).some(({ match, next }) => {
      const leaf = this.#container.leafOf(match);
      if (typeof next === 'function') {
        const names = [...this.#container.openNames(state.base)];
        return (
          !leaf && names.some(([label, name]) => this.#isEndless(this.#afterName(state, name, next(label)), depth + 1))
        );
      }
      if (!leaf) return this.#isEndless(this.#state(next, state.identity, state.left), depth + 1);
      const parts = scalarParts(this.#lowering, leaf.value, [], !hasString(state.identity));
      if (parts.some(({ keys }) => keys === undefined)) return true;
      const key = parts.flatMap(({ keys }) => keys!)[0];
      return key !== undefined && this.#isEndless(this.#afterScalar(state, key, false, next), depth + 1);
    });
  }

  #state(base: FlowState, identity: string, left: number): FlowState {
    const id = `${left} ${this.#identities.number(identity)} ${base}`;
    if (!this.#states.has(id)) this.#states.set(id, { base, identity, left });
    return id;
  }

  #mayEnd(state: State): boolean {
    return this.#container.node.ends(state.base) && (state.left === 0 || !this.#isTaken(wholeOf(state)));
  }

  /** True when the item could be equal to one before. */
  #isTaken(identity: string): boolean {
    return this.#taken.some((other) => other.startsWith(identity) || identity.startsWith(other));
  }

  #stepsOf(id: FlowState): readonly FlowStep[] {
    if (id === DEAD) return [];
    let steps = this.#steps.get(id);
    if (!steps) {
      const state = this.#states.get(id)!;
      steps = stepsOf(this.#container, state.base).flatMap((step) => this.#follow(state, step));
      this.#steps.set(id, steps);
    }
    return steps;
  }

  #follow(state: State, { match, next }: FlowStep): FlowStep[] {
    const { base, identity, left } = state;
    const leaf = this.#container.leafOf(match);
    if (leaf && left > 0) return typeof next === 'function' ? [] : this.#identify(state, leaf, next);
    if (typeof next !== 'function') {
      const after = this.#state(next, identity, left);
      return this.#canFinish(after) ? [{ match, next: after }] : [];
    }
    const names = this.#container.openNames(base);
    const after = (label: number) => this.#afterName(state, names.get(label), next(label));
    if (left === 0) return [{ match, next: after }];
    // Names that lead to no end are left out: a name that is written cannot be taken back.
    const open = [...names.keys()].filter((label) => this.#canFinish(after(label)));
    if (open.length === 0) return [];
    return [{ match: open.length === names.size ? match : this.#container.namesNode(open), next: after }];
  }

  #afterName({ identity, left }: State, name: string | undefined, next: FlowState): FlowState {
    if (name === undefined) return DEAD;
    return this.#state(next, left === 0 ? identity : `${identity}${JSON.stringify(name)}:`, left);
  }

  /** Steps for a scalar that belongs to the identity, and for a container that ends it. */
  #identify(state: State, { value, before }: Leaf, next: FlowState): FlowStep[] {
    const lowering = this.#lowering;
    const behind = (node: Node) => (before ? sequence(before, node) : node);
    const steps: FlowStep[] = [];
    const withNumbers = !hasString(state.identity);
    for (const { terminal, keyOf, keys, isHashed, among } of scalarParts(
      lowering,
      value,
      this.#barred(state, next),
      withNumbers,
    )) {
      const after = (label: number) => {
        const key = keyOf(label);
        const grown = key === undefined ? DEAD : this.#afterScalar(state, key, keys === undefined, next);
        return this.#canFinish(grown) ? grown : DEAD;
      };
      const afterAny = isHashed ? this.#afterScalar(state, ANY_HASH, true, next) : DEAD;
      // Unlike all items before, whatever the string is.
      const isUnlike = (key: string) => !this.#isTaken(`${state.identity}${key};`);
      const alike = (label: number) => {
        const key = keyOf(label);
        return key !== undefined && isUnlike(key) ? afterAny : after(label);
      };
      const open = keys?.flatMap((_, label) => (after(label) === DEAD ? [] : [label]));
      if (open?.length === 0) continue;
      const match = behind(open && open.length < keys!.length ? among(open) : terminal);
      steps.push({ match, next: after, alike: isHashed ? alike : undefined });
    }
    const passed = this.#state(next, state.identity, state.left);
    const numbers = this.#ofTypes(value, NUMBER);
    if (!withNumbers && numbers && this.#canFinish(passed)) {
      steps.push({ match: behind(lowering.node(numbers)), next: passed });
    }
    const containers = this.#ofTypes(value, ARRAY | OBJECT);
    const grown = `${state.identity}${CONTAINER}`;
    if (containers && !this.#isTaken(grown)) {
      steps.push({ match: behind(lowering.node(containers)), next: this.#state(next, grown, 0) });
    }
    return steps;
  }

  #afterScalar({ identity, left }: State, key: string, isWide: boolean, next: FlowState): FlowState {
    const grown = `${identity}${key};`;
    const after = isWide ? left - 1 : left;
    return after === 0 && this.#isTaken(grown) ? DEAD : this.#state(next, grown, after);
  }

  /** What of a set is of some types; undefined when nothing is. */
  #ofTypes(value: Value, types: number): Value | undefined {
    const { values } = this.#lowering;
    const some = values.and(value, values.types(types));
    return this.#lowering.satisfiable(some) ? some : undefined;
  }

  /** Keys of scalars of many values after which the item could not end unlike those before. */
  #barred(state: State, next: FlowState): string[] {
    const { identity } = state;
    const keys = this.#taken.flatMap((other) => {
      const end = other.indexOf(';', identity.length);
      return other.startsWith(identity) && end > 0 ? [other.slice(identity.length, end)] : [];
    });
    return [...new Set(keys)].filter((key) => !this.#canFinish(this.#afterScalar(state, key, true, next)));
  }

  /** True when the item can end unlike all before; false also when that was not found out. */
  #canFinish(id: FlowState, depth = 0): boolean {
    if (id === DEAD) return false;
    const state = this.#states.get(id)!;
    if (state.left === 0 || this.#mayEnd(state) || !this.#isTaken(state.identity)) return true;
    const known = this.#finishable.get(id);
    if (known !== undefined) return known;
    if (++this.#searched > MAX_SEARCHED || depth > MAX_DEPTH) return false;
    if (this.#taken.some((other) => state.identity.startsWith(other))) return false;
    // The last steps are those to the end.
    const steps = [...stepsOf(this.#container, state.base)].reverse();
    const found = steps.some((step) => this.#leads(state, step, depth + 1));
    this.#finishable.set(id, found);
    return found;
  }

  #leads(state: State, { match, next }: FlowStep, depth: number): boolean {
    const { base, identity, left } = state;
    const leaf = this.#container.leafOf(match);
    if (typeof next === 'function') {
      if (leaf) return false;
      return [...this.#container.openNames(base)].some(([label, name]) =>
        this.#canFinish(this.#afterName(state, name, next(label)), depth),
      );
    }
    if (!leaf) return this.#canFinish(this.#state(next, identity, left), depth);
    const withNumbers = !hasString(identity);
    const parts = scalarParts(this.#lowering, leaf.value, this.#barred(state, next), withNumbers);
    return (
      (!withNumbers &&
        this.#ofTypes(leaf.value, NUMBER) !== undefined &&
        this.#canFinish(this.#state(next, identity, left), depth)) ||
      parts.some(({ keys }) => keys === undefined) ||
      (!this.#isTaken(`${identity}${CONTAINER}`) && this.#ofTypes(leaf.value, ARRAY | OBJECT) !== undefined) ||
      parts.some(({ keys }) => keys!.some((key) => this.#canFinish(this.#afterScalar(state, key, false, next), depth)))
    );
  }
}

/** Numbers count only before the first string: each is a text of its own, and all must be looked at. */
function hasString(identity: string): boolean {
  return identity.includes('#');
}

function wholeOf({ identity, left }: State): string {
  return left === 0 ? identity : `${identity}${END}`;
}
