/**
 * What the choices of a request have given and its reader has not taken yet. Outputs of the same choice that wait are
 * merged into one, so a slow reader costs no more memory than the text itself.
 */

import { type GrowingOutput, grow, growing } from './merge-outputs.ts';
import type { GenerateOutput } from './types.ts';

interface Reader {
  resolve(result: IteratorResult<GenerateOutput, undefined>): void;
  reject(error: unknown): void;
}

const DONE: IteratorReturnResult<undefined> = { done: true, value: undefined };

export class OutputQueue {
  /** At most one for every choice, the longest waiting first. */
  readonly #unread = new Map<number, GrowingOutput>();
  readonly #readers: Reader[] = [];
  #ended = false;
  /** In a box, because a reason may be undefined. */
  #failure: { readonly error: unknown } | undefined;

  push(output: GenerateOutput): void {
    if (this.#ended) return;
    const reader = this.#readers.shift();
    if (reader) {
      reader.resolve({ done: false, value: output });
      return;
    }
    const unread = this.#unread.get(output.index);
    if (unread) grow(unread, output);
    else this.#unread.set(output.index, growing(output));
  }

  /** Nothing more comes; what is unread may still be read. */
  end(): void {
    this.#ended = true;
    for (const reader of this.#readers.splice(0)) reader.resolve(DONE);
  }

  /** Nothing more comes, what is unread is dropped, and one read rejects with `error`. */
  fail(error: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#unread.clear();
    const reader = this.#readers.shift();
    if (reader) reader.reject(error);
    else this.#failure = { error };
    this.end();
  }

  /** Nothing more comes, and what is unread is dropped. */
  drop(): void {
    this.#unread.clear();
    this.#failure = undefined;
    this.end();
  }

  next(): Promise<IteratorResult<GenerateOutput, undefined>> {
    for (const [index, output] of this.#unread) {
      this.#unread.delete(index);
      return Promise.resolve({ done: false, value: output });
    }
    if (this.#failure) {
      const { error } = this.#failure;
      this.#failure = undefined;
      return Promise.reject(error);
    }
    if (this.#ended) return Promise.resolve(DONE);
    return new Promise((resolve, reject) => this.#readers.push({ resolve, reject }));
  }
}
