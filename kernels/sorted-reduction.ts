/** The logits that a kernel listed in any order, as {@link ReducedLogits} has them. */

import type { ReducedLogits } from './contract.ts';

/** The `top` largest and all that equal the last of them; largest first, the lower id first among equals. */
export function sortedReduction(
  ids: Int32Array,
  logits: Float32Array,
  top: number,
): Pick<ReducedLogits, 'ids' | 'logits'> {
  const order = Array.from(ids.keys()).sort((a, b) => logits[b] - logits[a] || ids[a] - ids[b]);
  let kept = Math.min(top, order.length);
  while (kept < order.length && logits[order[kept]] === logits[order[kept - 1]]) kept++;
  order.length = kept;
  return { ids: Int32Array.from(order, (i) => ids[i]), logits: Float32Array.from(order, (i) => logits[i]) };
}
