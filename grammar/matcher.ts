/** A compiled grammar and the texts that walk through it. */

import { GrammarError } from './errors.ts';
import type { Grammar, Matcher } from './index.ts';
import type { Node } from './ir.ts';
import { bounded, FRESH_START_STATES, MAX_MASK_BYTES, STEP_FUEL } from './limits.ts';
import { FINISHED, Machine, REFUSED } from './machine.ts';
import type { Tables } from './tables.ts';
import type { TokenSet } from './token-set.ts';

export class CompiledGrammar implements Grammar {
  readonly #root: Node;
  readonly #tables: () => Tables;
  #run: Run;

  /** @param tables the compiler's tables; others when these have grown too large */
  constructor(root: Node, tables: () => Tables) {
    this.#root = root;
    this.#tables = tables;
    this.#run = new Run(root, tables());
  }

  /**
   * What must be known before the first text; may be called again after it was preempted.
   * @throws GrammarError when the grammar has no text, or is beyond the limits
   */
  begin(): void {
    this.#run.begin();
  }

  /** How much was made for its texts so far. */
  get configurations(): number {
    return this.#run.machine.size;
  }

  /** The tables that its texts go through. */
  get tables(): Tables {
    return this.#run.tables;
  }

  matcher(): GrammarMatcher {
    const { tables, machine } = this.#run;
    if (tables.exhausted || machine.size > FRESH_START_STATES) this.#run = new Run(this.#root, this.#tables());
    return new GrammarMatcher(this.#run, [this.#run.begin()]);
  }
}

/** The machine of a grammar, with the masks that were asked for. */
class Run {
  readonly tables: Tables;
  readonly machine: Machine;
  readonly #root: Node;
  #start: number | undefined;
  /** By configuration. */
  #masks: (TokenSet | undefined)[] = [];
  /** Bits that the masks are told by; many masks share few of them. */
  readonly #bits = new Set<Uint32Array>();
  #maskBytes = 0;

  constructor(root: Node, tables: Tables) {
    this.tables = tables;
    this.machine = new Machine(tables.bytes, tables.budget);
    this.#root = root;
  }

  /** The configuration at the start of a text. */
  begin(): number {
    this.#start ??= this.machine.begin(this.#root);
    return this.#start;
  }

  mask(configuration: number): TokenSet {
    let mask = this.#masks[configuration];
    if (!mask) {
      this.tables.budget.refill(STEP_FUEL);
      mask = bounded(() => this.tables.masks.compute(this.machine, configuration));
      this.#keep(configuration, mask);
    }
    return mask;
  }

  #keep(configuration: number, mask: TokenSet): void {
    if (this.#maskBytes > MAX_MASK_BYTES) {
      this.#masks = [];
      this.#bits.clear();
      this.#maskBytes = 0;
    }
    this.#masks[configuration] = mask;
    this.#maskBytes += mask.bytes;
    if (!mask.bits || this.#bits.has(mask.bits)) return;
    this.#bits.add(mask.bits);
    this.#maskBytes += mask.bits.byteLength;
  }
}

export class GrammarMatcher implements Matcher {
  readonly #run: Run;
  /** The configurations after each accepted token, the start first. */
  readonly #path: number[];

  constructor(run: Run, path: number[]) {
    this.#run = run;
    this.#path = path;
  }

  fillMask(mask: Uint32Array): void {
    const { vocabulary } = this.#run.tables;
    if (mask.length < vocabulary.maskWords) {
      throw new GrammarError(`mask: expected at least ${vocabulary.maskWords} words, found ${mask.length}`);
    }
    const configuration = this.#configuration;
    this.#run.mask(configuration).copyTo(mask);
    if (configuration === FINISHED || !this.canFinish()) return;
    for (const id of vocabulary.eosTokenIds) mask[id >> 5] |= 1 << (id & 31);
  }

  accept(tokenId: number): boolean {
    const { tables, machine } = this.#run;
    const { tokens, eosTokenIds } = tables.vocabulary;
    const configuration = this.#configuration;
    let next = REFUSED;
    if (eosTokenIds.includes(tokenId)) next = this.canFinish() && configuration !== FINISHED ? FINISHED : REFUSED;
    else if (tokens[tokenId]?.length > 0) {
      tables.budget.refill(STEP_FUEL);
      next = bounded(() => machine.walk(configuration, tokens[tokenId]));
    }
    if (next === REFUSED) return false;
    this.#path.push(next);
    return true;
  }

  canFinish(): boolean {
    return this.#run.machine.configuration(this.#configuration).canFinish;
  }

  /** @throws GrammarError when fewer tokens were accepted */
  rollback(count: number): void {
    if (!(Number.isInteger(count) && count >= 0 && count < this.#path.length)) {
      throw new GrammarError(`rollback: expected a count of at most ${this.#path.length - 1} tokens, found ${count}`);
    }
    this.#path.length -= count;
  }

  forcedTokens(): number[] {
    const words = new Uint32Array(this.#run.tables.vocabulary.maskWords);
    const forced: number[] = [];
    while (forced.length < MAX_FORCED && !this.canFinish()) {
      this.fillMask(words);
      const only = onlyBit(words);
      if (only < 0 || !this.accept(only)) break;
      forced.push(only);
    }
    this.rollback(forced.length);
    return forced;
  }

  reset(): void {
    this.#path.length = 1;
  }

  /** Another matcher at the same place. Neither disturbs the other. */
  fork(): GrammarMatcher {
    return new GrammarMatcher(this.#run, [...this.#path]);
  }

  get #configuration(): number {
    return this.#path[this.#path.length - 1];
  }
}

/** Longest answer of {@link Matcher.forcedTokens}. */
const MAX_FORCED = 64;

/** The only set bit, or -1 when there are none or several. */
function onlyBit(words: Uint32Array): number {
  let only = -1;
  for (let i = 0; i < words.length; i++) {
    const word = words[i];
    if (word === 0) continue;
    if (only >= 0 || (word & (word - 1)) !== 0) return -1;
    only = i * 32 + 31 - Math.clz32(word);
  }
  return only;
}
