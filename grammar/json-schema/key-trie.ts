/** The names of an object's declared members, as one automaton for any selection of them. */

import type { Automaton, Regex } from '../ir.ts';

interface TrieNode {
  readonly children: Map<number, number>;
  /** The names in and below this node, in increasing order. */
  readonly names: number[];
  /** The name that ends here, or -1. */
  own: number;
}

/** Some of the names: those from `low` to `high`, or those of a sorted list. */
type Selection = { readonly low: number; readonly high: number; readonly listed: readonly number[] | undefined };

/** A trie of names; the i-th name has the label i. */
export class KeyTrie {
  readonly #nodes: TrieNode[] = [{ children: new Map(), names: [], own: -1 }];
  readonly #selections: Selection[] = [];
  readonly #selectionIds = new Map<string, number>();
  readonly #states: (readonly [node: number, selection: number])[] = [];
  readonly #stateIds = new Map<string, number>();
  readonly #automaton: Automaton;

  constructor(names: readonly string[]) {
    names.forEach((name, index) => {
      if (name.isWellFormed()) this.#add(name, index);
    });
    this.#automaton = {
      start: 0,
      edges: (state) => this.#edges(state),
      accepts: (state) => {
        const [node, selection] = this.#states[state];
        const { own } = this.#nodes[node];
        return own >= 0 && isSelected(this.#selections[selection], own) ? own : -1;
      },
    };
  }

  /** The names of a sorted, not empty list of indices. */
  regex(indices: readonly number[]): Regex {
    const low = indices[0];
    const high = indices[indices.length - 1];
    const listed = high - low + 1 === indices.length ? undefined : indices;
    const key = listed ? listed.join() : `${low}-${high}`;
    let id = this.#selectionIds.get(key);
    if (id === undefined) this.#selectionIds.set(key, (id = this.#selections.push({ low, high, listed }) - 1));
    return { kind: 'automaton', automaton: this.#automaton, state: this.#state(0, id) };
  }

  #add(name: string, index: number): void {
    let node = this.#nodes[0];
    node.names.push(index);
    for (const char of name) {
      const code = char.codePointAt(0)!;
      let next = node.children.get(code);
      if (next === undefined) {
        next = this.#nodes.push({ children: new Map(), names: [], own: -1 }) - 1;
        node.children.set(code, next);
      }
      node = this.#nodes[next];
      node.names.push(index);
    }
    node.own = index;
  }

  #edges(state: number): [number, number, number][] {
    const [node, selection] = this.#states[state];
    const edges: [number, number, number][] = [];
    for (const [code, child] of this.#nodes[node].children) {
      if (anySelected(this.#selections[selection], this.#nodes[child].names)) {
        edges.push([code, code, this.#state(child, selection)]);
      }
    }
    return edges.sort((a, b) => a[0] - b[0]);
  }

  /** Below a node only the selection among its own names matters, so equal selections there share their states. */
  #state(node: number, selection: number): number {
    const { listed, low, high } = this.#selections[selection];
    const { names } = this.#nodes[node];
    let key: string;
    if (listed) {
      const selected = names.filter((name) => isSelected(this.#selections[selection], name));
      key = selected.length === names.length ? `${node}` : `${node} ${selected.join()}`;
    } else {
      const [first, end] = [firstAtLeast(names, low), firstAtLeast(names, high + 1)];
      key = end - first === names.length ? `${node}` : `${node} ${first}-${end}`;
    }
    let id = this.#stateIds.get(key);
    if (id === undefined) this.#stateIds.set(key, (id = this.#states.push([node, selection]) - 1));
    return id;
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
