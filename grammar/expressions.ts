/**
 * Regular expressions as states of lazy automata, by Brzozowski's derivatives ("Derivatives of Regular Expressions",
 * J. ACM 1964; with character classes as in Owens, Reppy and Turon, "Regular-expression derivatives re-examined", 2009).
 *
 * Expressions are interned: equal ones have one id, so states merge by themselves. What is left of an expression after a
 * character is another expression; intersection and complement cost no more than the others.
 */

import {
  automatonEdges,
  type Edges,
  lastAtMost,
  mapEdges,
  NOWHERE,
  overlayEdges,
  pairs,
  rangeEdges,
  withoutSurrogateEdges,
} from './edges.ts';
import {
  type Bounded,
  countCodePoints,
  coversAll,
  type Expression,
  type Labelling,
  type Lengths,
  mergeLabels,
  type Shape,
  withoutSurrogates,
} from './expression-shape.ts';
import type { Automaton, CharSet, Regex } from './ir.ts';
import type { Budget } from './limits.ts';
import { NearestFirst } from './nearest-first.ts';

const INFINITY = Number.POSITIVE_INFINITY;
const LAST_CODE_POINT = 0x10ffff;

/** Expression 0: no text. */
export const NOTHING = NOWHERE;
/** Expression 1: the empty text. */
export const EMPTY = 1;
/** Expression 2: any text. */
export const ANY_TEXT = 2;

/** States that are explored to learn the lengths of an expression's texts. */
const MAX_LENGTH_STATES = 100;

/** States in which the end of a text with a bound on its length is searched for before its lengths are. */
const FEW_STATES = 100;

const NO_LABELS: readonly number[] = [];

export class Expressions {
  readonly #budget: Budget;
  readonly #all: Expression[] = [];
  readonly #ids = new Map<string, number>();
  readonly #automata = new Map<Automaton, number>();
  readonly #imported = new WeakMap<Regex, number>();

  constructor(budget: Budget) {
    this.#budget = budget;
    this.#make('0', { kind: 'nothing' }, undefined, INFINITY, 0);
    this.#make('1', { kind: 'empty' }, NO_LABELS, 0, 0);
    this.#make('2', { kind: 'any' }, NO_LABELS, 0, INFINITY);
  }

  get size(): number {
    return this.#all.length;
  }

  /** The expression of a regex. */
  from(regex: Regex): number {
    const known = this.#imported.get(regex);
    if (known !== undefined) return known;
    const id = this.#convert(regex);
    this.#imported.set(regex, id);
    return id;
  }

  shape(id: number): Shape {
    return this.#all[id].shape;
  }

  /** The labels with which the text may end here (none when the regex has no labels); undefined where it may not end. */
  labels(id: number): readonly number[] | undefined {
    return this.#all[id].labels;
  }

  /** Where each character leads. */
  edges(id: number): Edges {
    const expression = this.#all[id];
    if (!expression.edges) {
      expression.edges = withoutSurrogateEdges(this.#derive(expression.shape));
      this.#budget.spend(expression.edges.starts.length);
    }
    return expression.edges;
  }

  /** Where one character leads. */
  next(id: number, codePoint: number): number {
    // Where the labels differ with every character, its edges are many, and few of them are ever gone along.
    if (this.labelling(id)) return this.#nextLabelled(id, codePoint);
    const { starts, targets } = this.edges(id);
    return targets[lastAtMost(starts, codePoint)];
  }

  #nextLabelled(id: number, codePoint: number): number {
    const { shape } = this.#all[id];
    switch (shape.kind) {
      case 'automaton':
        return this.#automaton(shape.automaton, shape.automaton.next!(shape.state, codePoint));
      case 'sized':
        return this.#sized(this.next(shape.body, codePoint), Math.max(0, shape.min - 1), shape.max - 1);
      case 'both': {
        const { essence } = this.labelling(id)!;
        if (!this.alive(this.next(essence, codePoint))) return NOTHING;
        return this.#both(shape.parts.map((part) => this.next(part, codePoint)));
      }
      default:
        throw new TypeError('not a labelled expression');
    }
  }

  /** True when some text is in the language. */
  alive(id: number): boolean {
    const expression = this.#all[id];
    expression.alive ??= expression.labels !== undefined || this.#findAlive(id, expression.shape);
    return expression.alive;
  }

