/**
 * Which tokens may come next, in a configuration.
 *
 * A token goes on inside a thread's terminal, or leaves it. The first depends on the state of the byte automaton alone: its
 * *local mask* is computed once by a walk over the trie and serves every place in every grammar where that state occurs.
 * The walk also notes the *exits*, the trie nodes where the terminal may end; what comes below them depends on the thread's
 * stacks, and is walked with the configurations that follow. Strings have a hundred thousand tokens inside, and exits that
 * lead to a few hundred.
 */

import { type ByteAutomaton, DEAD } from './byte-automaton.ts';
import type { Expressions } from './expressions.ts';
import { MAX_MASK_BYTES } from './limits.ts';
import { type Machine, REFUSED } from './machine.ts';
import { TokenCollector, type TokenSet } from './token-set.ts';
import { NODE_WORDS, type Vocabulary } from './vocabulary.ts';

/** Trie nodes at which a terminal may end, and the states of the byte automaton there. */
interface Exits {
  readonly nodes: readonly number[];
  readonly states: readonly number[];
}

interface LocalMask {
  /** Tokens that stay inside the terminal. */
  readonly inside: TokenSet;
  /** Where the terminal must end. */
  readonly closed: readonly Exits[];
  /** Where the terminal may end or go on; found when first asked for, because at the end of a text nobody asks. */
  open?: Exits;
}

/** Token byte lengths from which a bound on the length of a text is looked at token by token. */
const LONG_TOKENS = [0, 1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64, 128];

export class Masks {
  readonly vocabulary: Vocabulary;
  readonly #expressions: Expressions;
  readonly #bytes: ByteAutomaton;
  readonly #local = new Map<number, LocalMask>();
  #cachedBytes = 0;
  /** Scratch of the walks: the tokens found, the states by depth, tokens as they come. */
  readonly #found: TokenCollector;
  readonly #states: Int32Array;
  readonly #baseStates: Int32Array;
  readonly #tokens: Int32Array;

  constructor(vocabulary: Vocabulary, expressions: Expressions, bytes: ByteAutomaton) {
    this.vocabulary = vocabulary;
    this.#expressions = expressions;
    this.#bytes = bytes;
    this.#found = new TokenCollector(vocabulary.sameBytes);
    this.#states = new Int32Array(vocabulary.longest + 1);
    this.#baseStates = new Int32Array(vocabulary.longest + 1);
    this.#tokens = new Int32Array(vocabulary.size + 1);
  }

