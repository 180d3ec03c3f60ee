/** Whether the states of a flow can come to an end. */

import type { Lowering } from './lowering.ts';

/** A way on from a state. */
export interface Way<State> {
  /** False when nothing takes this way; asked only when it matters. */
  readonly open: () => boolean;
  readonly next: State;
}

/** Most states that one search may see; a state that is still open then counts as one that can end. */
const MAX_STATES = 20_000;

export class EndSearch<State> {
  readonly #lowering: Lowering;
  readonly #keyOf: (state: State) => string;
  readonly #isEnd: (state: State) => boolean;
  readonly #ways: (state: State) => Iterable<Way<State>>;
  readonly #known = new Map<string, boolean>();

  constructor(
    lowering: Lowering,
    keyOf: (state: State) => string,
    isEnd: (state: State) => boolean,
    ways: (state: State) => Iterable<Way<State>>,
  ) {
    this.#lowering = lowering;
    this.#keyOf = keyOf;
    this.#isEnd = isEnd;
    this.#ways = ways;
  }

  /** True when some way leads from a state to an end. */
  canEnd(start: State): boolean {
    const startKey = this.#keyOf(start);
    const known = this.#known.get(startKey);
    if (known !== undefined) return known;
    if (this.#isEnd(start)) {
      this.#known.set(startKey, true);
      return true;
    }
    this.#lowering.startSearch();
    const seen = new Set([startKey]);
    const path: [key: string, ways: Iterator<Way<State>>][] = [[startKey, this.#ways(start)[Symbol.iterator]()]];
    let certain = true;
    while (path.length > 0) {
      const { value: way, done } = path[path.length - 1][1].next();
      if (done) {
        path.pop();
        continue;
      }
      const key = this.#keyOf(way.next);
      const fate = this.#known.get(key);
      if (fate === false || (fate === undefined && seen.has(key))) continue;
      const open = way.open();
      certain &&= !this.#lowering.assuming;
      if (!open) continue;
      if (fate || this.#isEnd(way.next) || seen.size > MAX_STATES || !this.#lowering.spend()) {
        this.#known.set(key, true);
        for (const [earlier] of path) this.#known.set(earlier, true);
        return true;
      }
      seen.add(key);
      path.push([key, this.#ways(way.next)[Symbol.iterator]()]);
    }
    if (certain) for (const key of seen) this.#known.set(key, false);
    return false;
  }
}
