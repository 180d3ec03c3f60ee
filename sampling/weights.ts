/**
 * Probabilities as integers. A token's weight is e^((logit - max) / temperature), rounded to a multiple of 1/unit and
 * counted in these; the sum over any vocabulary stays below 2^53, where doubles are exact. So a sum is the same whatever
 * its order and whatever adds it up, and a draw does not depend on how its candidates were found.
 *
 * The unit is 2^34 for a vocabulary of 151,936: what the rounding adds or takes is less than 3·10^-11 of the likeliest token.
 */

import { exp } from './exponential.ts';

/** The weight of the most likely token. */
export function weightUnit(vocabSize: number): number {
  return 2 ** (52 - Math.ceil(Math.log2(Math.max(2, vocabSize))));
}

/** The weights of all tokens of a row, one unit for `max`. */
export function totalWeight(row: Float32Array, max: number, temperature: number, unit: number): number {
  let total = 0;
  for (let i = 0; i < row.length; i++) total += weightOf((row[i] - max) / temperature, unit);
  return total;
}

/** The weight of a token at distance x ≤ 0 from the most likely one, in units of temperature. */
export function weightOf(x: number, unit: number): number {
  // e^-37 is less than half of 2^-51, the finest of all units.
  return x < -37 ? 0 : Math.floor(exp(x) * unit + 0.5);
}
