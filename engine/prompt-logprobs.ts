/** What the model thought of the tokens that it was given. */

import { type RankedLogprobs, rankedLogprobs } from '../sampling/index.ts';
import type { StepLoop } from './step-loop.ts';
import { computeWhole } from './whole-sequence.ts';

export interface PromptLogprobsOptions {
  readonly vocabSize: number;
  /** How many of the most likely tokens go with each position. */
  readonly count: number;
  readonly signal?: AbortSignal;
}

/**
 * The log-probability of every token but the first, given those before it: `[tokens.length - 1]`. Rows of logits are
 * looked at as they come, so a long prompt takes no more memory than its result.
 * @throws SamplingError, DeviceError, or the signal's reason
 */
export async function promptLogprobs(
  loop: StepLoop,
  tokens: readonly number[],
  { vocabSize, count, signal }: PromptLogprobsOptions,
): Promise<RankedLogprobs[]> {
  const result: RankedLogprobs[] = [];
  if (tokens.length < 2) return result;
  const take = (logits: Float32Array, rows: number): void => {
    for (let row = 0; row < rows; row++) {
      const next = tokens[result.length + 1];
      result.push(rankedLogprobs(logits.subarray(row * vocabSize, (row + 1) * vocabSize), next, count));
    }
  };
  await computeWhole(loop, tokens.slice(0, -1), 'logits', take, signal);
  return result;
}
