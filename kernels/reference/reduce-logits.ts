/** `reduceLogits` of one row in plain code: sorts the tokens that count. */

import type { LogitReduction, ReducedLogits } from '../contract.ts';

/** The error of a sum of a vocabulary's doubles. */
const SUM_ERROR = 1e-9;

/** @param row  float32 [vocabSize] */
export function reduceRow(row: Float32Array, { top, mask, scale, picks = [] }: LogitReduction): ReducedLogits {
  const isUsable = row.every((logit) => logit < Number.POSITIVE_INFINITY);
  const hasAny = row.some((logit) => logit > Number.NEGATIVE_INFINITY);
  const counts = (id: number) => !mask || (((mask[id >> 5] ?? 0) >>> (id & 31)) & 1) === 1;
  const order = Array.from(row.keys()).filter((id) => counts(id) && row[id] > Number.NEGATIVE_INFINITY);
  order.sort((a, b) => row[b] - row[a] || a - b);
  const last = row[order[Math.min(top, order.length) - 1]];
  const ids = Int32Array.from(order.filter((id) => row[id] >= last));
  const sum = scale ? order.reduce((total, id) => total + Math.exp((row[id] - row[order[0]]) * scale), 0) : 0;
  return {
    isFinite: isUsable && hasAny,
    ids,
    logits: Float32Array.from(ids, (id) => row[id]),
    isComplete: ids.length === order.length,
    sumExp: sum,
    sumError: SUM_ERROR,
    picked: Float32Array.from(picks, (id) => row[id]),
  };
}
