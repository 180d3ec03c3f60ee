/** The names of an object's members, as one automaton for any selection of them. */

import type { Automaton, Regex } from '../ir.ts';

interface TrieNode {
  /** `[code point, node]`, sorted. */
  readonly children: [number, number][];
  /** The names in and below this node, in increasing order. */
  readonly names: number[];
  /** The name that ends here, or -1. */
  own: number;
}

/** Some of the names: those from `low` to `high`, or those of a sorted list. */
type Selection = { readonly low: number; readonly high: number; readonly listed: readonly number[] | undefined };

/** The node of a name that is none of the declared ones, however it goes on. */
const OTHER = -1;
const LAST_CODE_POINT = 0x10ffff;

/** A trie of names; the i-th name has the label i. */
export class KeyTrie {
  readonly #nodes: TrieNode[] = [{ children: [], names: [], own: -1 }];
  readonly #selections: Selection[] = [];
  readonly #selectionIds = new Map<string, number>();
  /** The node, the selection among its names, and the label of names that are not declared (-1: there must be none). */
  readonly #states: (readonly [node: number, selection: number, others: number])[] = [];
  readonly #stateIds = new Map<string, number>();
  readonly #automaton: Automaton;

  constructor(names: readonly string[]) {
    const places: Map<number, number>[] = [new Map()];
    names.forEach((name, index) => {
      if (name.isWellFormed()) this.#add(name, index, places);
    });
    for (const { children } of this.#nodes) children.sort((a, b) => a[0] - b[0]);
    this.#automaton = {
      start: 0,
      edges: (state) => this.#edges(state),
      accepts: (state) => {
        const [node, selection, others] = this.#states[state];
        if (node === OTHER) return others;
        const { own } = this.#nodes[node];
        if (own < 0) return others;
        return isSelected(this.#selections[selection], own) ? own : -1;
      },
      takesAll: (state) => this.#states[state][0] === OTHER,
    };
  }

  /**
   * Some of the names, and perhaps all that are not declared.
   * @param indices sorted
   * @param others the label of names that are not declared; -1 for none of them
   */
  regex(indices: readonly number[], others: number): Regex {
    const low = indices[0] ?? 0;
    const high = indices[indices.length - 1] ?? -1;
    const listed = high - low + 1 === indices.length ? undefined : indices;
    const key = listed ? listed.join() : `${low}-${high}`;
    let id = this.#selectionIds.get(key);
    if (id === undefined) this.#selectionIds.set(key, (id = this.#selections.push({ low, high, listed }) - 1));
    return { kind: 'automaton', automaton: this.#automaton, state: this.#state(0, id, others) };
  }

  #add(name: string, index: number, places: Map<number, number>[]): void {
    let at = 0;
    this.#nodes[0].names.push(index);
    for (const char of name) {
      const code = char.codePointAt(0)!;
      let next = places[at].get(code);
      if (next === undefined) {
        next = this.#nodes.push({ children: [], names: [], own: -1 }) - 1;
        places.push(new Map());
        places[at].set(code, next);
        this.#nodes[at].children.push([code, next]);
      }
      at = next;
      this.#nodes[at].names.push(index);
    }
    this.#nodes[at].own = index;
  }

  #edges(state: number): [number, number, number][] {
    const [node, selection, others] = this.#states[state];
    if (node === OTHER) return [[0, LAST_CODE_POINT, state]];
    const edges: [number, number, number][] = [];
    const other = others < 0 ? -1 : this.#state(OTHER, 0, others);
    let free = 0;
    for (const [code, child] of this.#nodes[node].children) {
      if (others >= 0) {
        if (code > free) edges.push([free, code - 1, other]);
        free = code + 1;
      } else if (!anySelected(this.#selections[selection], this.#nodes[child].names)) continue;
      edges.push([code, code, this.#state(child, selection, others)]);
    }
    if (others >= 0 && free <= LAST_CODE_POINT) edges.push([free, LAST_CODE_POINT, other]);
    return edges;
  }

  /** Below a node only the selection among its own names matters, so equal selections there share their states. */
  #state(node: number, selection: number, others: number): number {
    const key = `${node} ${others} ${node === OTHER ? '' : this.#selected(node, selection)}`;
    let id = this.#stateIds.get(key);
    if (id === undefined) this.#stateIds.set(key, (id = this.#states.push([node, selection, others]) - 1));
    return id;
  }

  #selected(node: number, selection: number): string {
    const { listed, low, high } = this.#selections[selection];
    const { names } = this.#nodes[node];
    if (listed) {
      const selected = names.filter((name) => isSelected(this.#selections[selection], name));
      return selected.length === names.length ? '' : selected.join();
    }
    const [first, end] = [firstAtLeast(names, low), firstAtLeast(names, high + 1)];
    return end - first === names.length ? '' : `${first}-${Math.max(first, end)}`;
  }
}

function isSelected({ low, high, listed }: Selection, name: number): boolean {
  if (name < low || name > high) return false;
  return !listed || listed[firstAtLeast(listed, name)] === name;
}

function anySelected(selection: Selection, names: readonly number[]): boolean {
  const { low, high, listed } = selection;
  if (listed) return names.some((name) => isSelected(selection, name));
  const first = firstAtLeast(names, low);
  return first < names.length && names[first] <= high;
}

/** The index of the first number that is not less than a value. */
function firstAtLeast(sorted: readonly number[], value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