  /** The tokens that may come next in a configuration, without the end tokens. */
  compute(machine: Machine, configuration: number): TokenSet {
    const { threads } = machine.configuration(configuration);
    const locals: LocalMask[] = [];
    for (let t = 0; t < threads.length; t += 2) locals.push(this.#localMask(threads[t]));
    if (locals.length === 1 && locals[0].closed.length === 0 && machine.endsText(threads[1])) return locals[0].inside;
    return this.#collect(() => {
      for (const { inside } of locals) this.#found.addAll(inside);
      locals.forEach((local, i) => {
        const stacks = threads[i * 2 + 1];
        for (const exits of local.closed) this.#walkExits(machine, exits, stacks);
        if (!machine.endsText(stacks)) {
          local.open ??= this.#openExits(threads[i * 2]);
          this.#walkExits(machine, local.open, stacks);
        }
      });
    }).inside;
  }

  /** The tokens that `work` finds, and its answer. Where it throws, what was found is dropped. */
  #collect<T>(work: () => T): { inside: TokenSet; closed: T } {
    let closed: T;
    try {
      closed = work();
    } catch (error) {
      this.#found.end();
      throw error;
    }
    return { inside: this.#found.end(), closed };
  }

  #walkExits(machine: Machine, { nodes, states }: Exits, stacks: number): void {
    for (let i = 0; i < nodes.length; i++) {
      for (const label of this.#bytes.labels(states[i])!) {
        this.#walkConfigurations(machine, machine.after(stacks, label), nodes[i]);
      }
    }
  }

  /** Adds the tokens at and below a trie node that go on from a configuration there. */
  #walkConfigurations(machine: Machine, configuration: number, node: number): void {
    if (configuration === REFUSED) return;
    const { trie } = this.vocabulary;
    const states = this.#states;
    const found = this.#found;
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

  #localMask(state: number): LocalMask {
    let local = this.#local.get(state);
    if (local) {
      // The newest last, so that the oldest is dropped first.
      this.#local.delete(state);
    } else {
      local = this.#sizedMask(state) ?? this.#similarMask(state) ?? this.#walkTrie(state);
      this.#cachedBytes += bytesOf(local);
      for (const [oldest, mask] of this.#local) {
        if (this.#cachedBytes <= MAX_MASK_BYTES) break;
        this.#local.delete(oldest);
        this.#cachedBytes -= bytesOf(mask);
      }
    }
    this.#local.set(state, local);
    return local;
  }

  #walkTrie(start: number): LocalMask {
    return this.#collect(() => {
      const closed = this.#walkInside(start, 0);
      return closed.nodes.length > 0 ? [closed] : [];
    });
  }

  /** Adds the tokens of more than `shorter` bytes that stay inside a terminal; where it must end is the answer. */
  #walkInside(start: number, shorter: number): Exits {
    const { trie } = this.vocabulary;
    const bytes = this.#bytes;
    const states = this.#states;
    const tokens = this.#tokens;
    const closed = { nodes: [] as number[], states: [] as number[] };
    const end = trie[0] * NODE_WORDS;
    let count = 0;
    states[0] = start;
    for (let at = NODE_WORDS; at < end; ) {
      if (trie[at + 3] <= shorter) {
        at = trie[at] * NODE_WORDS;
        continue;
      }
      const word = trie[at + 1];
      const depth = word >> 8;
      const next = bytes.step(states[depth - 1], word & 0xff);
      if (next === DEAD) at = trie[at] * NODE_WORDS;
      else if (bytes.open(next)) {
        states[depth] = next;
        tokens[count] = trie[at + 2];
        if (trie[at + 2] >= 0) count++;
        at += NODE_WORDS;
      } else {
        closed.nodes.push(at / NODE_WORDS);
        closed.states.push(next);
        at = trie[at] * NODE_WORDS;
      }
    }
    this.#found.addTokens(tokens, count);
    return closed;
  }

  /** The trie nodes with more below them at which a terminal may end or go on. */
  #openExits(start: number): Exits {
    const { trie } = this.vocabulary;
    const bytes = this.#bytes;
    const states = this.#states;
    const open = { nodes: [] as number[], states: [] as number[] };
    // A JSON string ends with its quote, and cannot go on behind it.
    if (bytes.isJsonString(start)) return open;
    states[0] = start;
    for (let at = 1; at < trie[0]; ) {
      const word = trie[at * NODE_WORDS + 1];
      const depth = word >> 8;
      const next = bytes.step(states[depth - 1], word & 0xff);
      if (next === DEAD) {
        at = trie[at * NODE_WORDS];
        continue;
      }
      states[depth] = next;
      if (bytes.labels(next) && trie[at * NODE_WORDS] > at + 1 && bytes.open(next)) {
        open.nodes.push(at);
        open.states.push(next);
      }
      at++;
    }
    return open;
  }

  /**
   * The mask of a state from which most characters lead to one free state (the rest of a name that is not one of the declared
   * ones): made from the mask of that state, by a walk that leaves each subtree where both have come to the same.
   */
  #similarMask(state: number): LocalMask | undefined {
    const free = this.#bytes.usualNext(state);
    if (free === DEAD || free === state || this.#bytes.usualNext(free) !== free) return undefined;
    const base = this.#localMask(free);
    if (base.closed.length > 1) return undefined;
    return this.#collect(() => {
      this.#found.addAll(base.inside);
      return [this.#walkBeside(state, free, base.closed[0])];
    });
  }

  /** Changes the tokens inside `base` to those inside `start`; where the terminal must end is the answer. */
  #walkBeside(start: number, base: number, baseClosed: Exits | undefined): Exits {
    const bytes = this.#bytes;
    const { trie } = this.vocabulary;
    const states = this.#states;
    const baseStates = this.#baseStates;
    const found = this.#found;
    const closed = { nodes: [] as number[], states: [] as number[] };
    /** Subtrees whose exits in `base` do not count: from a node to before another. */
    const replaced: number[] = [];
    states[0] = start;
    baseStates[0] = base;
    for (let at = 1; at < trie[0]; ) {
      const word = trie[at * NODE_WORDS + 1];
      const end = trie[at * NODE_WORDS];
      const depth = word >> 8;
      const next = bytes.step(states[depth - 1], word & 0xff);
      const baseBefore = baseStates[depth - 1];
      const baseNext = baseBefore === DEAD ? DEAD : bytes.step(baseBefore, word & 0xff);
      if (next === baseNext) {
        at = end;
        continue;
      }
      if (baseNext !== DEAD && !bytes.open(baseNext)) replaced.push(at, end);
      if (next === DEAD || !bytes.open(next)) {
        if (next !== DEAD) {
          closed.nodes.push(at);
          closed.states.push(next);
        }
        if (baseNext !== DEAD) {
          replaced.push(at, end);
          for (let below = at; below < end; below++) found.remove(trie[below * NODE_WORDS + 2]);
        }
        at = end;
        continue;
      }
      states[depth] = next;
      baseStates[depth] = baseNext;
      found.add(trie[at * NODE_WORDS + 2]);
      at++;
    }
    let range = 0;
    baseClosed?.nodes.forEach((node, i) => {
      while (range < replaced.length && replaced[range + 1] <= node) range += 2;
      if (range < replaced.length && replaced[range] <= node) return;
      closed.nodes.push(node);
      closed.states.push(baseClosed.states[i]);
    });
    return closed;
  }

  /**
   * The mask of a text with a bound on its length, made from the mask without the bound: tokens that are too short to reach
   * the bound are the same, and the ends are tried again.
   */
  #sizedMask(state: number): LocalMask | undefined {
    const expression = this.#bytes.insideExpression(state);
    const free = expression === undefined ? undefined : this.#expressions.unbounded(expression);
    if (!free) return undefined;
    const { longest } = this.vocabulary;
    const far = free.slack > longest;
    const min = Math.min(free.min, longest + 1);
    const max = far ? Number.POSITIVE_INFINITY : free.max;
    if (min !== free.min || max !== free.max) {
      const canonical = this.#expressions.withBounds(expression!, min, max);
      return this.#localMask(this.#bytes.withExpression(state, canonical));
    }
    const base = this.#localMask(this.#bytes.withExpression(state, free.body));
    const closed = base.closed.map((exits) => this.#stillClosed(state, exits));
    if (far) return { inside: base.inside, closed };
    // A character takes a byte at least, so a token of fewer bytes than are left does not come to the bound.
    const sure = LONG_TOKENS.findLast((length) => length < free.slack) ?? 0;
    return this.#collect(() => {
      this.#found.addAll(base.inside);
      this.#found.keepShort(this.vocabulary, sure);
      const atBound = this.#walkInside(state, sure);
      // A JSON string ends with its quote alone, and those ends are known.
      return this.#bytes.isJsonString(state) ? closed : [...closed, atBound];
    });
  }

  /** The exits of a text without a bound on its length that are exits with the bound. */
  #stillClosed(start: number, { nodes }: Exits): Exits {
    const exits = { nodes: [] as number[], states: [] as number[] };
    for (const node of nodes) {
      const end = this.#stateAt(start, node);
      if (end === DEAD || !this.#bytes.labels(end)) continue;
      exits.nodes.push(node);
      exits.states.push(end);
    }
    return exits;
  }

  #stateAt(start: number, node: number): number {
    const { trie } = this.vocabulary;
    const depth = trie[node * NODE_WORDS + 1] >> 8;
    let at = node;
    while (trie[at * NODE_WORDS + 2] < 0) at++;
    const bytes = this.vocabulary.tokens[trie[at * NODE_WORDS + 2]];
    let state = start;
    for (let i = 0; i < depth && state !== DEAD; i++) state = this.#bytes.step(state, bytes[i]);
    return state;
  }
}

/** Memory of a local mask, in bytes; bits that others share count in full. */
function bytesOf({ inside, closed, open }: LocalMask): number {
  const exits = closed.reduce((sum, { nodes }) => sum + nodes.length, open?.nodes.length ?? 0);
  return inside.bytes + (inside.bits?.byteLength ?? 0) + exits * 16 + 64;
}
