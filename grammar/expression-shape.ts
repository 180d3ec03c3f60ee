/** What an interned expression is made of. */

import { type Edges, pairs } from './edges.ts';
import { type Automaton, type CharSet, charSet } from './ir.ts';

const LAST_CODE_POINT = 0x10ffff;

export type Shape =
  | { readonly kind: 'nothing' | 'empty' | 'any' }
  | { readonly kind: 'mark'; readonly label: number }
  | { readonly kind: 'chars'; readonly set: CharSet }
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'concat'; readonly head: number; readonly tail: number }
  | { readonly kind: 'either' | 'both'; readonly parts: readonly number[] }
  | { readonly kind: 'not'; readonly body: number }
  | { readonly kind: 'repeat'; readonly body: number; readonly min: number; readonly max: number }
  | { readonly kind: 'sized'; readonly body: number; readonly min: number; readonly max: number }
  | { readonly kind: 'automaton'; readonly automaton: Automaton; readonly state: number };

export interface Expression {
  readonly shape: Shape;
  /** The labels with which the text may end here; undefined where it may not. */
  readonly labels: readonly number[] | undefined;
  /** Bounds of the length of its texts, in characters; not always tight. */
  readonly minLength: number;
  readonly maxLength: number;
  edges?: Edges;
  alive?: boolean;
  /** What is known of the lengths of its texts; null where it was not found out. */
  lengths?: Lengths | null;
  /** See {@link Expressions.labelling}; null where there is none. */
  labelling?: Labelling | null;
}

/** See {@link Expressions.labelling}. */
export interface Labelling {
  readonly essence: number;
  readonly automaton: Automaton;
  readonly state: number;
}

/** See {@link Expressions.lengths}. */
export interface Lengths {
  readonly shortest: number;
  readonly longestShortest: number;
}

/** See {@link Expressions.unbounded}. */
export interface Bounded {
  readonly body: number;
  readonly min: number;
  readonly max: number;
  readonly slack: number;
  /** True when the bound is on the whole text, false when it is on a part that other characters may follow. */
  readonly isWhole: boolean;
}

export function mergeLabels(parts: readonly Expression[]): readonly number[] | undefined {
  const ends = parts.filter((part) => part.labels);
  if (ends.length === 0) return undefined;
  if (ends.length === 1) return ends[0].labels;
  return [...new Set(ends.flatMap((part) => part.labels!))].sort((a, b) => a - b);
}

export function withoutSurrogates(set: CharSet): CharSet {
  if (!pairs(set).some(([low, high]) => low <= 0xdfff && high >= 0xd800)) return set;
  return charSet(
    pairs(set).flatMap(([low, high]): [number, number][] => [
      [low, Math.min(high, 0xd7ff)],
      [Math.max(low, 0xe000), high],
    ]),
  );
}

export function coversAll(set: CharSet): boolean {
  return set.length === 4 && set[0] === 0 && set[1] === 0xd7ff && set[2] === 0xe000 && set[3] === LAST_CODE_POINT;
}

export function countCodePoints(text: string): number {
  let count = 0;
  for (const _ of text) count++;
  return count;
}