  /** True when some character leads on. */
  hasNext(id: number): boolean {
    return this.someAlive(id, 0, LAST_CODE_POINT);
  }

  /** True when some character of a range leads on. */
  someAlive(id: number, low: number, high: number): boolean {
    const { starts, targets } = this.edges(this.essence(id));
    for (let i = lastAtMost(starts, low); i < starts.length && starts[i] <= high; i++) {
      if (this.alive(targets[i])) return true;
    }
    return false;
  }

  /** The one expression that all characters of a range lead to; undefined when they differ. */
  uniform(id: number, low: number, high: number): number | undefined {
    if (this.labelling(id)) return low === high ? this.next(id, low) : undefined;
    const { starts, targets } = this.edges(id);
    const first = lastAtMost(starts, low);
    for (let i = first + 1; i < starts.length && starts[i] <= high; i++) {
      if (targets[i] !== targets[first]) return undefined;
    }
    return targets[first];
  }

  /**
   * An expression without its bound on the length, if it has one that only says which of the other's texts are too short or
   * too long: as long as `slack` characters are left to the bound, both have the same ways on.
   */
  unbounded(id: number): Bounded | undefined {
    const { shape } = this.#all[id];
    if (shape.kind === 'concat') {
      const head = this.unbounded(shape.head);
      // What follows may only come where enough characters are written.
      const isMark = this.#all[shape.tail].shape.kind === 'mark';
      if (!head || (head.min > 0 && !isMark)) return undefined;
      return { ...head, body: this.#concat(head.body, shape.tail), isWhole: head.isWhole && isMark };
    }
    if (shape.kind !== 'sized') return undefined;
    const { body, min, max } = shape;
    const lengths = this.lengths(body);
    return lengths && { body, min, max, slack: max - lengths.longestShortest, isWhole: true };
  }

  /** The automaton that only labels an expression's texts, and what the expression is without it; undefined without one. */
  labelling(id: number): Labelling | undefined {
    const expression = this.#all[id];
    if (expression.labelling === undefined) expression.labelling = this.#findLabelling(expression.shape) ?? null;
    return expression.labelling ?? undefined;
  }

  #findLabelling(shape: Shape): Labelling | undefined {
    switch (shape.kind) {
      case 'automaton':
        return shape.automaton.next && { essence: ANY_TEXT, automaton: shape.automaton, state: shape.state };
      case 'sized': {
        const inner = this.labelling(shape.body);
        return inner && { ...inner, essence: this.#sized(inner.essence, shape.min, shape.max) };
      }
      case 'both': {
        const own = shape.parts.find((part) => this.#all[part].shape.kind === 'automaton' && this.labelling(part));
        if (own === undefined) return undefined;
        return { ...this.labelling(own)!, essence: this.#both(shape.parts.filter((part) => part !== own)) };
      }
      default:
        return undefined;
    }
  }

  /** An expression without the automaton that only labels its texts. */
  essence(id: number): number {
    return this.labelling(id)?.essence ?? id;
  }

  /** An expression without the label that all its texts have, and the label; undefined where they have not. */
  marked(id: number): { readonly body: number; readonly label: number } | undefined {
    const { shape } = this.#all[id];
    if (shape.kind !== 'concat') return undefined;
    const tail = this.#all[shape.tail].shape;
    return tail.kind === 'mark' ? { body: shape.head, label: tail.label } : undefined;
  }

  /** The same expression with its bounds on the length changed. */
  withBounds(id: number, min: number, max: number): number {
    const shape = this.#all[id].shape;
    if (shape.kind === 'concat') return this.#concat(this.withBounds(shape.head, min, max), shape.tail);
    return shape.kind === 'sized' ? this.#sized(shape.body, min, max) : id;
  }

  /**
   * The shortest text of an expression and of all that it can become, when every text can be stretched: from each state
   * some character leads to a state that is as near to an end. Then a text of every length from the shortest on exists.
   */
  lengths(id: number): Lengths | undefined {
    const essence = this.essence(id);
    const expression = this.#all[essence];
    if (expression.lengths === undefined) this.#findLengths(essence);
    return expression.lengths ?? undefined;
  }

  #convert(regex: Regex): number {
    switch (regex.kind) {
      case 'nothing':
        return NOTHING;
      case 'literal':
        return this.#literal(regex.text);
      case 'chars':
        return this.#chars(regex.set);
      case 'concat':
        return regex.parts.reduceRight((tail, part) => this.#concat(this.from(part), tail), EMPTY);
      case 'either':
        return this.#either(regex.parts.map((part) => this.from(part)));
      case 'both':
        return this.#both(regex.parts.map((part) => this.from(part)));
      case 'not':
        return this.#not(this.from(regex.body));
      case 'repeat':
        return this.#repeat(this.from(regex.body), regex.min, regex.max);
      case 'automaton':
        return this.#automaton(regex.automaton, regex.state);
      case 'labelled':
        return this.#concat(this.from(regex.body), this.#mark(regex.label));
    }
  }

  #intern(key: string, make: () => number): number {
    return this.#ids.get(key) ?? make();
  }

  #make(
    key: string,
    shape: Shape,
    labels: readonly number[] | undefined,
    minLength: number,
    maxLength: number,
  ): number {
    const id = this.#all.push({ shape, labels, minLength, maxLength }) - 1;
    this.#ids.set(key, id);
    this.#budget.spend(1);
    return id;
  }

  #mark(label: number): number {
    const key = `m${label}`;
    return this.#intern(key, () => this.#make(key, { kind: 'mark', label }, [label], 0, 0));
  }

