/**
 * The one grammar form: every front end (JSON Schema, regex, choice, EBNF) makes it, the machine runs it.
 *
 * Two layers, both plain immutable data:
 *
 * - {@link Regex}: a regular language over *code points*. Closed under intersection and complement; nothing is unrolled,
 *   so a bound of 10^9 costs what a bound of 2 costs. States are made when a text reaches them.
 * - {@link Node}: a context-free grammar whose leaves are terminals. A terminal is a regex and the way in which its
 *   characters are spelled as bytes: as UTF-8 ({@link text}), or as a JSON string with its quotes and escapes
 *   ({@link jsonString}).
 *
 * There is no greedy lexer: where a terminal ends is never guessed, all ways are followed. So the split of a language into
 * terminals does not change the language, only the cost: masks are cached by terminal and state, so what is wide (free
 * strings, numbers) should be a terminal of its own, made once and used everywhere, and what is narrow between two wide
 * ones (whitespace, comma, whitespace) should be one terminal together.
 */

/** Sorted, disjoint, not adjacent, inclusive code point ranges: `[low0, high0, low1, high1, …]`. */
export type CharSet = readonly number[];

/** A regular language over code points. Build it with the functions below, which simplify as they go. */
export type Regex =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'chars'; readonly set: CharSet }
  | { readonly kind: 'concat'; readonly parts: readonly Regex[] }
  | { readonly kind: 'either'; readonly parts: readonly Regex[] }
  | { readonly kind: 'both'; readonly parts: readonly Regex[] }
  | { readonly kind: 'not'; readonly body: Regex }
  | { readonly kind: 'repeat'; readonly body: Regex; readonly min: number; readonly max: number }
  | { readonly kind: 'automaton'; readonly automaton: Automaton; readonly state: number }
  | { readonly kind: 'labelled'; readonly body: Regex; readonly label: number };

/**
 * A deterministic automaton with states made on demand: remainders of a division, days of a calendar, a trie of names.
 * Every state that can be reached must be able to reach an accepting one: leave edges to others out.
 */
export interface Automaton {
  readonly start: number;
  /** `[low, high, next]` for each range of code points with a way on: sorted, disjoint. */
  edges(state: number): readonly (readonly [low: number, high: number, next: number])[];
  /** The label with which the text may end here (0 when labels do not matter), or -1 where it may not end. */
  accepts(state: number): number;
  /** True for states from which every text is taken, with the same label. */
  takesAll?(state: number): boolean;
  /**
   * Where a character leads, in an automaton that only labels the texts it is used with: it takes each of them, and the
   * labels are those of no other automaton.
   */
  readonly next?: (state: number, codePoint: number) => number;
}

/** The empty language. */
export const nothing: Regex = { kind: 'nothing' };
/** The empty text. */
export const empty: Regex = { kind: 'literal', text: '' };
/** One character, any. */
export const anyChar: Regex = { kind: 'chars', set: [0, 0x10ffff] };
/** Any text. */
export const anyText: Regex = { kind: 'repeat', body: anyChar, min: 0, max: Number.POSITIVE_INFINITY };

/** Exactly this text. A lone surrogate makes it the empty language: no UTF-8 text holds one. */
export function literal(text: string): Regex {
  return text.isWellFormed() ? { kind: 'literal', text } : nothing;
}

/** One character of the ranges `[low, high]`, in any order, overlapping or not. */
export function chars(...ranges: readonly (readonly [low: number, high: number])[]): Regex {
  return charsOf(charSet(ranges));
}

/** One character of a set. */
export function charsOf(set: CharSet): Regex {
  return set.length === 0 ? nothing : { kind: 'chars', set };
}

/** One after the other. */
export function concat(...parts: readonly Regex[]): Regex {
  const flat: Regex[] = [];
  for (const part of parts) {
    if (part.kind === 'nothing') return nothing;
    const last = flat[flat.length - 1];
    if (part.kind === 'literal' && last?.kind === 'literal') {
      flat[flat.length - 1] = { kind: 'literal', text: last.text + part.text };
    } else if (part.kind === 'concat') flat.push(...part.parts);
    else if (part.kind !== 'literal' || part.text !== '') flat.push(part);
  }
  return flat.length === 0 ? empty : flat.length === 1 ? flat[0] : { kind: 'concat', parts: flat };
}

