/** The chunks of a streamed answer, to be read once. */

import type { ChatCompletionChunk } from './types.ts';

export class ChatCompletionStream implements AsyncIterable<ChatCompletionChunk> {
  /** `controller.abort()` ends the answer; whoever is reading sees the end of the stream. */
  readonly controller: AbortController;
  readonly #chunks: AsyncGenerator<ChatCompletionChunk, void, undefined>;
  #read = false;

  constructor(chunks: AsyncGenerator<ChatCompletionChunk, void, undefined>, controller: AbortController) {
    this.#chunks = chunks;
    this.controller = controller;
  }

  /** Leaving the loop early ends the answer. */
  async *[Symbol.asyncIterator](): AsyncGenerator<ChatCompletionChunk, void, undefined> {
    if (this.#read) throw new TypeError('a stream of chunks can be read once only');
    this.#read = true;
    try {
      yield* this.#chunks;
    } catch (error) {
      if (!this.controller.signal.aborted) throw error;
    } finally {
      this.controller.abort();
    }
  }
}
