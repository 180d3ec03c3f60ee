/** What the model thought of the tokens that it was given. */

import { type RankedLogprobs, rankedLogprobs } from '../sampling/index.ts';
import { randomHex } from './chat/random-id.ts';
import { Sequence } from './sequence.ts';
import type { StepLoop } from './step-loop.ts';

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
export function promptLogprobs(
  loop: StepLoop,
  tokens: readonly number[],
  { vocabSize, count, signal }: PromptLogprobsOptions,
): Promise<RankedLogprobs[]> {
  const result: RankedLogprobs[] = [];
  if (tokens.length < 2) return Promise.resolve(result);
  // A salt that nobody else has: the blocks of a salted request must not be found without its salt.
  const sequence = new Sequence(tokens.slice(0, -1), tokens.length - 1, { logitsFrom: 0, cacheSalt: randomHex() });
  return new Promise<RankedLogprobs[]>((resolve, reject) => {
    const onAbort = (): void => {
      loop.settle(sequence);
      reject(signal?.reason);
    };
    const end = (settle: () => void): void => {
      signal?.removeEventListener('abort', onAbort);
      settle();
    };
    signal?.throwIfAborted();
    loop.submit(sequence, {
      onLogits: (logits, rows) => {
        for (let row = 0; row < rows; row++) {
          const next = tokens[result.length + 1];
          result.push(rankedLogprobs(logits.subarray(row * vocabSize, (row + 1) * vocabSize), next, count));
        }
        if (result.length < tokens.length - 1) return;
        loop.settle(sequence);
        end(() => resolve(result));
      },
      onError: (error) => end(() => reject(error)),
    });
    signal?.addEventListener('abort', onAbort);
  });
}
