/** Text that is free but for some strings, and text up to the first of some strings. */

import { anyChar, anyText, both, concat, either, labelled, literal, literals, not, type Regex } from '../ir.ts';

/** Texts in which none of the strings occurs. */
export function textWithout(strings: readonly string[]): Regex {
  return strings.length === 0 ? anyText : not(concat(anyText, literals(strings), anyText));
}

/**
 * Texts that end with one of `ends`, labelled by its index, and hold none of them before their last character; nor any of
 * `avoided` at all.
 */
export function textUntil(ends: readonly string[], avoided: readonly string[]): Regex {
  const early = not(concat(anyText, literals(ends), anyChar, anyText));
  return both(either(...ends.map((end, i) => labelled(concat(anyText, literal(end)), i))), early, textWithout(avoided));
}
