/**
 * The engine: a loaded model with its tokenizer, and the requests that run on it.
 *
 * A request becomes token ids (prompt.ts) and a search for the texts that are wanted of it (create-search.ts); its sequences
 * go through the {@link StepLoop} together with everybody else's, and its outputs come back through a {@link Generation}.
 */

import { GrammarCompiler } from '../grammar/index.ts';
import type { LogprobsMode, RankedLogprobs, SamplingParams } from '../sampling/index.ts';
import type { ChatTemplate, Tokenizer } from '../tokenizer/index.ts';
import { badWordTokens } from './bad-words.ts';
import { createChatCompletions, type ReplyFormat, replyFormatOf } from './chat/index.ts';
import type { GenerationConfig } from './checkpoint/generation-config.ts';
import { type Completions, createCompletions } from './completions/index.ts';
import { ConversationEncoder } from './conversation.ts';
import { createSearch } from './create-search.ts';
import { embed } from './embed.ts';
import { createEmbeddings, type Embeddings } from './embeddings/index.ts';
import { Generation } from './generation.ts';
import { loadEngineParts } from './load-engine.ts';
import type { Model } from './model.ts';
import { checkTokens, promptTokens, roomForOutput } from './prompt.ts';
import { promptLogprobs } from './prompt-logprobs.ts';
import { createResponses, type Responses } from './responses/index.ts';
import type { SchedulerStats } from './scheduler.ts';
import type { Search } from './search.ts';
import { StepLoop } from './step-loop.ts';
import type { GenerateOutput, GenerateRequest, LoadOptions, PromptSource } from './types.ts';
import { computeWhole } from './whole-sequence.ts';

/** What an engine is made of. */
export interface EngineParts {
  /** Name of the model, for people and for the API. */
  readonly modelName: string;
  readonly model: Model;
  readonly tokenizer: Tokenizer;
  /** Null when the checkpoint has none. */
  readonly chatTemplate: ChatTemplate | null;
  readonly generation: GenerationConfig;
  /** One line about what runs the kernels. */
  readonly device: string;
  readonly serving?: Pick<
    LoadOptions,
    'maxQueuedRequests' | 'numSpeculativeTokens' | 'toolCallParser' | 'logprobsMode' | 'onDeviceLost'
  >;
  /** Loads the model again when its device is lost, with the same limits. Without it the engine then stops. */
  readonly reload?: (signal: AbortSignal) => Promise<Model>;
}

export class Engine {
  readonly modelName: string;
  readonly device: string;
  readonly tokenizer: Tokenizer;
  /** Rows of the logits; a few more than the tokenizer has tokens in some models. */
  readonly vocabSize: number;
  /** Columns of the hidden states. */
  readonly hiddenSize: number;
  /** Longest sequence in tokens, prompt and output together. */
  readonly maxModelLen: number;
  /** Tokens that end a text; the first is the tokenizer's own. */
  readonly eosTokenIds: readonly number[];
  /** What sampling parameters are when a request leaves them out: the advice of the model's makers. */
  readonly generationDefaults: Readonly<Partial<SamplingParams>>;
  /** How the model writes calls and reasoning. */
  readonly replyFormat: ReplyFormat;
  /** The chat API in process. */
  readonly chat: { readonly completions: ReturnType<typeof createChatCompletions> };
  /** The API for plain completions in process. */
  readonly completions: Completions;
  /** The embeddings API in process. */
  readonly embeddings: Embeddings;
  /** The Responses API in process. */
  readonly responses: Responses;

  readonly #conversations: ConversationEncoder | null;
  readonly #loop: StepLoop;
  readonly #draftLength: number;
  readonly #logprobsMode: LogprobsMode | undefined;
  #grammarCompiler: GrammarCompiler | undefined;
  #closed: Promise<void> | undefined;

  /**
   * Loads a model.
   *
   * @param path  a Hugging Face directory; a GGUF file; `org/name[@revision][:file]` on the Hugging Face hub, which is fetched into its
   *   cache (Node); or `tiny-chat` for the embedded model
   * @throws CheckpointError, TokenizerError, DeviceError, RequestError for an option, or the signal's reason
   */
  static async load(path: string, options: LoadOptions = {}): Promise<Engine> {
    return new Engine(await loadEngineParts(path, options));
  }

