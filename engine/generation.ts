/** A request on its way: its search runs beside those of others, and its outputs come in the order in which they are made. */

import { OutputQueue } from './output-queue.ts';
import type { LogitTaker, Search, SearchRun } from './search.ts';
import type { Sequence } from './sequence.ts';
import type { SequenceConsumer, StepLoop } from './step-loop.ts';
import type { GenerateOutput } from './types.ts';

/**
 * The outputs of a request, to be read once. Work begins with the first read. Whatever ends the request (the end of its
 * search, an error, the signal, `return`, a closed engine) frees all that its sequences hold, at once.
 */
export class Generation implements AsyncIterableIterator<GenerateOutput, undefined> {
  readonly #loop: StepLoop;
  readonly #search: Search;
  readonly #signal: AbortSignal | undefined;
  readonly #outputs = new OutputQueue();
  readonly #sequences = new Set<Sequence>();
  #started = false;

  constructor(loop: StepLoop, search: Search, signal?: AbortSignal) {
    this.#loop = loop;
    this.#search = search;
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
      this.#search.start(this.#run);
      this.#signal?.addEventListener('abort', this.#onAbort);
    } catch (error) {
      this.#fail(error);
    }
  }

  readonly #run: SearchRun = {
    submit: (sequence, taker) => {
      this.#loop.submit(sequence, this.#consumer(taker));
      this.#sequences.add(sequence);
    },
    fork: (parent, taker) => {
      const child = this.#loop.fork(parent, this.#consumer(taker));
      this.#sequences.add(child);
      return child;
    },
    settle: (sequence) => {
      this.#loop.settle(sequence);
      this.#sequences.delete(sequence);
    },
    emit: (output) => this.#outputs.push(output),
    end: () => {
      this.#settle();
      this.#outputs.end();
    },
  };

  #consumer(taker: LogitTaker): SequenceConsumer {
    return {
      onLogits: (logits, rows) => taker.takeLogits(logits, rows),
      reduction: () => taker.reduction?.() ?? null,
      onReduced: (reduced) => taker.takeReduced?.(reduced) === true,
      onError: (error) => this.#fail(error),
    };
  }

  readonly #onAbort = (): void => this.#fail(this.#signal?.reason);

  #fail(error: unknown): void {
    this.#settle();
    this.#outputs.fail(error);
  }

  #settle(): void {
    this.#signal?.removeEventListener('abort', this.#onAbort);
    for (const sequence of this.#sequences) this.#loop.settle(sequence);
    this.#sequences.clear();
  }
}
