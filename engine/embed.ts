/** A text as one vector: what a language model makes of its tokens, averaged. */

import type { StepLoop } from './step-loop.ts';
import { computeWhole } from './whole-sequence.ts';

/**
 * The mean of the last hidden states of all tokens, scaled to length 1: `[hiddenSize]`. A model that was not trained for it
 * gives vectors that tell much about the words and little about the meaning.
 *
 * @throws DeviceError, or the signal's reason
 */
export async function embed(
  loop: StepLoop,
  tokens: readonly number[],
  { hiddenSize, signal }: { readonly hiddenSize: number; readonly signal?: AbortSignal },
): Promise<Float32Array> {
  const sum = new Float64Array(hiddenSize);
  const take = (states: Float32Array, rows: number): void => {
    for (let i = 0; i < rows * hiddenSize; i++) sum[i % hiddenSize] += states[i];
  };
  await computeWhole(loop, tokens, 'hiddenStates', take, signal);
  return scaled(sum);
}

/** Length 1; a vector of zeros stays one. */
function scaled(sum: Float64Array): Float32Array {
  const length = Math.sqrt(sum.reduce((total, value) => total + value * value, 0)) || 1;
  return Float32Array.from(sum, (value) => value / length);
}
