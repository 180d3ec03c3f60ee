/**
 * The byte automaton of all terminals: an expression over characters, spelled as UTF-8 or as a JSON string, read byte by
 * byte. A state is an expression and how far into a character the text is. Rows of 256 next states are filled on demand.
 */

import { GrammarError } from './errors.ts';
import { EMPTY, type Expressions } from './expressions.ts';
import type { Terminal } from './ir.ts';
import { type Budget, MAX_STATES } from './limits.ts';

/** The state without a way on. */
export const DEAD = -1;
const UNKNOWN = -2;
/** Some byte leads on. */
export const OPEN = 1;
const CLOSED = 2;

/** Where in a text, in a character or in an escape a state is. */
type Place =
  /** Before the opening quote of a JSON string. */
  | 'quote'
  /** Between two characters. */
  | 'inside'
  /** After the closing quote. */
  | 'end'
  /** Inside a UTF-8 character: one of `low` to `high`, with `left` continuation bytes to come. */
  | 'utf8'
  /** The same where all of them lead to `expression`. */
  | 'utf8-uniform'
  /** After a backslash. */
  | 'escape'
  /** Inside `\uXXXX`: a UTF-16 unit of `low` to `high`, with `left` digits to come. */
  | 'hex'
  | 'hex-uniform'
  /** After a high surrogate: one of `low` to `high`, with `left` of `\uXXXX` to come. */
  | 'pair'
  | 'pair-uniform';

interface State {
  readonly spelling: Terminal['spelling'];
  readonly place: Place;
  readonly expression: number;
  readonly low: number;
  readonly high: number;
  readonly left: number;
  readonly labels: readonly number[] | undefined;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const LETTER_U = 0x75;
/** Escape letters and what they stand for. */
const SHORT_ESCAPES = new Map([
  [0x22, 0x22],
  [0x5c, 0x5c],
  [0x2f, 0x2f],
  [0x62, 0x08],
  [0x66, 0x0c],
  [0x6e, 0x0a],
  [0x72, 0x0d],
  [0x74, 0x09],
]);
/** Control characters that have no short escape. */
const LONG_ESCAPES: readonly (readonly [number, number])[] = [
  [0x00, 0x07],
  [0x0b, 0x0b],
  [0x0e, 0x1f],
];
const NO_LABEL: readonly number[] = [0];

export class ByteAutomaton {
  readonly #expressions: Expressions;
  readonly #budget: Budget;
  readonly #states: State[] = [];
  readonly #ids = new Map<string, number>();
  readonly #rows: Int32Array[] = [];
  #openness = new Uint8Array(64);

  constructor(expressions: Expressions, budget: Budget) {
    this.#expressions = expressions;
    this.#budget = budget;
  }

  get size(): number {
    return this.#states.length;
  }

  /** By state and byte the next state, or a number below {@link DEAD}: ask {@link step}. */
  get rows(): readonly Int32Array[] {
    return this.#rows;
  }

  /** By state {@link OPEN} or another number: ask {@link open}. Grows by replacement. */
  get openness(): Uint8Array {
    return this.#openness;
  }

  /** The state before a terminal's first byte, or {@link DEAD} when the terminal has no text. */
  start({ regex, spelling }: Terminal): number {
    const expression = this.#expressions.from(regex);
    if (!this.#expressions.alive(expression)) return DEAD;
    return this.#state(spelling, spelling === 'utf8' ? 'inside' : 'quote', expression);
  }

  /** Where a byte leads. */
  step(state: number, byte: number): number {
    const next = this.#rows[state][byte];
    return next === UNKNOWN ? this.#fill(state, byte) : next;
  }

  /** The labels with which the terminal may end here (`[0]` when it has none); undefined where it may not end. */
  labels(state: number): readonly number[] | undefined {
    return this.#states[state].labels;
  }

  /** True when some byte leads on. */
  open(state: number): boolean {
    const known = this.#openness[state];
    return known === 0 ? this.#findOpen(state) : known === OPEN;
  }

  isJsonString(state: number): boolean {
    return this.#states[state].spelling !== 'utf8';
  }

  /** The state that most letters and digits lead to from a place between two characters, or {@link DEAD}. */
  usualNext(state: number): number {
    if (this.#states[state].place !== 'inside') return DEAD;
    const counts = new Map<number, number>();
    for (let byte = 0x30; byte <= 0x7a; byte++) {
      const next = this.step(state, byte);
      const count = (counts.get(next) ?? 0) + 1;
      counts.set(next, count);
      if (count > 37) return next;
    }
    return DEAD;
  }

  /** The expression of a state between two characters. */
  insideExpression(state: number): number | undefined {
    const { place, expression } = this.#states[state];
    return place === 'inside' ? expression : undefined;
  }

  /** The state of the same spelling between two characters, with another expression. */
  withExpression(state: number, expression: number): number {
    return this.#state(this.#states[state].spelling, 'inside', expression);
  }

  #findOpen(id: number): boolean {
    const { spelling, place, expression } = this.#states[id];
    const open = place === 'inside' && spelling === 'utf8' ? this.#expressions.hasNext(expression) : place !== 'end';
    this.#openness[id] = open ? OPEN : CLOSED;
    return open;
  }

  #state(spelling: State['spelling'], place: Place, expression: number, low = 0, high = 0, left = 0): number {
    const key = `${spelling},${place},${expression},${low},${high},${left}`;
    const known = this.#ids.get(key);
    if (known !== undefined) return known;
    let labels: readonly number[] | undefined;
    if ((place === 'inside' && spelling === 'utf8') || place === 'end') labels = this.#expressions.labels(expression);
    if (labels?.length === 0) labels = NO_LABEL;
    return this.#add(key, { spelling, place, expression, low, high, left, labels });
  }

