/**
 * Local masks: the tokens that stay inside a terminal from a state of the byte automaton, and its exits.
 *
 * A walk over the whole trie takes a millisecond, so it is the last resort. Before it come masks made from another state's:
 * one without the bound on the length, any text at all, one that differs in counts alone, one that most characters lead to.
 */

import { type ByteAutomaton, DEAD, NO_LABEL } from './byte-automaton.ts';
import { Exits, type UsedExits } from './exits.ts';
import type { Bounded, Labelling } from './expression-shape.ts';
import type { Expressions } from './expressions.ts';
import { type FreeClasses, FreeTexts } from './free-classes.ts';
import { MAX_MASK_BYTES } from './limits.ts';
import { NO_TOKENS, TokenCollector, TokenSet } from './token-set.ts';
import { NODE_WORDS } from './token-trie.ts';
import type { Vocabulary } from './vocabulary.ts';

export interface LocalMask {
  /** Tokens that stay inside the terminal. */
  readonly inside: TokenSet;
  /** Where the terminal must end. */
  readonly closed: readonly UsedExits[];
  /** Where the terminal may end or go on; found when first asked for, because at the end of a text nobody asks. */
  open?: Exits;
}

/** Trie nodes after which two states have so little in common that one's mask is no help for the other's. */
const FUTILE_WALK = 6_000;

/** Characters left to a bound within which masks are made anew. */
const NEAR_BOUND = 8;

/** Trie nodes below one from which it pays to look for classes that a text can go on with there. */
const LARGE_SUBTREE = 256;

/** No classes of characters that a text can go on with. */
const NOT_FREE: FreeClasses = { classes: 0, depth: 0, isClosed: false };

export class LocalMasks {
  readonly #vocabulary: Vocabulary;
  readonly #expressions: Expressions;
  readonly #bytes: ByteAutomaton;
  readonly #free: FreeTexts;
  readonly #masks = new Map<number, LocalMask>();
  /** How many masks are told by some bits. */
  readonly #users = new Map<Uint32Array, number>();
  #cachedBytes = 0;
  /** Scratch of the walks: the tokens found, the states by depth, tokens as they come. */
  readonly #found: TokenCollector;
  readonly #states: Int32Array;
  readonly #baseStates: Int32Array;
  readonly #tokens: Int32Array;

  constructor(vocabulary: Vocabulary, expressions: Expressions, bytes: ByteAutomaton) {
    this.#vocabulary = vocabulary;
    this.#expressions = expressions;
    this.#bytes = bytes;
    this.#free = new FreeTexts(expressions, vocabulary.classes);
    this.#found = new TokenCollector(vocabulary.sameBytes);
    this.#states = new Int32Array(vocabulary.longest + 1);
    this.#baseStates = new Int32Array(vocabulary.longest + 1);
    this.#tokens = new Int32Array(vocabulary.size + 1);
  }

