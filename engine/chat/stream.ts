/** What `create` of an API gives: an answer as a whole, or its chunks as they come, to be read once. */

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

/** Gives an answer as a whole, or with `stream: true` as it comes. */
export interface Create<Params, Answer, Stream, Options> {
  /**
   * @throws RequestError for every fault of the request, before anything is generated
   * @throws SamplingError, DeviceError, or the signal's reason, while generating
   */
  (params: Params & { readonly stream?: false | null }, options?: Options): Promise<Answer>;
  (params: Params & { readonly stream: true }, options?: Options): Promise<Stream>;
  (params: Params, options?: Options): Promise<Answer | Stream>;
}
