/** With which classes of characters a text can go on, whatever their order. */

import { type Edges, lastAtMost } from './edges.ts';
import type { Expressions } from './expressions.ts';
import { ALL_CLASSES, PLAIN_IN_JSON, stretches, type TokenClasses } from './token-classes.ts';

/** Expressions that are looked at from one at most. */
const MAX_EXPRESSIONS = 200;

/** Characters for which classes are taken to be as good as classes for ever: few tokens have more. */
const LONG = 6;

export interface FreeClasses {
  readonly classes: number;
  /** For so many characters of the classes a text can go on, whatever they are. */
  readonly depth: number;
  /** True when after so many it can go on with none of them. */
  readonly isClosed: boolean;
}

const NOT_FREE: FreeClasses = { classes: 0, depth: 0, isClosed: false };

export class FreeTexts {
  readonly #known: readonly [utf8: Map<number, FreeClasses>, json: Map<number, FreeClasses>] = [new Map(), new Map()];
  readonly #expressions: Expressions;
  readonly #classes: TokenClasses;
  /** By expression: the classes of which every character leads on, and those of which some does. */
  readonly #ways = new Map<number, readonly [every: number, some: number]>();

  constructor(expressions: Expressions, classes: TokenClasses) {
    this.#expressions = expressions;
    this.#classes = classes;
  }

  /**
   * The classes with which the most tokens go on from an expression and do not come to where it must end.
   * @param isJson true for a JSON string, whose quote is still to come after any character
   */
  of(expression: number, isJson: boolean): FreeClasses {
    const known = this.#known[isJson ? 1 : 0];
    let free = known.get(expression);
    if (!free) {
      free = this.#find(expression, isJson);
      if (!isJson) free = free.depth > 1 ? { classes: free.classes, depth: free.depth - 1, isClosed: false } : NOT_FREE;
      known.set(expression, free);
    }
    return free;
  }

  #find(expression: number, isJson: boolean): FreeClasses {
    let best = NOT_FREE;
    let most = 0;
    // All classes for some characters, or fewer classes for more: whatever more tokens have.
    let classes = this.#waysFrom(expression)[0] & (isJson ? PLAIN_IN_JSON : ALL_CLASSES);
    for (;;) {
      const count = this.#classes.count(classes);
      if (count <= most) return best;
      const { left, ...free } = this.#follow(expression, classes);
      const worth = free.isClosed ? count : count * Math.min(1, free.depth / LONG);
      if (worth > most) {
        best = free;
        most = worth;
      }
      if (free.isClosed || left === classes) return best;
      classes = left;
    }
  }

  /** How far a text can go on with some classes, and which of them are left where it may go on farther. */
  #follow(expression: number, classes: number): FreeClasses & { readonly left: number } {
    const seen = new Set([expression]);
    let before = seen;
    let level = seen;
    let cyclic = false;
    for (let depth = 0; level.size > 0; depth++) {
      let every = classes;
      let some = 0;
      for (const id of level) {
        const ways = this.#waysFrom(id);
        every &= ways[0];
        some |= ways[1] & classes;
      }
      if (every !== classes) {
        return { classes, depth, isClosed: some === 0 && !cyclic, left: this.#fewer(before, level, classes) };
      }
      const next = new Set<number>();
      for (const id of level) {
        const edges = this.#expressions.edges(id);
        for (let i = 0; i < edges.targets.length; i++) {
          const target = edges.targets[i];
          if (next.has(target) || (bitsOfEdge(edges, i) & classes) === 0) continue;
          if (seen.has(target)) cyclic = true;
          else next.add(target);
        }
      }
      for (const id of next) seen.add(id);
      if (seen.size > MAX_EXPRESSIONS) return { classes, depth: depth + 1, isClosed: false, left: classes };
      before = level;
      level = next;
    }
    return { classes, depth: Number.POSITIVE_INFINITY, isClosed: false, left: classes };
  }

  /**
   * Those of some classes with which a text may go on farther, where from one level they lead to a next one with
   * expressions that cannot go on with all: without the classes that lead there, or without those that stop there,
   * whichever are the fewer tokens'.
   */
  #fewer(before: ReadonlySet<number>, level: ReadonlySet<number>, classes: number): number {
    const leading = new Map<number, number>();
    for (const id of before) {
      const edges = this.#expressions.edges(id);
      edges.targets.forEach((target, i) => {
        const bits = level.has(target) ? bitsOfEdge(edges, i) & classes : 0;
        if (bits !== 0) leading.set(target, (leading.get(target) ?? 0) | bits);
      });
    }
    let left = classes;
    for (const [target, bits] of leading) {
      const stopped = left & ~this.#waysFrom(target)[0];
      if ((bits & left) === 0 || stopped === 0) continue;
      left &= ~(this.#classes.weight(bits & left) < this.#classes.weight(stopped) ? bits : stopped);
    }
    return left;
  }

  #waysFrom(expression: number): readonly [every: number, some: number] {
    let ways = this.#ways.get(expression);
    if (!ways) {
      const edges = this.#expressions.edges(expression);
      let blocked = 0;
      let some = 0;
      for (let i = 0; i < edges.targets.length; i++) {
        if (this.#expressions.alive(edges.targets[i])) some |= bitsOfEdge(edges, i);
        else blocked |= bitsOfEdge(edges, i);
      }
      this.#ways.set(expression, (ways = [some & ~blocked, some]));
    }
    return ways;
  }
}

/** The classes of the characters of an edge. */
function bitsOfEdge({ starts }: Edges, i: number): number {
  const last = i + 1 < starts.length ? starts[i + 1] - 1 : Number.POSITIVE_INFINITY;
  let bits = 0;
  for (let cut = lastAtMost(stretches.starts, starts[i]); stretches.starts[cut] <= last; cut++)
    bits |= stretches.bits[cut];
  return bits;
}