  of(state: number): LocalMask {
    let local = this.#masks.get(state);
    if (local) {
      // The newest last, so that the oldest is dropped first.
      this.#masks.delete(state);
    } else {
      local =
        this.#labelled(state) ??
        this.#marked(state) ??
        this.#bounded(state) ??
        this.#similar(state) ??
        this.#walk(state);
      this.#count(local, 1);
      for (const [oldest, mask] of this.#masks) {
        if (this.#cachedBytes <= MAX_MASK_BYTES) break;
        this.#masks.delete(oldest);
        this.#count(mask, -1);
      }
    }
    this.#masks.set(state, local);
    return local;
  }

  /** Counts the memory of a mask that is kept (1), or no longer kept (-1); bits that several share count once. */
  #count(local: LocalMask, change: 1 | -1): void {
    this.#cachedBytes += change * bytesOf(local);
    const { bits } = local.inside;
    if (!bits) return;
    const users = (this.#users.get(bits) ?? 0) + change;
    if (users === 0 || (users === 1 && change === 1)) this.#cachedBytes += change * bits.byteLength;
    if (users === 0) this.#users.delete(bits);
    else this.#users.set(bits, users);
  }

  /** The trie nodes with more below them at which a terminal may end or go on. */
  open(state: number, local: LocalMask): Exits {
    local.open ??= this.#openLabelled(state) ?? this.#openExits(state);
    return local.open;
  }

  #walk(state: number): LocalMask {
    return this.#collect(() => {
      const closed = new Exits();
      this.#walkInside(state, 0, closed, this.#freeClasses(state));
      return closed.nodes.length > 0 ? [used(closed)] : [];
    });
  }

  /** The tokens that `work` finds, with the exits that are its answer. Where it throws, what was found is dropped. */
  #collect<T extends UsedExits[] | undefined>(work: () => T): T extends undefined ? undefined : LocalMask;
  #collect(work: () => UsedExits[] | undefined): LocalMask | undefined {
    let closed: UsedExits[] | undefined;
    try {
      closed = work();
    } catch (error) {
      this.#found.end();
      throw error;
    }
    const inside = this.#found.end();
    return closed && { inside, closed };
  }

  /** The classes of characters that a text can go on with from a state, as far as tokens of them stay inside the terminal. */
  #freeClasses(state: number): FreeClasses {
    const expression = this.#bytes.insideExpression(state);
    if (expression === undefined) return NOT_FREE;
    return this.#free.of(expression, this.#bytes.isJsonString(state));
  }

  /**
   * Adds the tokens of more than `shorter` bytes that stay inside a terminal, and the exits of more bytes where it must end.
   * @param free classes of characters that it can go on with
   */
  #walkInside(start: number, shorter: number, closed: Exits, free = NOT_FREE): void {
    const { trie, classes } = this.#vocabulary;
    const { whole, behind } = classes;
    if (free.classes !== 0) {
      this.#found.addAll(new TokenSet(classes.within(free.classes, free.depth), NO_TOKENS, NO_TOKENS));
    }
    // Tokens of the classes with at most so many bytes are settled.
    const settled = free.isClosed ? Number.POSITIVE_INFINITY : free.depth;
    const bytes = this.#bytes;
    const states = this.#states;
    const tokens = this.#tokens;
    const end = trie[0] * NODE_WORDS;
    let count = 0;
    states[0] = start;
    for (let at = NODE_WORDS; at < end; ) {
      const isSettled = (whole[at / NODE_WORDS] & ~free.classes) === 0 && trie[at + 3] <= settled;
      if (isSettled || trie[at + 3] <= shorter) {
        at = trie[at] * NODE_WORDS;
        continue;
      }
      const word = trie[at + 1];
      const depth = word >> 8;
      const next = bytes.step(states[depth - 1], word & 0xff);
      if (next === DEAD) at = trie[at] * NODE_WORDS;
      else if (bytes.open(next)) {
        states[depth] = next;
        let after = at + NODE_WORDS;
        if (trie[at] * NODE_WORDS - at > LARGE_SUBTREE * NODE_WORDS) {
          const below = this.#freeClasses(next);
          const isFree = (behind[at / NODE_WORDS] & ~below.classes) === 0;
          if (isFree && trie[at + 3] - depth <= below.depth) after = trie[at] * NODE_WORDS;
        }
        for (; at < after; at += NODE_WORDS) {
          tokens[count] = trie[at + 2];
          if (trie[at + 2] >= 0) count++;
        }
      } else {
        if (depth > shorter) closed.add(at / NODE_WORDS, bytes.labels(next)!);
        at = trie[at] * NODE_WORDS;
      }
    }
    this.#found.addTokens(tokens, count);
  }

  #openLabelled(state: number): Exits | undefined {
    const labelling = this.#labelling(state);
    if (!labelling) return undefined;
    const unlabelled = this.#bytes.withExpression(state, labelling.essence);
    const open = new Exits();
    const exits = this.open(unlabelled, this.of(unlabelled));
    exits.nodes.forEach((node, i) => {
      open.add(node, this.#labelsAt(state, exits, i, exits.labels[i], labelling));
    });
    return open;
  }

  #openExits(start: number): Exits {
    const { trie } = this.#vocabulary;
    const bytes = this.#bytes;
    const states = this.#states;
    const open = new Exits();
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
      const labels = bytes.labels(next);
      if (labels && trie[at * NODE_WORDS] > at + 1 && bytes.open(next)) open.add(at, labels);
      at++;
    }
    return open;
  }

  /** The mask of a text that an automaton labels: that of the text without labels, but for the labels. */
  #labelled(state: number): LocalMask | undefined {
    const labelling = this.#labelling(state);
    if (!labelling) return undefined;
    const base = this.of(this.#bytes.withExpression(state, labelling.essence));
    const closed = base.closed.map((used) => {
      const { exits, except, relabelled } = used;
      const labels = exits.nodes.map((_, i) => {
        if (except?.has(i)) return [];
        const without = used.labels?.[i] ?? relabelled?.get(exits.labels[i].join()) ?? exits.labels[i];
        return this.#labelsAt(state, exits, i, without, labelling);
      });
      return { exits, except, relabelled: undefined, labels };
    });
    return { inside: base.inside, closed };
  }

  /** The mask of a text whose label is the same however it ends: that of the text without labels, but for the label. */
  #marked(state: number): LocalMask | undefined {
    const expression = this.#bytes.insideExpression(state);
    const marked = expression === undefined ? undefined : this.#expressions.marked(expression);
    if (!marked) return undefined;
    const base = this.of(this.#bytes.withExpression(state, marked.body));
    const closed = base.closed.map(({ exits, except }) => {
      const relabelled = new Map(exits.labels.map((labels) => [labels.join(), [marked.label]]));
      return { exits, except, relabelled };
    });
    return { inside: base.inside, closed };
  }

  #labelling(state: number): Labelling | undefined {
    const expression = this.#bytes.insideExpression(state);
    return expression === undefined ? undefined : this.#expressions.labelling(expression);
  }

  /** The labels of a labelled text that ends at an exit, given those that it has without the labelling. */
  #labelsAt(
    state: number,
    exits: Exits,
    i: number,
    without: readonly number[],
    { automaton, state: start }: Labelling,
  ): readonly number[] {
    const characters = exits.characters(this.#vocabulary, this.#bytes.isJsonString(state))[i];
    if (!characters) return this.#bytes.labels(this.#stateAt(state, exits.nodes[i]))!;
    let at = start;
    for (const character of characters) at = automaton.next!(at, character);
    const own = automaton.accepts(at);
    return without === NO_LABEL ? [own] : [...new Set([...without, own])].sort((a, b) => a - b);
  }

  /**
   * The mask of a state from which most characters lead to one free state (the rest of a name that is not one of the declared
   * ones): made from the mask of that state, by a walk that leaves each subtree where both have come to the same.
   */
  #similar(state: number): LocalMask | undefined {
    const free = this.#bytes.usualNext(state);
    if (free === DEAD || free === state || this.#bytes.usualNext(free) !== free) return undefined;
    const base = this.of(free);
    if (base.inside.bits === undefined) return undefined;
    return this.#collect(() => {
      this.#found.addAll(base.inside);
      const own = new Exits();
      const replaced = this.#walkBeside(state, free, own);
      if (!replaced) return undefined;
      const closed = base.closed.map((exits) => withoutRanges(exits, replaced));
      return own.nodes.length > 0 ? [used(own), ...closed] : closed;
    });
  }

  /**
   * Changes the tokens inside `base` to those inside `start`, and adds the exits that are not those of `base`.
   * @returns the trie nodes whose exits in `base` do not count: from each even one to before the next; undefined when the
   *   walk is futile
   */
  #walkBeside(start: number, base: number, closed: Exits): readonly number[] | undefined {
    const bytes = this.#bytes;
    const { trie } = this.#vocabulary;
    const states = this.#states;
    const baseStates = this.#baseStates;
    const found = this.#found;
    const replaced: number[] = [];
    let visited = 0;
    states[0] = start;
    baseStates[0] = base;
    for (let at = 1; at < trie[0]; ) {
      if (++visited > FUTILE_WALK) return undefined;
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
        if (next !== DEAD) closed.add(at, bytes.labels(next)!);
        if (baseNext !== DEAD) {
          if (bytes.open(baseNext)) replaced.push(at, end);
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
    return replaced;
  }

  /**
   * The mask of a text with a bound on its length, made from the mask without the bound: tokens that are too short to reach
   * the bound are the same, and the ends are tried again.
   */
  #bounded(state: number): LocalMask | undefined {
    const expression = this.#bytes.insideExpression(state);
    const free = expression === undefined ? undefined : this.#expressions.unbounded(expression);
    if (!free) return undefined;
    const vocabulary = this.#vocabulary;
    const far = free.slack > vocabulary.longest;
    const min = Math.min(free.min, vocabulary.longest + 1);
    const max = far ? Number.POSITIVE_INFINITY : free.max;
    if (min !== free.min || max !== free.max) {
      const canonical = this.#expressions.withBounds(expression!, min, max);
      return this.of(this.#bytes.withExpression(state, canonical));
    }
    // Most tokens come to a near bound, so that the others' mask is no help.
    if (!far && free.slack < NEAR_BOUND) return undefined;
    const base = this.of(this.#bytes.withExpression(state, free.body));
    const closed = base.closed.map((exits) => this.#stillClosed(state, exits, free, far));
    if (far) return { inside: base.inside, closed };
    const json = this.#bytes.isJsonString(state);
    // At the bound a JSON string may still go on with its quote; other texts must end.
    const sure = json ? free.slack : free.slack - 1;
    return this.#collect(() => {
      this.#found.addAll(base.inside);
      this.#found.removeTokens(vocabulary.byCharacters(json).longer(Math.max(0, sure)));
      if (json && free.slack === free.max) return closed;
      const atBound = new Exits();
      this.#walkInside(state, Math.max(0, sure), atBound);
      // A JSON string ends with its quote alone, and those ends are known.
      return json ? closed : [...closed, used(atBound)];
    });
  }

  /** The exits of a text without a bound on its length that are exits with the bound. */
  #stillClosed(start: number, used: UsedExits, { min, max, isWhole }: Bounded, far: boolean): UsedExits {
    if (far && min === 0) return used;
    const left = new Set(used.except);
    const lengths = isWhole ? used.exits.lengths(this.#vocabulary, this.#bytes.isJsonString(start)) : undefined;
    used.exits.nodes.forEach((node, i) => {
      if (lengths ? lengths[i] < min || lengths[i] > max : !this.#bytes.labels(this.#stateAt(start, node))) left.add(i);
    });
    return { ...used, except: left.size > 0 ? left : undefined };
  }

  #stateAt(start: number, node: number): number {
    let state = start;
    for (const byte of this.#vocabulary.bytesTo(node)) {
      if (state === DEAD) break;
      state = this.#bytes.step(state, byte);
    }
    return state;
  }
}

function used(exits: Exits): UsedExits {
  return { exits, except: undefined, relabelled: undefined };
}

/** Exits without those whose nodes are in some ranges, which are in the order of the trie. */
function withoutRanges(given: UsedExits, ranges: readonly number[]): UsedExits {
  const left = new Set(given.except);
  let range = 0;
  given.exits.nodes.forEach((node, i) => {
    while (range < ranges.length && ranges[range + 1] <= node) range += 2;
    if (range < ranges.length && ranges[range] <= node) left.add(i);
  });
  return { ...given, except: left.size > 0 ? left : undefined };
}

/** Memory of a local mask without its bits, in bytes. */
function bytesOf({ inside, closed, open }: LocalMask): number {
  let exits = open?.nodes.length ?? 0;
  for (const one of closed) exits += one.exits.nodes.length + (one.except?.size ?? 0) + (one.labels?.length ?? 0);
  return inside.bytes + exits * 16 + 64;
}