  /** The parts belong to the engine from here on. */
  constructor(parts: EngineParts) {
    const { model, generation, tokenizer, serving = {} } = parts;
    this.#loop = new StepLoop(model, {
      maxQueued: serving.maxQueuedRequests,
      reload: parts.reload,
      onDeviceLost: serving.onDeviceLost,
    });
    this.#draftLength = serving.numSpeculativeTokens ?? 0;
    this.#logprobsMode = serving.logprobsMode;
    this.modelName = parts.modelName;
    this.device = parts.device;
    this.tokenizer = tokenizer;
    this.#conversations = parts.chatTemplate && new ConversationEncoder(tokenizer, parts.chatTemplate);
    this.vocabSize = model.vocabSize;
    this.hiddenSize = model.hiddenSize;
    this.maxModelLen = Math.min(model.maxModelLen, this.#loop.capacity);
    const { eosTokenIds, ...generationDefaults } = generation;
    const own = ownEndToken(tokenizer);
    this.eosTokenIds = own === undefined ? eosTokenIds : [...new Set([own, ...eosTokenIds])];
    this.generationDefaults = generationDefaults;
    this.replyFormat = replyFormatOf(parts.chatTemplate?.source ?? '', serving.toolCallParser);
    this.chat = { completions: createChatCompletions(this) };
    this.completions = createCompletions(this);
    this.embeddings = createEmbeddings(this);
    this.responses = createResponses(this);
  }

  /** Compiles grammars for this model's tokens. Made when it is first asked for: it reads the whole vocabulary. */
  get grammarCompiler(): GrammarCompiler {
    const { tokenizer, vocabSize, eosTokenIds } = this;
    this.#grammarCompiler ??= new GrammarCompiler({
      tokens: Array.from({ length: vocabSize }, (_, id) => tokenizer.tokenBytes(id)),
      eosTokenIds,
    });
    return this.#grammarCompiler;
  }

  /** False while a lost device is replaced, and when the engine is closed or cannot go on. */
  get isReady(): boolean {
    return this.#loop.isReady;
  }

  /** Sequences and K/V blocks at the moment. */
  get stats(): SchedulerStats {
    return this.#loop.stats;
  }

  /**
   * Starts a request; work begins with the first read. Outputs of different choices come mixed, each with its `index`.
   * Leaving the loop, `return()` and the signal end it and free what it holds.
   *
   * @throws RequestError (`queue_full` when too many wait), SamplingError, TokenizerError at once; the iterator throws
   *   SamplingError, GrammarError, DeviceError or the signal's reason
   */
  generate(request: GenerateRequest): AsyncIterableIterator<GenerateOutput, undefined> {
    return new Generation(this.#loop, this.#searchFor(request), request.signal);
  }

  /** Throws what {@link Engine.generate} would throw at once, and starts nothing. */
  check(request: GenerateRequest): void {
    this.#searchFor(request);
  }

  #searchFor(request: GenerateRequest): Search {
    this.#loop.checkOpen();
    const { vocabSize, maxModelLen, eosTokenIds, tokenizer } = this;
    const prompt = this.promptTokens(request);
    const { badWords = [], ...params } = request.sampling ?? {};
    const { maxTokens = Number.POSITIVE_INFINITY } = this.generationDefaults;
    const room = roomForOutput(prompt.length, params.maxTokens, maxModelLen, request.messages ? 'messages' : 'prompt');
    return createSearch(
      request,
      prompt,
      { ...params, badTokens: badWordTokens(badWords, tokenizer) },
      { ...this.generationDefaults, logprobsMode: this.#logprobsMode, maxTokens: Math.min(room, maxTokens) },
      { tokenizer, vocabSize, eosTokenIds, draftLength: this.#draftLength },
    );
  }

  /**
   * The token ids that a request's prompt, tokens or messages come to.
   * @throws RequestError, TokenizerError
   */
  promptTokens(source: PromptSource): number[] {
    const { tokenizer, vocabSize, maxModelLen } = this;
    return promptTokens(source, { tokenizer, vocabSize, maxModelLen, conversations: this.#conversations });
  }

  /**
   * The log-probability of every given token but the first under the model's own distribution, with the `count` most
   * likely tokens at its place.
   * @throws RequestError when there are no ids, too many, or unknown ones; DeviceError, or the signal's reason
   */
  async promptLogprobs(ids: ArrayLike<number>, count: number, signal?: AbortSignal): Promise<RankedLogprobs[]> {
    const { vocabSize, maxModelLen } = this;
    const tokens = checkTokens(ids, vocabSize);
    if (tokens.length > maxModelLen) roomForOutput(tokens.length, 0, maxModelLen, 'prompt');
    return promptLogprobs(this.#loop, tokens, { vocabSize, count, signal });
  }

  /**
   * The mean of the last hidden states of all tokens, scaled to length 1: float32 `[hiddenSize]`.
   * @throws RequestError when there are no ids, too many, or unknown ones; DeviceError, or the signal's reason
   */
  async embed(ids: ArrayLike<number>, signal?: AbortSignal): Promise<Float32Array> {
    const tokens = checkTokens(ids, this.vocabSize, 'input');
    if (tokens.length > this.maxModelLen) roomForOutput(tokens.length, 0, this.maxModelLen, 'input');
    return embed(this.#loop, tokens, { hiddenSize: this.hiddenSize, signal });
  }

  /**
   * The model's logits, float32 `[ids.length, vocabSize]`: row i is what comes after ids 0 to i.
   * @throws RequestError when there are no ids, too many, or unknown ones; DeviceError
   */
  async logits(ids: ArrayLike<number>): Promise<Float32Array> {
    const tokens = checkTokens(ids, this.vocabSize);
    if (tokens.length > this.maxModelLen) roomForOutput(tokens.length, 0, this.maxModelLen, 'prompt');
    const logits = new Float32Array(tokens.length * this.vocabSize);
    let filled = 0;
    const take = (rows: Float32Array): void => {
      logits.set(rows, filled);
      filled += rows.length;
    };
    await computeWhole(this.#loop, tokens, 'logits', take);
    return logits;
  }

  /** Ends every request with a DeviceError and frees the device. A second call waits for the first. */
  close(): Promise<void> {
    this.#closed ??= this.#loop.close();
    return this.#closed;
  }
}

function ownEndToken(tokenizer: Tokenizer): number | undefined {
  const { eos_token: token } = tokenizer.specialTokens;
  return typeof token === 'string' ? tokenizer.idOf(token) : undefined;
}
