/**
 * The byte automaton of all terminals: an expression over characters, spelled as UTF-8 or as a JSON string, read byte by
 * byte. A state is an expression and how far into a character the text is. Rows of 256 next states are filled on demand.
 */

import { GrammarError } from './errors.ts';
import type { Expressions } from './expressions.ts';
import { Interner } from './interner.ts';
import type { Terminal } from './ir.ts';
import { type Budget, MAX_STATES } from './limits.ts';
import { TransitionRows } from './transition-rows.ts';

/** What a row holds where a byte was not yet asked for. */
const UNKNOWN = 0;
/** The state without a way on. */
export const DEAD = 1;
/** Some byte leads on. */
const OPEN = 1;
const CLOSED = 2;

/** Where in a text, in a character or in an escape a state is. */
const PLACES = [
  /** Before the opening quote of a JSON string. */
  'quote',
  /** Between two characters. */
  'inside',
  /** After the closing quote; the state's expression is the number of a list of labels. */
  'end',
  /** Inside a UTF-8 character: one of `low` to `high`, with `left` continuation bytes to come. */
  'utf8',
  /** The same where all of them lead to `expression`. */
  'utf8-uniform',
  /** After a backslash. */
  'escape',
  /** Inside `\uXXXX`: a UTF-16 unit of `low` to `high`, with `left` digits to come. */
  'hex',
  'hex-uniform',
  /** After a high surrogate: one of `low` to `high`, with `left` of `\uXXXX` to come. */
  'pair',
  'pair-uniform',
] as const;
type Place = (typeof PLACES)[number];

const SPELLINGS: readonly Terminal['spelling'][] = ['utf8', 'json', 'json-minimal'];

interface State {
  readonly spelling: Terminal['spelling'];
  readonly place: Place;
  readonly expression: number;
  readonly low: number;
  readonly high: number;
  readonly left: number;
}

/** A state's spelling, place and characters left as one number. */
function kindOf(spelling: Terminal['spelling'], place: Place, left: number): number {
  return (left << 6) | (PLACES.indexOf(place) << 2) | SPELLINGS.indexOf(spelling);
}

const QUOTE = 0x22;
export const BACKSLASH = 0x5c;
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
/** The labels of a text that has none. */
export const NO_LABEL: readonly number[] = [0];

export class ByteAutomaton {
  readonly #expressions: Expressions;
  readonly #budget: Budget;
  /** By state its kind, expression, low and high; 0 and {@link DEAD} are no states. */
  readonly #states = new Interner();
  readonly #rows = new TransitionRows();
  readonly #labels: (readonly number[] | undefined)[] = [undefined, undefined];
  /** Lists of labels with which JSON strings end. */
  readonly #endLabels: (readonly number[])[] = [];
  readonly #endLabelIds = new Map<string, number>();
  #openness = new Uint8Array(1024);

  constructor(expressions: Expressions, budget: Budget) {
    this.#expressions = expressions;
    this.#budget = budget;
    for (const id of [UNKNOWN, DEAD]) {
      this.#states.id(-1, id);
      this.#rows.add();
    }
  }

  get size(): number {
    return this.#states.size;
  }

