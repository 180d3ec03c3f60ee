/** What schemas ask of the languages of strings and numbers: whether a text is in one, and which. */

import { Expressions } from '../expressions.ts';
import type { Regex } from '../ir.ts';
import type { Budget } from '../limits.ts';
import { ANY_HASH, hashedText } from './distinct.ts';

/** Most states of a language whose ends are looked for. */
const MAX_TIGHT = 64;

export class Languages {
  readonly #expressions: Expressions;
  readonly #tight = new Map<Regex, boolean>();

  constructor(budget: Budget) {
    this.#expressions = new Expressions(budget);
  }

  /** True when some text is in the language. */
  hasText(regex: Regex): boolean {
    if (surelyHasText(regex)) return true;
    return this.#expressions.alive(this.#expressions.from(regex));
  }

  /** True when a text is in the language. */
  matches(regex: Regex, given: string): boolean {
    let state = this.#expressions.from(regex);
    for (const char of given) state = this.#expressions.next(state, char.codePointAt(0)!);
    return this.#expressions.labels(state) !== undefined;
  }

  /** The texts of a language when there are at most `limit`, else undefined. */
  texts(regex: Regex, limit: number): string[] | undefined {
    const found: string[] = [];
    const open: [number, string][] = [[this.#expressions.from(regex), '']];
    let fuel = limit * 50;
    for (let way = open.pop(); way; way = open.pop()) {
      const [state, prefix] = way;
      if (--fuel < 0) return undefined;
      if (this.#expressions.labels(state)) found.push(prefix);
      if (found.length > limit || prefix.length > 200) return undefined;
      const { starts, targets } = this.#expressions.edges(state);
      for (let i = 0; i < starts.length; i++) {
        if (!this.#expressions.alive(targets[i])) continue;
        const end = i + 1 < starts.length ? starts[i + 1] : 0x110000;
        if (end - starts[i] > limit) return undefined;
        for (let code = starts[i]; code < end; code++) open.push([targets[i], prefix + String.fromCodePoint(code)]);
      }
    }
    return found;
  }

  /**
   * See {@link hashedText}; what was written is only left out where a text could not just go on and differ. Undefined when
   * it should be left out and is not told.
   */
  hashed(regex: Regex, written: readonly string[]): Regex | undefined {
    const leaveOut = written.some((key) => key.startsWith('#')) && this.#isTight(regex);
    if (leaveOut && written.includes(ANY_HASH)) return undefined;
    return hashedText(regex, leaveOut ? written : []);
  }

  /**
   * True when a text may come to where only few texts are left to it; false also for languages of so many states that it
   * hardly ever does.
   */
  #isTight(regex: Regex): boolean {
    let tight = this.#tight.get(regex);
    if (tight === undefined) this.#tight.set(regex, (tight = this.#findTight(regex)));
    return tight;
  }

  #findTight(regex: Regex): boolean {
    // Where few texts are left, all ways lead to a state without a way on.
    let found = false;
    const seen = new Set([this.#expressions.from(regex)]);
    for (const id of seen) {
      if (seen.size > MAX_TIGHT) return false;
      const targets = this.#expressions.edges(id).targets.filter((target) => this.#expressions.alive(target));
      found ||= targets.length === 0;
      for (const target of targets) seen.add(target);
    }
    return found;
  }
}

/** True when a look at a regex shows that some text is in it; intersections and complements must be searched. */
function surelyHasText(regex: Regex): boolean {
  switch (regex.kind) {
    case 'literal':
    case 'automaton':
      return true;
    case 'chars':
      return regex.set[0] < 0xd800 || regex.set[regex.set.length - 1] > 0xdfff;
    case 'concat':
      return regex.parts.every(surelyHasText);
    case 'either':
      return regex.parts.some(surelyHasText);
    case 'repeat':
      return regex.min === 0 || surelyHasText(regex.body);
    case 'labelled':
      return surelyHasText(regex.body);
    default:
      return false;
  }
}