  #add(key: string, state: State): number {
    const id = this.#states.length;
    if (id >= MAX_STATES) throw new GrammarError(`the grammar is too complex: more than ${MAX_STATES} states`);
    this.#budget.spend(4);
    this.#states.push(state);
    this.#ids.set(key, id);
    this.#rows.push(new Int32Array(256).fill(UNKNOWN));
    if (id >= this.#openness.length) {
      const openness = new Uint8Array(id * 2);
      openness.set(this.#openness);
      this.#openness = openness;
    }
    return id;
  }

  #fill(id: number, byte: number): number {
    const state = this.#states[id];
    if (state.place === 'inside' && byte < 0x80) this.#fillAscii(id, state);
    else {
      this.#rows[id][byte] = this.#next(state, byte);
    }
    return this.#rows[id][byte];
  }

  #fillAscii(id: number, { spelling, expression }: State): void {
    const expressions = this.#expressions;
    const { starts, targets } = expressions.edges(expression);
    const next = new Int32Array(128).fill(DEAD);
    for (let i = 0; i < starts.length && starts[i] < 0x80; i++) {
      if (!expressions.alive(targets[i])) continue;
      next.fill(this.#state(spelling, 'inside', targets[i]), starts[i], starts[i + 1] ?? 0x80);
    }
    if (spelling !== 'utf8') {
      next.fill(DEAD, 0, 0x20);
      next[QUOTE] = expressions.labels(expression) ? this.#end(spelling, expression) : DEAD;
      const escaped = this.#state(spelling, 'escape', expression);
      next[BACKSLASH] = this.#escapeOpen(spelling, expression) ? escaped : DEAD;
    }
    this.#rows[id].set(next);
  }

