/** Where a terminal may end inside tokens, and which tokens go on from there. */

import { BACKSLASH } from './byte-automaton.ts';
import { type Machine, REFUSED, UNTOLD } from './machine.ts';
import type { TokenCollector } from './token-set.ts';
import { NODE_WORDS } from './token-trie.ts';
import { countCharacters, countJsonCharacters, type Vocabulary } from './vocabulary.ts';

const textDecoder = new TextDecoder('utf-8', { ignoreBOM: true });

/** Exits of fewer nodes are walked one by one. */
const FEW_NODES = 32;

/** Trie nodes at which a terminal may end, and the labels with which it does. Masks of many states share one list. */
export class Exits {
  readonly nodes: number[] = [];
  readonly labels: (readonly number[])[] = [];
  #merged: readonly MergedExits[] | undefined;
  #walked = false;
  #lengths: readonly number[] | undefined;
  #characters: readonly (readonly number[] | undefined)[] | undefined;

  add(node: number, labels: readonly number[]): void {
    this.nodes.push(node);
    this.labels.push(labels);
  }

  /**
   * By exit how many characters lead to it, a quote that ends a JSON string not counted.
   * @param isJson the same each time
   */
  lengths(vocabulary: Vocabulary, isJson: boolean): readonly number[] {
    this.#lengths ??= this.nodes.map((node) => {
      const bytes = vocabulary.bytesTo(node);
      return isJson ? countJsonCharacters(bytes) - 1 : countCharacters(bytes);
    });
    return this.#lengths;
  }

  /**
   * By exit the characters that lead to it, without the quote that ends a JSON string. Undefined where escapes stand for
   * some: they are for the byte automaton to read.
   * @param isJson the same each time
   */
  characters(vocabulary: Vocabulary, isJson: boolean): readonly (readonly number[] | undefined)[] {
    this.#characters ??= this.nodes.map((node) => {
      const bytes = vocabulary.bytesTo(node);
      if (isJson && bytes.includes(BACKSLASH)) return undefined;
      const text = textDecoder.decode(isJson ? bytes.subarray(0, -1) : bytes);
      return Array.from(text, (character) => character.codePointAt(0)!);
    });
    return this.#characters;
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
  /** The labels by exit, where each has its own; the others do not count then. */
  readonly labels?: readonly (readonly number[])[];
}

/** Adds the tokens that leave terminals to the tokens of a mask. */
export class Leaving {
  readonly #vocabulary: Vocabulary;
  readonly #found: TokenCollector;
  /** Scratch: the configurations by depth. */
  readonly #configurations: Int32Array;

  constructor(vocabulary: Vocabulary, found: TokenCollector) {
    this.#vocabulary = vocabulary;
    this.#found = found;
    this.#configurations = new Int32Array(vocabulary.longest + 1);
  }

  /** Adds the tokens that leave at some exits, the thread's stacks being `stacks`. */
  add(used: UsedExits, stacks: number, machine: Machine): void {
    const { exits, except, relabelled } = used;
    if (used.labels) {
      this.#addAlike(used.labels, used, stacks, machine);
      return;
    }
    const labelsOf = (labels: readonly number[]) => relabelled?.get(labels.join()) ?? labels;
    const merged = exits.merged(this.#vocabulary);
    if (merged) {
      for (const group of merged) {
        for (const label of labelsOf(group.labels))
          this.#walkMerged(group, machine.after(stacks, label), except, machine);
      }
      return;
    }
    exits.nodes.forEach((node, i) => {
      if (except?.has(i)) return;
      for (const label of labelsOf(exits.labels[i])) this.#walkBelow(node, machine.after(stacks, label), machine);
    });
  }

  /** Exits of many labels: where these only matter later, what follows is walked once for all. */
  #addAlike(
    labels: readonly (readonly number[])[],
    { exits, except }: UsedExits,
    stacks: number,
    machine: Machine,
  ): void {
    const groups = new Map<number, number[]>();
    labels.forEach((own, i) => {
      if (except?.has(i)) return;
      for (const label of own) {
        const configuration = machine.afterAlike(stacks, label);
        const group = groups.get(configuration);
        if (group) group.push(i);
        else groups.set(configuration, [i]);
      }
    });
    for (const [configuration, group] of groups) {
      const untold: [token: number, exit: number][] = [];
      const merged = group.length > exits.nodes.length / 2 ? exits.merged(this.#vocabulary) : undefined;
      if (merged) {
        const others = new Set(labels.keys());
        for (const i of group) others.delete(i);
        const left = others.size > 0 ? others : undefined;
        for (const part of merged) this.#walkMerged(part, configuration, left, machine, untold);
      } else {
        for (const i of group) this.#walkBelow(exits.nodes[i], configuration, machine, untold, i);
      }
      for (const [token, i] of untold) {
        const bytes = this.#vocabulary.tokens[token].subarray(
          this.#vocabulary.trie[exits.nodes[i] * NODE_WORDS + 1] >> 8,
        );
        if (labels[i].some((label) => machine.walk(machine.after(stacks, label), bytes) !== REFUSED)) {
          this.#found.add(token);
        }
      }
    }
  }

  /** Adds the tokens at and below a trie node that go on from a configuration there; notes those that it does not tell of. */
  #walkBelow(
    node: number,
    configuration: number,
    machine: Machine,
    untold?: [token: number, exit: number][],
    exit = 0,
  ): void {
    const { trie } = this.#vocabulary;
    const states = this.#configurations;
    const end = trie[node * NODE_WORDS];
    for (let at = node; at < end; ) {
      const word = trie[at * NODE_WORDS + 1];
      const depth = word >> 8;
      const next = at === node ? configuration : machine.step(states[depth - 1], word & 0xff);
      const after = next === REFUSED || next === UNTOLD ? trie[at * NODE_WORDS] : at + 1;
      if (next === UNTOLD) {
        for (let below = at; below < after; below++) {
          if (trie[below * NODE_WORDS + 2] >= 0) untold?.push([trie[below * NODE_WORDS + 2], exit]);
        }
      } else if (next !== REFUSED) {
        states[depth] = next;
        this.#found.add(trie[at * NODE_WORDS + 2]);
      }
      at = after;
    }
  }

  /** Adds the tokens that go on from a configuration after merged exits; notes those that it does not tell of. */
  #walkMerged(
    { nodes, tokens }: MergedExits,
    configuration: number,
    except: ReadonlySet<number> | undefined,
    machine: Machine,
    untold?: [token: number, exit: number][],
  ): void {
    const states = this.#configurations;
    const end = nodes[0];
    for (let at = 0; at < end; ) {
      const word = nodes[at * 3 + 1];
      const depth = word >> 8;
      const next = at === 0 ? configuration : machine.step(states[depth - 1], word & 0xff);
      const after = next === REFUSED || next === UNTOLD ? nodes[at * 3] : at + 1;
      if (next !== REFUSED) {
        states[depth] = next;
        for (let i = nodes[at * 3 + 2]; i < nodes[after * 3 + 2]; i += 2) {
          if (except?.has(tokens[i + 1])) continue;
          if (next === UNTOLD) untold?.push([tokens[i], tokens[i + 1]]);
          else this.#found.add(tokens[i]);
        }
      }
      at = after;
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
  readonly nodes: Int32Array;
  /** Tokens and the exits at which they leave: `[token0, exit0, token1, exit1, …]`. */
  readonly tokens: Int32Array;

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
    this.nodes = Int32Array.from(nodes);
    this.tokens = Int32Array.from(tokens);
  }
}
