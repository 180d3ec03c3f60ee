/** The embeddings API in process, with the shape of the OpenAI client: `engine.embeddings.create({ … })`. */

import { z } from 'zod';
import { type ApiEngine, checkModel } from '../chat/api-engine.ts';
import type { ChatCallOptions, ChatOptions } from '../chat/completions.ts';
import { isGiven, required } from '../chat/request/coercion.ts';
import { boolean, describe, integer, label, oneOf, string } from '../chat/request/fields.ts';
import { readBody } from '../chat/request/read-body.ts';
import { type Prompt, readPrompts } from '../completions/request.ts';
import { RequestError } from '../errors.ts';

/** The schema of the body of a request for embeddings. */
export const embeddingRequestSchema = z.object({
  model: string('A name of the model; missing or empty: the one that is served.'),
  input: describe(required<EmbeddingInput, readonly Prompt[]>(readPrompts), 'A text, token ids, or a list of either.', {
    anyOf: [
      { type: 'string' },
      { type: 'array', items: { type: 'string' } },
      { type: 'array', items: { type: 'integer' } },
      { type: 'array', items: { type: 'array', items: { type: 'integer' } } },
    ],
  }),
  encoding_format: oneOf('base64: the float32 numbers, little end first, as text.', ['float', 'base64']),
  dimensions: integer('Only the size of the hidden states: nothing is cut off.'),
  add_special_tokens: boolean("Puts the tokenizer's own special tokens around a text.", { default: true }),
  truncate_prompt_tokens: integer('Only the last so many tokens of each text count; -1: as many as there is room for.'),
  user: label('Accepted for the clients that send it; nothing depends on it.'),
});

type EmbeddingInput = string | readonly string[] | readonly number[] | readonly (readonly number[])[];

/** The parameters of a request for embeddings, as a caller writes them. */
export type EmbeddingCreateParams = z.input<typeof embeddingRequestSchema>;

export interface EmbeddingList {
  readonly object: 'list';
  readonly data: readonly {
    readonly object: 'embedding';
    readonly index: number;
    readonly embedding: readonly number[] | string;
  }[];
  readonly model: string;
  readonly usage: { readonly prompt_tokens: number; readonly total_tokens: number };
}

export interface Embeddings {
  /**
   * A vector of length 1 for each text: the mean of the last hidden states of its tokens.
   * @throws RequestError for every fault of the request; DeviceError, or the signal's reason
   */
  create(params: EmbeddingCreateParams, options?: ChatCallOptions): Promise<EmbeddingList>;
}

export function createEmbeddings(engine: ApiEngine, { modelNames }: ChatOptions = {}): Embeddings {
  const names = modelNames ?? [engine.modelName];

  async function create(params: unknown, { signal }: ChatCallOptions = {}): Promise<EmbeddingList> {
    const request = readBody(embeddingRequestSchema, params, ({ input }) => {
      if (!isGiven(input)) throw new RequestError('input is required', 'input');
    });
    checkModel(request.model, { names });
    const { dimensions } = request;
    if (dimensions !== undefined && dimensions !== engine.hiddenSize) {
      throw new RequestError(`dimensions must be ${engine.hiddenSize}, got ${dimensions}`, 'dimensions');
    }
    const inputs = request.input.map((input) => inOwnWords(() => tokensOf(engine, input, request)));
    const others = new AbortController();
    const ending = signal ? AbortSignal.any([signal, others.signal]) : others.signal;
    const vectors = await Promise.all(inputs.map((ids) => engine.embed(ids, ending))).finally(() => others.abort());
    const promptTokens = inputs.reduce((sum, { length }) => sum + length, 0);
    return {
      object: 'list',
      data: vectors.map((vector, index) => ({
        object: 'embedding',
        index,
        embedding: request.encoding_format === 'base64' ? base64Of(vector) : [...vector],
      })),
      model: names[0],
      usage: { prompt_tokens: promptTokens, total_tokens: promptTokens },
    };
  }

  return { create };
}

function tokensOf(engine: ApiEngine, input: Prompt, request: z.output<typeof embeddingRequestSchema>): number[] {
  return engine.promptTokens({
    ...(typeof input === 'string' ? { prompt: input } : { tokens: input }),
    addSpecialTokens: request.add_special_tokens,
    truncatePromptTokens: request.truncate_prompt_tokens,
  });
}

function inOwnWords<T>(start: () => T): T {
  try {
    return start();
  } catch (error) {
    if (error instanceof RequestError && error.param === 'prompt') throw new RequestError(error.message, 'input');
    throw error;
  }
}

/** Of the numbers' bytes, little end first on every machine. */
function base64Of(vector: Float32Array): string {
  const view = new DataView(new ArrayBuffer(vector.length * 4));
  for (const [i, value] of vector.entries()) view.setFloat32(i * 4, value, true);
  return btoa(Array.from(new Uint8Array(view.buffer), (byte) => String.fromCharCode(byte)).join(''));
}