  /** The state after the closing quote: only the labels matter there. */
  #end(spelling: State['spelling'], expression: number): number {
    const labels = this.#expressions.labels(expression)!;
    if (labels.length === 0) return this.#state(spelling, 'end', EMPTY);
    const key = `end,${labels.join()}`;
    const known = this.#ids.get(key);
    return known ?? this.#add(key, { spelling, place: 'end', expression, low: 0, high: 0, left: 0, labels });
  }

  #next(state: State, byte: number): number {
    const { spelling, expression, low, high, left } = state;
    switch (state.place) {
      case 'quote':
        return byte === QUOTE ? this.#state(spelling, 'inside', expression) : DEAD;
      case 'inside':
        return this.#leadByte(spelling, expression, byte);
      case 'end':
        return DEAD;
      case 'utf8': {
        if (byte < 0x80 || byte > 0xbf) return DEAD;
        const size = 64 ** (left - 1);
        const first = low - (low % (size * 64)) + (byte - 0x80) * size;
        return this.#utf8(spelling, expression, Math.max(low, first), Math.min(high, first + size - 1), left - 1);
      }
      case 'utf8-uniform':
        if (byte < 0x80 || byte > 0xbf) return DEAD;
        return this.#uniform(spelling, 'utf8-uniform', expression, left - 1);
      case 'escape':
        return this.#escape(spelling, expression, byte);
      case 'hex': {
        const digit = hexDigit(byte);
        if (digit < 0) return DEAD;
        const size = 16 ** (left - 1);
        return this.#hex(spelling, expression, low + digit * size, low + (digit + 1) * size - 1, left - 1);
      }
      case 'hex-uniform':
        return hexDigit(byte) < 0 ? DEAD : this.#uniform(spelling, 'hex-uniform', expression, left - 1);
      case 'pair':
      case 'pair-uniform':
        return this.#pairByte(state, byte, high);
    }
  }

  #leadByte(spelling: State['spelling'], expression: number, byte: number): number {
    if (byte < 0xc2 || byte > 0xf4) return DEAD;
    if (byte < 0xe0) return this.#utf8(spelling, expression, (byte & 0x1f) << 6, ((byte & 0x1f) << 6) | 0x3f, 1);
    if (byte < 0xf0) {
      const first = (byte & 0x0f) << 12;
      return this.#utf8(spelling, expression, Math.max(first, 0x800), byte === 0xed ? 0xd7ff : first | 0xfff, 2);
    }
    const first = (byte & 0x07) << 18;
    return this.#utf8(spelling, expression, Math.max(first, 0x10000), Math.min(first | 0x3ffff, 0x10ffff), 3);
  }

  #utf8(spelling: State['spelling'], expression: number, low: number, high: number, left: number): number {
    if (low > high) return DEAD;
    const target = this.#expressions.uniform(expression, low, high);
    if (target === undefined) {
      if (!this.#expressions.someAlive(expression, low, high)) return DEAD;
      return this.#state(spelling, 'utf8', expression, low, high, left);
    }
    if (!this.#expressions.alive(target)) return DEAD;
    if (high - low + 1 === 64 ** left) return this.#uniform(spelling, 'utf8-uniform', target, left);
    return this.#state(spelling, 'utf8', expression, low, high, left);
  }

  #uniform(spelling: State['spelling'], place: Place, target: number, left: number): number {
    return left === 0 ? this.#state(spelling, 'inside', target) : this.#state(spelling, place, target, 0, 0, left);
  }

  #escapeOpen(spelling: State['spelling'], expression: number): boolean {
    if (spelling === 'json') return this.#expressions.hasNext(expression);
    return [
      [0, 0x1f],
      [QUOTE, QUOTE],
      [BACKSLASH, BACKSLASH],
    ].some(([low, high]) => this.#expressions.someAlive(expression, low, high));
  }

  #escape(spelling: State['spelling'], expression: number, byte: number): number {
    if (byte === LETTER_U) return this.#hex(spelling, expression, 0, 0xffff, 4);
    const char = SHORT_ESCAPES.get(byte);
    if (char === undefined || (spelling === 'json-minimal' && char === 0x2f)) return DEAD;
    return this.#character(spelling, this.#expressions.next(expression, char));
  }

  #character(spelling: State['spelling'], target: number): number {
    return this.#expressions.alive(target) ? this.#state(spelling, 'inside', target) : DEAD;
  }

  #hex(spelling: State['spelling'], expression: number, low: number, high: number, left: number): number {
    const expressions = this.#expressions;
    if (spelling === 'json-minimal') {
      const some = LONG_ESCAPES.some(
        ([first, last]) =>
          first <= high && last >= low && expressions.someAlive(expression, Math.max(first, low), Math.min(last, high)),
      );
      if (!some) return DEAD;
      return left > 0
        ? this.#state(spelling, 'hex', expression, low, high, left)
        : this.#character(spelling, expressions.next(expression, low));
    }
    if (high < 0xd800 || low > 0xdfff) {
      const target = expressions.uniform(expression, low, high);
      if (target !== undefined)
        return expressions.alive(target) ? this.#uniform(spelling, 'hex-uniform', target, left) : DEAD;
      return expressions.someAlive(expression, low, high)
        ? this.#state(spelling, 'hex', expression, low, high, left)
        : DEAD;
    }
    const [firstHigh, lastHigh] = [Math.max(low, 0xd800), Math.min(high, 0xdbff)];
    if (left === 0) return firstHigh <= lastHigh ? this.#pair(spelling, expression, ...astral(low, low), 6) : DEAD;
    const some =
      (low < 0xd800 && expressions.someAlive(expression, low, 0xd7ff)) ||
      (high > 0xdfff && expressions.someAlive(expression, 0xe000, high)) ||
      (firstHigh <= lastHigh && expressions.someAlive(expression, ...astral(firstHigh, lastHigh)));
    return some ? this.#state(spelling, 'hex', expression, low, high, left) : DEAD;
  }

  #pair(spelling: State['spelling'], expression: number, low: number, high: number, left: number): number {
    const target = this.#expressions.uniform(expression, low, high);
    if (target !== undefined) {
      return this.#expressions.alive(target) ? this.#uniform(spelling, 'pair-uniform', target, left) : DEAD;
    }
    if (!this.#expressions.someAlive(expression, low, high)) return DEAD;
    return this.#state(spelling, 'pair', expression, low, high, left);
  }

  /** A byte of `\uDXXX`, the second half of a pair. */
  #pairByte({ spelling, place, expression, low, left }: State, byte: number, high: number): number {
    const digit = hexDigit(byte);
    const fits =
      left === 6
        ? byte === BACKSLASH
        : left === 5
          ? byte === LETTER_U
          : left === 4
            ? digit === 13
            : digit >= (left === 3 ? 12 : 0);
    if (!fits) return DEAD;
    if (place === 'pair-uniform') return this.#uniform(spelling, 'pair-uniform', expression, left - 1);
    if (left > 3) return this.#state(spelling, 'pair', expression, low, high, left - 1);
    const size = 16 ** (left - 1);
    const first = low + (left === 3 ? digit - 12 : digit) * size;
    return this.#pair(spelling, expression, first, first + size - 1, left - 1);
  }
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x61 + 10 : -1;
}

/** The characters beyond U+FFFF whose first surrogate is one of a range. */
function astral(firstHigh: number, lastHigh: number): [low: number, high: number] {
  return [0x10000 + ((firstHigh - 0xd800) << 10), 0x10000 + ((lastHigh - 0xd800) << 10) + 0x3ff];
}
