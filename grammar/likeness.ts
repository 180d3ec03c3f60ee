/**
 * Expressions that differ in counts and labels only, and how far their languages agree. The mask of `[a-z]{0,41}@` is that
 * of `[a-z]{0,42}@` but for tokens that come to the bound; so it need not be computed anew.
 */

import { NOWHERE } from './edges.ts';
import type { Expressions } from './expressions.ts';

/** Expressions or pairs of them that are looked at at most. */
const MAX_PAIRS = 250;

/** How far two expressions agree. */
export interface Likeness {
  /** Texts of up to so many characters can be gone on with in both or in none, and are in both languages or in none. */
  readonly depth: number;
  /** The labels of the other expression by those of the first (joined by commas); undefined when they are the same. */
  readonly relabelled: ReadonlyMap<string, readonly number[]> | undefined;
}

/** Numbers for what is left of expressions without counts and labels. */
export class Skeletons {
  readonly #expressions: Expressions;
  readonly #known = new Map<number, number>();
  readonly #ids = new Map<string, number>();

  constructor(expressions: Expressions) {
    this.#expressions = expressions;
  }

  of(id: number): number {
    const chain: number[] = [];
    let at = id;
    for (;;) {
      const shape = this.#expressions.shape(at);
      if (this.#known.has(at) || shape.kind !== 'concat') break;
      chain.push(at);
      at = shape.tail;
    }
    let tail = this.#known.get(at) ?? this.#remember(at, this.#describe(at));
    for (const link of chain.reverse()) {
      const shape = this.#expressions.shape(link);
      if (shape.kind === 'concat') tail = this.#remember(link, `.${this.of(shape.head)},${tail}`);
    }
    return tail;
  }

  #describe(id: number): string {
    const shape = this.#expressions.shape(id);
    switch (shape.kind) {
      case 'either':
      case 'both':
        return shape.kind + [...new Set(shape.parts.map((part) => this.of(part)))].sort((a, b) => a - b).join();
      case 'not':
      case 'repeat':
      case 'sized':
        return `${shape.kind}${this.of(shape.body)}`;
      case 'mark':
        return 'mark';
      default:
        return `=${id}`;
    }
  }

  #remember(id: number, description: string): number {
    let skeleton = this.#ids.get(description);
    if (skeleton === undefined) this.#ids.set(description, (skeleton = this.#ids.size));
    this.#known.set(id, skeleton);
    return skeleton;
  }
}

/** Compares two expressions, character by character; undefined when they agree in no way that helps. */
export function likeness(expressions: Expressions, first: number, second: number): Likeness | undefined {
  const seen = new Set<string>([`${first} ${second}`]);
  const relabelled = new Map<string, readonly number[]>();
  let renamed = false;
  let sameBelow = false;
  let level: [number, number][] = [[first, second]];
  let depth = Number.POSITIVE_INFINITY;
  compare: for (let length = 0; level.length > 0; length++) {
    const next: [number, number][] = [];
    // A token that stays inside says something of the character after it.
    const agreed = length - 2;
    for (const [a, b] of level) {
      const [labelsA, labelsB] = [expressions.labels(a), expressions.labels(b)];
      const unlike =
        (labelsA === undefined) !== (labelsB === undefined) || expressions.alive(a) !== expressions.alive(b);
      if (unlike || seen.size > MAX_PAIRS) {
        depth = agreed;
        break compare;
      }
      if (labelsA && labelsB) {
        const key = labelsA.join();
        const known = relabelled.get(key);
        if (known && known.join() !== labelsB.join()) return undefined;
        relabelled.set(key, labelsB);
        renamed ||= key !== labelsB.join();
      }
      if (!expressions.alive(a)) continue;
      for (const [x, y] of pairsOf(expressions, a, b)) {
        if (x === y) {
          sameBelow ||= x !== NOWHERE;
          continue;
        }
        const key = `${x} ${y}`;
        if (seen.has(key)) continue;
        seen.add(key);
        next.push([x, y]);
      }
    }
    level = next;
  }
  if (depth < 1 || (renamed && sameBelow)) return undefined;
  return { depth, relabelled: renamed ? relabelled : undefined };
}

/** Where the characters lead from both. */
function* pairsOf(expressions: Expressions, a: number, b: number): Iterable<readonly [number, number]> {
  const [first, second] = [expressions.edges(a), expressions.edges(b)];
  for (let i = 0, j = 0; ; ) {
    yield [first.targets[i], second.targets[j]];
    const nextI = first.starts[i + 1] ?? Number.POSITIVE_INFINITY;
    const nextJ = second.starts[j + 1] ?? Number.POSITIVE_INFINITY;
    if (nextI === nextJ && nextI === Number.POSITIVE_INFINITY) return;
    if (nextI <= nextJ) i++;
    if (nextJ <= nextI) j++;
  }
}
