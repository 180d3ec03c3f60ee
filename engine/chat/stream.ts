/** The chunks of a streamed answer, to be read once. */

import type { ChatCompletionChunk } from './types.ts';

export type ChatCompletionStream = AnswerStream<ChatCompletionChunk>;

export class AnswerStream<Chunk> implements AsyncIterable<Chunk> {
  /** `controller.abort()` ends the answer; whoever is reading sees the end of the stream. */
  readonly controller: AbortController;
  /** Each chunk is an event with the name of its type, and no mark of the end comes after the last. */
  readonly isNamed: boolean;
  readonly #chunks: AsyncGenerator<Chunk, void, undefined>;
  #read = false;

  constructor(chunks: AsyncGenerator<Chunk, void, undefined>, controller: AbortController, { isNamed = false } = {}) {
    this.#chunks = chunks;
    this.controller = controller;
    this.isNamed = isNamed;
  }

  /** Leaving the loop early ends the answer. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Chunk, void, undefined> {
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
