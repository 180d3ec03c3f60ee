/** Where a terminal may end inside tokens, and which tokens go on from there. */

import { type Machine, REFUSED } from './machine.ts';
import type { TokenCollector } from './token-set.ts';
import { NODE_WORDS, type Vocabulary } from './vocabulary.ts';

/** Exits of fewer nodes are walked one by one. */
const FEW_NODES = 32;

/** Trie nodes at which a terminal may end, and the labels with which it does. Masks of many states share one list. */
export class Exits {
  readonly nodes: number[] = [];
  readonly labels: (readonly number[])[] = [];
  #merged: readonly MergedExits[] | undefined;
  #walked = false;

  add(node: number, labels: readonly number[]): void {
    this.nodes.push(node);
    this.labels.push(labels);
  }

  /** The nodes by their labels, with what is below them merged; undefined where that does not pay (yet). */
  merged(vocabulary: Vocabulary): readonly MergedExits[] | undefined {
    if (this.nodes.length < FEW_NODES) return undefined;
    if (!this.#merged && this.#walked) this.merge(vocabulary);
    this.#walked = true;
    return this.#merged;
  }

  merge(vocabulary: Vocabulary): void {
    const groups = new Map<string, number[]>();
    this.labels.forEach((labels, i) => {
      const group = groups.get(labels.join());
      if (group) group.push(i);
      else groups.set(labels.join(), [i]);
    });
    this.#merged = [...groups.values()].map((exits) => new MergedExits(vocabulary, this, exits));
  }
}

/** Exits as one mask uses them. */
export interface UsedExits {
  readonly exits: Exits;
  /** Indices of exits that do not count here. */
  readonly except: ReadonlySet<number> | undefined;
  /** Labels (joined by commas) that are others here. */
  readonly relabelled: ReadonlyMap<string, readonly number[]> | undefined;
}

/** Adds the tokens that leave a terminal at its exits, its thread's stacks being `stacks`. */
export function addLeaving(
  { exits, except, relabelled }: UsedExits,
  stacks: number,
  machine: Machine,
  vocabulary: Vocabulary,
  scratch: Int32Array,
  found: TokenCollector,
): void {
  const labelsOf = (labels: readonly number[]) => relabelled?.get(labels.join()) ?? labels;
  const merged = exits.merged(vocabulary);
  if (merged) {
    for (const group of merged) {
      for (const label of labelsOf(group.labels))
        group.walk(machine.after(stacks, label), except, machine, scratch, found);
    }
    return;
  }
  exits.nodes.forEach((node, i) => {
    if (except?.has(i)) return;
    for (const label of labelsOf(exits.labels[i])) {
      walkBelow(node, machine.after(stacks, label), machine, vocabulary.trie, scratch, found);
    }
  });
}

/** Adds the tokens at and below a trie node that go on from a configuration there. */
function walkBelow(
  node: number,
  configuration: number,
  machine: Machine,
  trie: Int32Array,
  states: Int32Array,
  found: TokenCollector,
): void {
  if (configuration === REFUSED) return;
  states[trie[node * NODE_WORDS + 1] >> 8] = configuration;
  found.add(trie[node * NODE_WORDS + 2]);
  const end = trie[node * NODE_WORDS];
  for (let at = node + 1; at < end; ) {
    const word = trie[at * NODE_WORDS + 1];
    const depth = word >> 8;
    const next = machine.step(states[depth - 1], word & 0xff);
    if (next === REFUSED) at = trie[at * NODE_WORDS];
    else {
      states[depth] = next;
      found.add(trie[at * NODE_WORDS + 2]);
      at++;
    }
  }
}

/**
 * Exits with the same labels, as one trie of what tokens hold after them: behind the quotes at which tokens leave a string
 * come few different texts. Nodes are laid out as in {@link Vocabulary}, three words each: `end`, `byte | depth << 8`, and
 * where the node's tokens start among all tokens.
 */
class MergedExits {
  readonly labels: readonly number[];
  readonly #nodes: Int32Array;
  /** Tokens and the exits at which they leave: `[token0, exit0, token1, exit1, …]`. */
  readonly #tokens: Int32Array;

  constructor(vocabulary: Vocabulary, exits: Exits, indices: readonly number[]) {
    this.labels = exits.labels[indices[0]];
    const { trie } = vocabulary;
    const nodes: number[] = [];
    const tokens: number[] = [];
    const add = (places: readonly (readonly [node: number, exit: number])[], byte: number, depth: number) => {
      const own = nodes.length;
      nodes.push(0, byte | (depth << 8), tokens.length);
      const children = new Map<number, [number, number][]>();
      for (const [node, exit] of places) {
        if (trie[node * NODE_WORDS + 2] >= 0) tokens.push(trie[node * NODE_WORDS + 2], exit);
        for (let child = node + 1; child < trie[node * NODE_WORDS]; child = trie[child * NODE_WORDS]) {
          const childByte = trie[child * NODE_WORDS + 1] & 0xff;
          const there = children.get(childByte);
          if (there) there.push([child, exit]);
          else children.set(childByte, [[child, exit]]);
        }
      }
      for (const [childByte, below] of children) add(below, childByte, depth + 1);
      nodes[own] = nodes.length / 3;
    };
    add(
      indices.map((i) => [exits.nodes[i], i] as const),
      0,
      0,
    );
    nodes.push(0, 0, tokens.length);
    this.#nodes = Int32Array.from(nodes);
    this.#tokens = Int32Array.from(tokens);
  }

  /** Adds the tokens that go on from a configuration after the exits. */
  walk(
    configuration: number,
    except: ReadonlySet<number> | undefined,
    machine: Machine,
    states: Int32Array,
    found: TokenCollector,
  ): void {
    if (configuration === REFUSED) return;
    const nodes = this.#nodes;
    const tokens = this.#tokens;
    const end = nodes[0];
    states[0] = configuration;
    for (let at = 0; at < end; ) {
      if (at > 0) {
        const word = nodes[at * 3 + 1];
        const depth = word >> 8;
        const next = machine.step(states[depth - 1], word & 0xff);
        if (next === REFUSED) {
          at = nodes[at * 3];
          continue;
        }
        states[depth] = next;
      }
      for (let i = nodes[at * 3 + 2]; i < nodes[at * 3 + 5]; i += 2) {
        if (!except?.has(tokens[i + 1])) found.add(tokens[i]);
      }
      at++;
    }
  }
}
