/** What is made of all positions of a text, without generating any: logits, log-probabilities, embeddings. */

import { randomHex } from './chat/random-id.ts';
import { Sequence } from './sequence.ts';
import type { SequenceConsumer, StepLoop } from './step-loop.ts';

/**
 * Computes every position of `tokens` and hands their logits, or hidden states, to `take` as they come, in order. The text
 * shares no K/V blocks with requests: its salt is one that nobody else has.
 *
 * @returns when all positions have come
 * @throws what `take` throws, RequestError `queue_full`, DeviceError, or the signal's reason
 */
export function computeWhole(
  loop: StepLoop,
  tokens: readonly number[],
  what: 'logits' | 'hiddenStates',
  take: (values: Float32Array, rows: number) => void,
  signal?: AbortSignal,
): Promise<void> {
  const sequence = new Sequence(tokens, tokens.length, { logitsFrom: 0, cacheSalt: randomHex() });
  let seen = 0;
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const end = (settle: () => void): void => {
      signal?.removeEventListener('abort', onAbort);
      loop.settle(sequence);
      settle();
    };
    const onAbort = (): void => end(() => reject(signal?.reason));
    const onRows = (values: Float32Array, rows: number): void => {
      take(values, rows);
      seen += rows;
      if (seen === tokens.length) end(resolve);
    };
    const onError = (error: unknown): void => end(() => reject(error));
    const consumer: SequenceConsumer =
      what === 'logits' ? { onLogits: onRows, onError } : { onHiddenStates: onRows, onError };
    loop.submit(sequence, consumer);
    signal?.addEventListener('abort', onAbort);
  });
}