  /** The empty text with these labels. */
  #ended(labels: readonly number[]): number {
    return labels.length === 0 ? EMPTY : this.#either(labels.map((label) => this.#mark(label)));
  }

  #literal(text: string): number {
    if (text === '') return EMPTY;
    const key = `l${text}`;
    return this.#intern(key, () => {
      const length = countCodePoints(text);
      return this.#make(key, { kind: 'literal', text }, undefined, length, length);
    });
  }

  #chars(given: CharSet): number {
    const set = withoutSurrogates(given);
    if (set.length === 0) return NOTHING;
    const key = `c${set.join()}`;
    return this.#intern(key, () => this.#make(key, { kind: 'chars', set }, undefined, 1, 1));
  }

  #automaton(automaton: Automaton, state: number): number {
    if (automaton.takesAll?.(state)) return this.#concat(ANY_TEXT, this.#mark(automaton.accepts(state)));
    let index = this.#automata.get(automaton);
    if (index === undefined) this.#automata.set(automaton, (index = this.#automata.size));
    const key = `a${index},${state}`;
    return this.#intern(key, () => {
      const label = automaton.accepts(state);
      return this.#make(key, { kind: 'automaton', automaton, state }, label < 0 ? undefined : [label], 0, INFINITY);
    });
  }

  #concat(head: number, tail: number): number {
    if (head === NOTHING || tail === NOTHING) return NOTHING;
    if (head === EMPTY) return tail;
    if (tail === EMPTY) return head;
    const first = this.#all[head];
    if (first.shape.kind === 'concat') {
      return this.#concat(first.shape.head, this.#concat(first.shape.tail, tail));
    }
    const key = `.${head},${tail}`;
    return this.#intern(key, () => {
      const second = this.#all[tail];
      const min = first.minLength + second.minLength;
      const max = first.maxLength + second.maxLength;
      return this.#make(key, { kind: 'concat', head, tail }, first.labels && second.labels, min, max);
    });
  }

  #either(given: readonly number[]): number {
    const parts = this.#flatten('either', given, NOTHING);
    if (parts.length === 0) return NOTHING;
    if (parts.includes(ANY_TEXT)) return ANY_TEXT;
    if (parts.length === 1) return parts[0];
    const key = `|${parts.join()}`;
    return this.#intern(key, () => {
      this.#budget.spend(parts.length);
      const all = parts.map((part) => this.#all[part]);
      const min = all.reduce((least, { minLength }) => Math.min(least, minLength), INFINITY);
      const max = all.reduce((most, { maxLength }) => Math.max(most, maxLength), 0);
      return this.#make(key, { kind: 'either', parts }, mergeLabels(all), min, max);
    });
  }

  #both(given: readonly number[]): number {
    const parts = this.#flatten('both', given, ANY_TEXT);
    if (parts.includes(NOTHING)) return NOTHING;
    const sized = parts.find((part) => this.#all[part].shape.kind === 'sized');
    if (sized !== undefined) {
      const { body, min, max } = this.#all[sized].shape as Extract<Shape, { kind: 'sized' }>;
      return this.#sized(this.#both([body, ...parts.filter((part) => part !== sized)]), min, max);
    }
    if (parts.length === 0) return ANY_TEXT;
    if (parts.length === 1) return parts[0];
    const key = `&${parts.join()}`;
    return this.#intern(key, () => {
      this.#budget.spend(parts.length);
      const all = parts.map((part) => this.#all[part]);
      const min = all.reduce((most, { minLength }) => Math.max(most, minLength), 0);
      const max = all.reduce((least, { maxLength }) => Math.min(least, maxLength), INFINITY);
      if (min > max) return NOTHING;
      const labels = all.every((part) => part.labels) ? mergeLabels(all) : undefined;
      return this.#make(key, { kind: 'both', parts }, labels, min, max);
    });
  }

  /** Sorted distinct parts, with parts of the same kind opened and the neutral one left out. */
  #flatten(kind: 'either' | 'both', given: readonly number[], neutral: number): number[] {
    const parts = new Set<number>();
    for (const part of given) {
      const shape = this.#all[part].shape;
      if (shape.kind === kind) for (const inner of shape.parts) parts.add(inner);
      else if (part !== neutral) parts.add(part);
    }
    return [...parts].sort((a, b) => a - b);
  }

  #not(body: number): number {
    if (body === NOTHING) return ANY_TEXT;
    if (body === ANY_TEXT) return NOTHING;
    const { shape, labels } = this.#all[body];
    if (shape.kind === 'not') return shape.body;
    const key = `!${body}`;
    return this.#intern(key, () =>
      this.#make(key, { kind: 'not', body }, labels ? undefined : NO_LABELS, labels ? 1 : 0, INFINITY),
    );
  }

  #repeat(body: number, least: number, max: number): number {
    const { shape, labels, minLength, maxLength } = this.#all[body];
    const min = labels ? 0 : least;
    if (max === 0 || body === EMPTY) return EMPTY;
    if (body === NOTHING) return min === 0 ? EMPTY : NOTHING;
    if (min === 1 && max === 1) return body;
    if (body === ANY_TEXT) return ANY_TEXT;
    if (shape.kind === 'chars') {
      if (coversAll(shape.set)) return this.#sized(ANY_TEXT, min, max);
      if (min > 0 || max !== INFINITY) return this.#sized(this.#repeat(body, 0, INFINITY), min, max);
    }
    const key = `*${body},${min},${max}`;
    return this.#intern(key, () => {
      const shortest = min === 0 ? 0 : min * minLength;
      const longest = maxLength === 0 ? 0 : max * maxLength;
      return this.#make(key, { kind: 'repeat', body, min, max }, min === 0 ? NO_LABELS : undefined, shortest, longest);
    });
  }

  /** The texts of `body` with `min` to `max` characters. */
  #sized(body: number, min: number, max: number): number {
    const { shape, labels, minLength, maxLength } = this.#all[body];
    if (shape.kind === 'sized') return this.#sized(shape.body, Math.max(min, shape.min), Math.min(max, shape.max));
    if (min > max || min > maxLength || max < minLength) return NOTHING;
    if (max === 0) return labels ? this.#ended(labels) : NOTHING;
    if (min <= minLength && max >= maxLength) return body;
    const key = `#${body},${min},${max}`;
    return this.#intern(key, () => {
      const ends = min === 0 ? labels : undefined;
      const [shortest, longest] = [Math.max(min, minLength), Math.min(max, maxLength)];
      return this.#make(key, { kind: 'sized', body, min, max }, ends, shortest, longest);
    });
  }

  #derive(shape: Shape): Edges {
    switch (shape.kind) {
      case 'nothing':
      case 'empty':
      case 'mark':
        return { starts: [0], targets: [NOTHING] };
      case 'any':
        return { starts: [0], targets: [ANY_TEXT] };
      case 'chars':
        return rangeEdges(pairs(shape.set), EMPTY);
      case 'literal': {
        const first = shape.text.codePointAt(0)!;
        return rangeEdges([[first, first]], this.#literal(shape.text.slice(first > 0xffff ? 2 : 1)));
      }
      case 'automaton':
        return automatonEdges(shape.automaton, shape.state, (next) => this.#automaton(shape.automaton, next));
      case 'concat': {
        const heads = mapEdges(this.edges(shape.head), (target) => this.#concat(target, shape.tail));
        if (!this.#all[shape.head].labels) return heads;
        return overlayEdges([heads, this.edges(shape.tail)], (targets) => this.#either(targets), this.#budget);
      }
      case 'either':
        return overlayEdges(
          shape.parts.map((part) => this.edges(part)),
          (targets) => this.#either(targets),
          this.#budget,
        );
      case 'both':
        return overlayEdges(
          shape.parts.map((part) => this.edges(part)),
          (targets) => this.#both(targets),
          this.#budget,
        );
      case 'not':
        return mapEdges(this.edges(shape.body), (target) => this.#not(target));
      case 'repeat': {
        const { body, min, max } = shape;
        const rest = this.#repeat(body, Math.max(0, min - 1), max - 1);
        return mapEdges(this.edges(body), (target) => this.#concat(target, rest));
      }
      case 'sized': {
        const { body, min, max } = shape;
        return mapEdges(this.edges(body), (target) => this.#sized(target, Math.max(0, min - 1), max - 1));
      }
    }
  }

  #findAlive(id: number, shape: Shape): boolean {
    switch (shape.kind) {
      case 'nothing':
        return false;
      case 'concat':
        return this.alive(shape.head) && this.alive(shape.tail);
      case 'either':
        return shape.parts.some((part) => this.alive(part));
      case 'repeat':
        return this.alive(shape.body);
      case 'sized': {
        if (shape.min < FEW_STATES && this.#search(id, FEW_STATES)) return true;
        const lengths = this.lengths(shape.body);
        return lengths ? lengths.shortest < INFINITY && lengths.shortest <= shape.max : this.#search(id);
      }
      case 'both': {
        const essence = this.essence(id);
        return essence === id ? this.#search(id) : this.alive(essence);
      }
      case 'not':
        return this.#search(id);
      default:
        return true;
    }
  }

  /**
   * Looks for an end, first where it may be near; what was searched in vain is dead, and what lies on the way to an end is
   * alive.
   * @param most states after which the search is given up
   */
  #search(start: number, most = INFINITY): boolean {
    const from = new Map<number, number>([[start, -1]]);
    const queue = new NearestFirst();
    queue.add(start, this.#all[start].minLength);
    for (let id = queue.take(); id !== undefined; id = queue.take()) {
      if (from.size > most) return false;
      const expression = this.#all[id];
      const searched =
        expression.shape.kind === 'both' || expression.shape.kind === 'not' || expression.shape.kind === 'sized';
      if (expression.alive || expression.labels || (!searched && this.alive(id))) {
        for (let step = id; step >= 0; step = from.get(step)!) this.#all[step].alive = true;
        return true;
      }
      if (expression.alive === false || !searched) continue;
      this.#budget.spend(1);
      for (const target of this.edges(id).targets) {
        if (target === NOTHING || from.has(target)) continue;
        from.set(target, id);
        queue.add(target, this.#all[target].minLength);
      }
    }
    for (const id of from.keys()) this.#all[id].alive = false;
    return false;
  }

  #findLengths(start: number): void {
    const order = [start];
    const seen = new Set(order);
    const before = new Map<number, number[]>();
    for (let i = 0; i < order.length; i++) {
      if (order.length > MAX_LENGTH_STATES || this.#all[order[i]].shape.kind === 'sized') {
        this.#all[start].lengths = null;
        return;
      }
      for (const target of this.edges(order[i]).targets) {
        if (target === NOTHING) continue;
        let list = before.get(target);
        if (!list) before.set(target, (list = []));
        list.push(order[i]);
        if (seen.has(target)) continue;
        seen.add(target);
        order.push(target);
      }
    }
    const shortest = new Map<number, number>();
    let front = order.filter((id) => this.#all[id].labels);
    for (const id of front) shortest.set(id, 0);
    for (let length = 1; front.length > 0; length++) {
      const found: number[] = [];
      for (const id of front) {
        for (const earlier of before.get(id) ?? []) {
          if (shortest.has(earlier)) continue;
          shortest.set(earlier, length);
          found.push(earlier);
        }
      }
      front = found;
    }
    const live = order.filter((id) => shortest.has(id));
    const stretchable = live.every((id) =>
      this.edges(id).targets.some((target) => (shortest.get(target) ?? INFINITY) <= shortest.get(id)!),
    );
    const longestShortest = Math.max(0, ...shortest.values());
    for (const id of order) {
      const expression = this.#all[id];
      if (!stretchable) expression.lengths = null;
      else expression.lengths = { shortest: shortest.get(id) ?? INFINITY, longestShortest };
      if (!shortest.has(id)) expression.alive = false;
    }
  }
}
