/** A text as one vector: what a language model makes of its tokens, averaged. */

import { Sequence } from './sequence.ts';
import type { StepLoop } from './step-loop.ts';

/**
 * The mean of the last hidden states of all tokens, scaled to length 1: `[hiddenSize]`. A model that was not trained for it
 * gives vectors that tell much about the words and little about the meaning.
 *
 * @throws DeviceError, or the signal's reason
 */
export function embed(
  loop: StepLoop,
  tokens: readonly number[],
  { hiddenSize, signal }: { readonly hiddenSize: number; readonly signal?: AbortSignal },
): Promise<Float32Array> {
  const sequence = new Sequence(tokens, tokens.length, { logitsFrom: 0 });
  const sum = new Float64Array(hiddenSize);
  let seen = 0;
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      loop.settle(sequence);
      reject(signal?.reason);
    };
    signal?.throwIfAborted();
    loop.submit(sequence, {
      onHiddenStates: (states, rows) => {
        for (let i = 0; i < rows * hiddenSize; i++) sum[i % hiddenSize] += states[i];
        seen += rows;
      },
      onLogits: () => {
        if (seen < tokens.length) return;
        loop.settle(sequence);
        signal?.removeEventListener('abort', onAbort);
        resolve(scaled(sum));
      },
      onError: (error) => {
        signal?.removeEventListener('abort', onAbort);
        reject(error);
      },
    });
    signal?.addEventListener('abort', onAbort);
  });
}

/** Length 1; a vector of zeros stays one. */
function scaled(sum: Float64Array): Float32Array {
  const length = Math.sqrt(sum.reduce((total, value) => total + value * value, 0)) || 1;
  return Float32Array.from(sum, (value) => value / length);
}
