/** A request on its way: its choices run side by side, and their outputs come in the order in which they are made. */

import type { Choice } from './choice.ts';
import { OutputQueue } from './output-queue.ts';
import type { StepLoop } from './step-loop.ts';
import type { GenerateOutput } from './types.ts';

/**
 * The outputs of a request, to be read once. Work begins with the first read. Whatever ends the request (the last choice,
 * an error, the signal, `return`, a closed engine) frees all that its sequences hold, at once.
 */
export class Generation implements AsyncIterableIterator<GenerateOutput, undefined> {
  readonly #loop: StepLoop;
  readonly #choices: readonly Choice[];
  readonly #signal: AbortSignal | undefined;
  readonly #outputs = new OutputQueue();
  #unfinished: number;
  #started = false;

  constructor(loop: StepLoop, choices: readonly Choice[], signal?: AbortSignal) {
    this.#loop = loop;
    this.#choices = choices;
    this.#unfinished = choices.length;
    this.#signal = signal;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  /** Rejects once with what ended the request, if that was an error or the signal. */
  next(): Promise<IteratorResult<GenerateOutput, undefined>> {
    if (!this.#started) this.#start();
    return this.#outputs.next();
  }

  /** Gives the request up. */
  return(): Promise<IteratorResult<GenerateOutput, undefined>> {
    this.#started = true;
    this.#settle();
    this.#outputs.drop();
    return this.#outputs.next();
  }

  #start(): void {
    this.#started = true;
    try {
      this.#signal?.throwIfAborted();
      for (const choice of this.#choices) {
        this.#loop.submit(choice.sequence, {
          onLogits: (logits) => this.#step(choice, logits),
          onError: (error) => this.#fail(error),
        });
      }
      this.#signal?.addEventListener('abort', this.#onAbort);
    } catch (error) {
      this.#fail(error);
    }
  }

  #step(choice: Choice, logits: Float32Array): void {
    const output = choice.step(logits);
    this.#outputs.push(output);
    if (output.finishReason === null) return;
    this.#loop.settle(choice.sequence);
    if (--this.#unfinished > 0) return;
    this.#settle();
    this.#outputs.end();
  }

  readonly #onAbort = (): void => this.#fail(this.#signal?.reason);

  #fail(error: unknown): void {
    this.#settle();
    this.#outputs.fail(error);
  }

  #settle(): void {
    this.#signal?.removeEventListener('abort', this.#onAbort);
    for (const choice of this.#choices) this.#loop.settle(choice.sequence);
  }
}