/** Any one of them. For many plain texts, {@link literals} is far cheaper. */
export function either(...parts: readonly Regex[]): Regex {
  const some = parts.filter((part) => part.kind !== 'nothing');
  return some.length === 0 ? nothing : some.length === 1 ? some[0] : { kind: 'either', parts: some };
}

/** What is in all of them: `both(pattern, repeat(anyChar, minLength, maxLength), not(literals(taken)))`. */
export function both(...parts: readonly Regex[]): Regex {
  if (parts.some((part) => part.kind === 'nothing')) return nothing;
  const some = parts.filter((part) => part !== anyText);
  return some.length === 0 ? anyText : some.length === 1 ? some[0] : { kind: 'both', parts: some };
}

/** Every text that is not in it. */
export function not(body: Regex): Regex {
  if (body.kind === 'nothing') return anyText;
  return body === anyText ? nothing : body.kind === 'not' ? body.body : { kind: 'not', body };
}

/** `min` to `max` (inclusive; `Infinity` for no bound) times, whole numbers of any size. */
export function repeat(body: Regex, min: number, max: number): Regex {
  if (min > max) return nothing;
  if (max === 0 || (body.kind === 'literal' && body.text === '')) return empty;
  if (body.kind === 'nothing') return min === 0 ? empty : nothing;
  return min === 1 && max === 1 ? body : { kind: 'repeat', body, min, max };
}

export function optional(body: Regex): Regex {
  return repeat(body, 0, 1);
}

export function many(body: Regex): Regex {
  return repeat(body, 0, Number.POSITIVE_INFINITY);
}

export function oneOrMore(body: Regex): Regex {
  return repeat(body, 1, Number.POSITIVE_INFINITY);
}

/** The language of an automaton. */
export function automatonRegex(automaton: Automaton): Regex {
  return { kind: 'automaton', automaton, state: automaton.start };
}

/**
 * The same language, whose texts carry a label: a {@link Flow} step on a terminal tells its outcomes apart by it. Labels
 * are whole numbers from 0; a text with several labels takes all the ways. Use it at the end of a regex or around one,
 * never in front of more or below `not` and `repeat`.
 */
export function labelled(body: Regex, label: number): Regex {
  return body.kind === 'nothing' ? nothing : { kind: 'labelled', body, label };
}

/** Exactly these texts, as a trie: linear to build, whatever their number. The i-th text has the label i. */
export function literals(texts: readonly string[]): Regex {
  const some = texts.filter((text) => text.isWellFormed());
  return some.length === 0 ? nothing : automatonRegex(trieAutomaton(texts));
}

/** A grammar over terminals. Identity matters: use one object for one thing, so that its states are shared. */
export type Node = Terminal | Sequence | Choice | Repeat | Reference | Flow | Untold;

/** A regex, and how its characters are spelled as bytes. */
export interface Terminal {
  readonly kind: 'terminal';
  readonly regex: Regex;
  /**
   * - `utf8`: as they are.
   * - `json`: as a JSON string, quotes included; every legal spelling of each character (raw, short escape, `\uXXXX` in
   *   both cases, pairs of surrogates).
   * - `json-minimal`: the same with escapes only where JSON demands them, the short one if there is one.
   */
  readonly spelling: 'utf8' | 'json' | 'json-minimal';
}

export interface Sequence {
  readonly kind: 'sequence';
  readonly parts: readonly Node[];
}

export interface Choice {
  readonly kind: 'choice';
  readonly parts: readonly Node[];
}

export interface Repeat {
  readonly kind: 'repeat';
  readonly body: Node;
  readonly min: number;
  readonly max: number;
}

/** A rule by reference: how recursion is written. `target` is called when a text gets there, and only once. */
export interface Reference {
  readonly kind: 'reference';
  readonly name: string;
  readonly target: () => Node;
}

/** Where it depends on what was left out what may come: see {@link FlowStep.alike}. */
export interface Untold {
  readonly kind: 'untold';
}

/** A state of a {@link Flow}: a number or a string that says all that matters. Equal values are the same state. */
export type FlowState = number | string;