  /** The state before a terminal's first byte, or {@link DEAD} when the terminal has no text. */
  start({ regex, spelling }: Terminal): number {
    const expression = this.#expressions.from(regex);
    if (!this.#expressions.alive(expression)) return DEAD;
    return this.#state(spelling, spelling === 'utf8' ? 'inside' : 'quote', expression);
  }

  /** Where a byte leads. */
  step(state: number, byte: number): number {
    const next = this.#rows.get(state, byte);
    return next === UNKNOWN ? this.#fill(state, byte) : next;
  }

  /** The labels with which the terminal may end here (`[0]` when it has none); undefined where it may not end. */
  labels(state: number): readonly number[] | undefined {
    return this.#labels[state];
  }

  /** True when some byte leads on. */
  open(state: number): boolean {
    const known = this.#openness[state];
    return known === 0 ? this.#findOpen(state) : known === OPEN;
  }

  isJsonString(state: number): boolean {
    return this.spelling(state) !== 'utf8';
  }

  spelling(state: number): Terminal['spelling'] {
    return SPELLINGS[this.#states.at(state, 0) & 3];
  }

  /** The state that most letters and digits lead to from a place between two characters, or {@link DEAD}. */
  usualNext(state: number): number {
    if (!this.#isInside(state)) return DEAD;
    // The only candidate for a majority (Boyer and Moore's vote), then its count.
    let usual = DEAD;
    let lead = 0;
    for (let byte = 0x30; byte <= 0x7a; byte++) {
      const next = this.step(state, byte);
      if (lead === 0) usual = next;
      lead += next === usual ? 1 : -1;
    }
    let count = 0;
    for (let byte = 0x30; byte <= 0x7a; byte++) if (this.step(state, byte) === usual) count++;
    return count > 37 ? usual : DEAD;
  }

  /** The expression of a state between two characters. */
  insideExpression(state: number): number | undefined {
    return this.#isInside(state) ? this.#states.at(state, 1) : undefined;
  }

  /** The state of the same spelling between two characters, with another expression. */
  withExpression(state: number, expression: number): number {
    return this.#state(this.spelling(state), 'inside', expression);
  }

  #isInside(state: number): boolean {
    return PLACES[(this.#states.at(state, 0) >> 2) & 15] === 'inside';
  }

  #get(id: number): State {
    const kind = this.#states.at(id, 0);
    return {
      spelling: SPELLINGS[kind & 3],
      place: PLACES[(kind >> 2) & 15],
      expression: this.#states.at(id, 1),
      low: this.#states.at(id, 2),
      high: this.#states.at(id, 3),
      left: kind >> 6,
    };
  }

  #findOpen(id: number): boolean {
    const { spelling, place, expression } = this.#get(id);
    const open = place === 'inside' && spelling === 'utf8' ? this.#expressions.hasNext(expression) : place !== 'end';
    this.#openness[id] = open ? OPEN : CLOSED;
    return open;
  }

  #state(spelling: State['spelling'], place: Place, expression: number, low = 0, high = 0, left = 0): number {
    const known = this.#states.size;
    const id = this.#states.id(kindOf(spelling, place, left), expression, low, high);
    if (id < known) return id;
    let labels: readonly number[] | undefined;
    if (place === 'end') labels = this.#endLabels[expression];
    else if (place === 'inside' && spelling === 'utf8') labels = this.#expressions.labels(expression);
    this.#labels.push(labels?.length === 0 ? NO_LABEL : labels);
    this.#rows.add();
    if (id >= this.#openness.length) {
      const openness = new Uint8Array(id * 2);
      openness.set(this.#openness);
      this.#openness = openness;
    }
    // Only when the state is there: work that is ended here may be taken up again.
    this.#budget.spend(4);
    if (id >= MAX_STATES) throw new GrammarError(`the grammar is too complex: more than ${MAX_STATES} states`);
    return id;
  }

  #fill(id: number, byte: number): number {
    if (byte < 0x80 && byte !== BACKSLASH && this.#isInside(id)) {
      if (this.#expressions.labelling(this.#states.at(id, 1))) this.#fillOne(id, byte);
      else this.#fillAscii(id);
    } else this.#rows.set(id, byte, this.#next(this.#get(id), byte));
    return this.#rows.get(id, byte);
  }

  /** All characters of one byte together, but for the backslash of a JSON string: few texts have one. */
  #fillAscii(id: number): void {
    const expressions = this.#expressions;
    const rows = this.#rows;
    const { spelling, expression } = this.#get(id);
    const { starts, targets } = expressions.edges(expression);
    const beforeEscape = rows.get(id, BACKSLASH);
    for (let i = 0; i < starts.length && starts[i] < 0x80; i++) {
      const next = expressions.alive(targets[i]) ? this.#state(spelling, 'inside', targets[i]) : DEAD;
      rows.fill(id, next, starts[i], Math.min(starts[i + 1] ?? 0x80, 0x80));
    }
    if (spelling === 'utf8') return;
    rows.fill(id, DEAD, 0, 0x20);
    rows.set(id, QUOTE, expressions.labels(expression) ? this.#end(spelling, expression) : DEAD);
    rows.set(id, BACKSLASH, beforeEscape);
  }

  /** One character of one byte, where each leads to another state. */
  #fillOne(id: number, byte: number): void {
    const { spelling, expression } = this.#get(id);
    let next = DEAD;
    if (spelling === 'utf8' || (byte >= 0x20 && byte !== QUOTE)) {
      next = this.#character(spelling, this.#expressions.next(expression, byte));
    } else if (byte === QUOTE && this.#expressions.labels(expression)) next = this.#end(spelling, expression);
    this.#rows.set(id, byte, next);
  }

  /** The state after the closing quote: only the labels matter there. */
  #end(spelling: State['spelling'], expression: number): number {
    const labels = this.#expressions.labels(expression)!;
    const key = labels.join();
    let list = this.#endLabelIds.get(key);
    if (list === undefined) this.#endLabelIds.set(key, (list = this.#endLabels.push(labels) - 1));
    return this.#state(spelling, 'end', list);
  }

  #next(state: State, byte: number): number {
    const { spelling, expression, low, high, left } = state;
    switch (state.place) {
      case 'quote':
        return byte === QUOTE ? this.#state(spelling, 'inside', expression) : DEAD;
      case 'inside':
        if (byte === BACKSLASH) return this.#backslash(spelling, expression);
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

  #backslash(spelling: State['spelling'], expression: number): number {
    if (spelling === 'utf8') return this.#character(spelling, this.#expressions.next(expression, BACKSLASH));
    return this.#escapeOpen(spelling, expression) ? this.#state(spelling, 'escape', expression) : DEAD;
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
