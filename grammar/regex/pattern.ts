/** The parts of a regular expression as written. */

import type { CharSet } from '../ir.ts';

export type Pattern =
  /** One character of a set. */
  | { readonly kind: 'set'; readonly set: CharSet }
  | { readonly kind: 'sequence'; readonly parts: readonly Pattern[] }
  | { readonly kind: 'alternatives'; readonly parts: readonly Pattern[] }
  | { readonly kind: 'repeat'; readonly body: Pattern; readonly min: number; readonly max: number }
  /** `^` and `$`: the first and the last place of the text. */
  | { readonly kind: 'start' | 'end' }
  /** `\b` and `\B`. */
  | { readonly kind: 'boundary'; readonly negated: boolean }
  /** `(?=…)` and `(?!…)`. */
  | { readonly kind: 'ahead'; readonly body: Pattern; readonly negated: boolean };

/** True when a part looks at more than the characters it takes. */
export function hasAssertion(pattern: Pattern): boolean {
  switch (pattern.kind) {
    case 'set':
      return false;
    case 'repeat':
      return hasAssertion(pattern.body);
    case 'sequence':
    case 'alternatives':
      return pattern.parts.some(hasAssertion);
    default:
      return true;
  }
}

/** True when a part holds a `\b` or `\B`. */
export function hasBoundary(pattern: Pattern): boolean {
  switch (pattern.kind) {
    case 'boundary':
      return true;
    case 'repeat':
    case 'ahead':
      return hasBoundary(pattern.body);
    case 'sequence':
    case 'alternatives':
      return pattern.parts.some(hasBoundary);
    default:
      return false;
  }
}