/** Match a node, then go on in another state. */
export interface FlowStep {
  readonly match: Node;
  /** The next state; as a function, it depends on the label of the text that `match` ended with: a terminal's or a flow's. */
  readonly next: FlowState | ((label: number) => FlowState);
  /**
   * For labels that are many and differ in what may come much later only: a state that stands for those of all labels with
   * the same answer. The same texts lead on from it as from theirs, up to where they part; there it has the step
   * {@link untold}. Masks are made from it; texts that are written go on with `next`.
   */
  readonly alike?: (label: number) => FlowState;
}

/**
 * An automaton over nodes with states made on demand: an object (which keys are written, how many), an array (how many
 * items, how many hits). Frames hold the state, so counts of any size cost nothing.
 *
 * No dead ends: from every state that `steps` leads to, an end must be in reach, given that each node in `needs` derives
 * some text. The machine leaves out steps whose `match` derives none (an optional property with an unsatisfiable schema),
 * so such a step must not be the only way on unless its node is among `needs`.
 */
export interface Flow {
  readonly kind: 'flow';
  readonly start: FlowState;
  steps(state: FlowState): readonly FlowStep[];
  /** True where the flow may end. */
  ends(state: FlowState): boolean;
  /** The label that it ends with; 0 without this. */
  endLabel?(state: FlowState): number;
  /** The nodes without which the flow cannot come to its end: values of required properties, items when there must be some. */
  readonly needs: readonly Node[];
}

export const untold: Untold = { kind: 'untold' };

/** Characters as they are, in UTF-8. */
export function text(regex: Regex): Terminal {
  return { kind: 'terminal', regex, spelling: 'utf8' };
}

/** A JSON string, quotes included, whose characters after unescaping are in `regex`. */
export function jsonString(regex: Regex, escapes: 'all' | 'minimal' = 'all'): Terminal {
  return { kind: 'terminal', regex, spelling: escapes === 'all' ? 'json' : 'json-minimal' };
}

export function sequence(...parts: readonly Node[]): Node {
  return parts.length === 1 ? parts[0] : { kind: 'sequence', parts };
}

/** Any of them; all are followed at once, so they may overlap. With no part it is the empty language. */
export function choice(...parts: readonly Node[]): Node {
  return parts.length === 1 ? parts[0] : { kind: 'choice', parts };
}

export function repeatNode(body: Node, min: number, max: number): Node {
  return min === 1 && max === 1 ? body : { kind: 'repeat', body, min, max };
}

export function reference(name: string, target: () => Node): Reference {
  let resolved: Node | undefined;
  return { kind: 'reference', name, target: () => (resolved ??= target()) };
}

/** Sorted, merged ranges. */
export function charSet(ranges: readonly (readonly [low: number, high: number])[]): CharSet {
  const set: number[] = [];
  for (const [low, high] of [...ranges].sort((a, b) => a[0] - b[0])) {
    if (high < low) continue;
    if (set.length > 0 && low <= set[set.length - 1] + 1) set[set.length - 1] = Math.max(set[set.length - 1], high);
    else set.push(low, high);
  }
  return set;
}

/** The characters that are not in a set. */
export function invertCharSet(set: CharSet): CharSet {
  const inverse: number[] = [];
  let low = 0;
  for (let i = 0; i < set.length; i += 2) {
    if (set[i] > low) inverse.push(low, set[i] - 1);
    low = set[i + 1] + 1;
  }
  if (low <= 0x10ffff) inverse.push(low, 0x10ffff);
  return inverse;
}

/** A trie of texts, whose nodes are the states. */
function trieAutomaton(texts: readonly string[]): Automaton {
  const children: Map<number, number>[] = [new Map()];
  const labels: number[] = [-1];
  texts.forEach((text, label) => {
    if (!text.isWellFormed()) return;
    let state = 0;
    for (const char of text) {
      const code = char.codePointAt(0)!;
      let next = children[state].get(code);
      if (next === undefined) {
        next = children.push(new Map()) - 1;
        labels.push(-1);
        children[state].set(code, next);
      }
      state = next;
    }
    if (labels[state] < 0) labels[state] = label;
  });
  return {
    start: 0,
    edges: (state) =>
      [...children[state]].sort((a, b) => a[0] - b[0]).map(([code, next]) => [code, code, next] as const),
    accepts: (state) => labels[state],
  };
}
