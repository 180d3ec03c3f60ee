/** The logits that a kernel listed in any order, as {@link ReducedLogits} has them. */

import type { ReducedLogits } from './contract.ts';

/**
 * The `top` largest and all that equal the last of them; largest first, the lower id first among equals. Logits and ids are
 * sorted as whole numbers, which takes a quarter of the time of a comparison in JavaScript.
 */
export function sortedReduction(
  ids: Int32Array,
  logits: Float32Array,
  top: number,
): Pick<ReducedLogits, 'ids' | 'logits'> {
  const keys = new BigUint64Array(ids.length);
  /** For each logit its id, and above it the bits of a number that falls as the logit grows. */
  const words = new Uint32Array(keys.buffer);
  // A zero has one sign, so that all zeros are equal.
  const bits = new Int32Array(logits.map((logit) => logit + 0).buffer);
  for (let i = 0; i < ids.length; i++) {
    words[2 * i] = ids[i];
    words[2 * i + 1] = descending(bits[i]);
  }
  keys.sort();
  let kept = Math.min(top, ids.length);
  while (kept < ids.length && words[2 * kept + 1] === words[2 * kept - 1]) kept++;
  const [sortedIds, sortedBits] = [new Int32Array(kept), new Int32Array(kept)];
  for (let i = 0; i < kept; i++) {
    sortedIds[i] = words[2 * i];
    sortedBits[i] = descending(words[2 * i + 1] | 0);
  }
  return { ids: sortedIds, logits: new Float32Array(sortedBits.buffer) };
}

/** Bits of a float as a whole number that orders the other way round, and back. */
function descending(bits: number): number {
  return bits >= 0 ? 0x7fffffff - bits : bits;
}
