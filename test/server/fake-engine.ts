/** An engine without a model: it says the same pieces to everybody, by the real rules of sampling parameters and stops. */

import { RequestError } from '../../engine/errors.ts';
import type { GenerateOutput, GenerateRequest, PromptSource } from '../../engine/types.ts';
import { type RankedLogprobs, resolveSampling, StopMatcher, type TokenLogprobs } from '../../sampling/index.ts';
import type { ServerEngine } from '../../server/index.ts';

export const PROMPT_TOKENS = 14;
const VOCAB_SIZE = 1000;
const END = 2;
const END_TEXT = '<|end|>';
/** Piece i is token FIRST_PIECE + i. */
const FIRST_PIECE = 10;

export interface FakeOptions {
  /** What it says, a piece a token; bytes where a piece is no whole character. Default: "Paris." in three tokens. */
  readonly pieces?: readonly (string | Uint8Array)[];
  /** Goes through the pieces for ever. */
  readonly endless?: boolean;
  /** Throws this error after so many tokens of the request. */
  readonly failAfter?: { readonly tokens: number; readonly error: Error };
  /** Nobody gets a token before. */
  readonly gate?: Promise<void>;
  /** Milliseconds before each token. Default 0: at the next turn of the event loop. */
  readonly delayMs?: number;
  /** How it says that it writes calls. */
  readonly replyFormat?: ServerEngine['replyFormat'];
}

export class FakeEngine implements ServerEngine {
  readonly modelName = 'fake';
  readonly vocabSize = VOCAB_SIZE;
  readonly hiddenSize = 2;
  /** 100 tokens, and no limit to speak of for an endless one. */
  readonly maxModelLen: number;
  isReady = true;
  /** Every request it got. */
  readonly requests: GenerateRequest[] = [];
  /** What the prompts were made of. */
  readonly prompts: PromptSource[] = [];
  /** Requests under way. */
  running = 0;
  /** Tokens it made in all. */
  tokens = 0;
  readonly #options: FakeOptions;

  constructor(options: FakeOptions = {}) {
    this.#options = options;
    this.maxModelLen = options.endless ? 1_000_000 : 100;
  }

  readonly tokenizer = {
    tokenBytes: (id: number) => (id === END ? new Uint8Array(0) : this.#bytes(id)),
    decode: (ids: ArrayLike<number>) => (ids[0] === END ? END_TEXT : new TextDecoder().decode(this.#bytes(ids[0]))),
  };

  get stats() {
    const blocks = { freeBlocks: 3, cachedBlocks: 1, totalBlocks: 4 };
    return { running: this.running, waiting: 0, preemptions: 0, ...blocks };
  }

  get replyFormat() {
    return this.#options.replyFormat ?? { reasoning: false };
  }

  /** The first tokens that there are. */
  promptTokens(source: PromptSource): number[] {
    this.prompts.push(source);
    const { truncatePromptTokens = PROMPT_TOKENS } = source;
    return Array.from({ length: Math.min(PROMPT_TOKENS, truncatePromptTokens) }, (_, i) => 100 + i);
  }

  /** -1 for the first, -2 for the second, and so on. */
  async promptLogprobs(ids: readonly number[], count: number): Promise<RankedLogprobs[]> {
    return ids.slice(1).map((tokenId, i) => {
      const top = Array.from({ length: count }, (_, k) => ({ tokenId: 500 + k, logprob: -k / 10, rank: k + 1 }));
      return { tokenId, logprob: -1 - i, rank: 30 + i, top };
    });
  }

  async embed(): Promise<Float32Array> {
    return Float32Array.of(0.6, 0.8);
  }

  check(request: GenerateRequest): void {
    this.#resolve(request);
  }

  generate(request: GenerateRequest): AsyncIterable<GenerateOutput> {
    this.requests.push(request);
    return this.#run(request, this.#resolve(request));
  }

  #resolve(request: GenerateRequest) {
    const maxTokens = request.sampling?.maxTokens ?? this.maxModelLen - PROMPT_TOKENS;
    if (PROMPT_TOKENS + maxTokens > this.maxModelLen) {
      const needs = `the request needs ${PROMPT_TOKENS + maxTokens}`;
      throw new RequestError(
        `This model's maximum context length is ${this.maxModelLen} tokens; ${needs}`,
        'max_tokens',
      );
    }
    return resolveSampling(request.sampling ?? {}, { maxTokens }, VOCAB_SIZE);
  }

  async *#run(
    { signal }: GenerateRequest,
    sampling: ReturnType<typeof resolveSampling>,
  ): AsyncGenerator<GenerateOutput, void, undefined> {
    this.running++;
    try {
      await this.#options.gate;
      const choices = Array.from({ length: sampling.n }, (_, index) => ({
        index,
        length: 0,
        decoder: new TextDecoder(),
        stop: new StopMatcher(sampling, [END]),
        isOpen: true,
      }));
      for (let made = 0; choices.some(({ isOpen }) => isOpen); ) {
        for (const choice of choices) {
          if (!choice.isOpen) continue;
          await this.#pause(signal);
          if (made++ === this.#options.failAfter?.tokens) throw this.#options.failAfter.error;
          this.tokens++;
          const tokenId = this.#tokenAt(choice.length++);
          const text = choice.decoder.decode(this.tokenizer.tokenBytes(tokenId), { stream: true });
          const step = choice.stop.push(tokenId, text);
          const isFull = !step.stopped && choice.length === sampling.maxTokens;
          choice.isOpen = !step.stopped && !isFull;
          yield {
            index: choice.index,
            text: isFull ? step.text + choice.stop.finish() : step.text,
            tokenIds: [tokenId],
            ...(sampling.logprobs === null ? {} : { logprobs: [logprobsOf(tokenId, sampling.logprobs)] }),
            finishReason: step.stopped ? 'stop' : isFull ? 'length' : null,
            stopReason: step.stopReason,
            promptTokens: PROMPT_TOKENS,
            cachedTokens: 0,
          };
        }
      }
    } finally {
      this.running--;
    }
  }

  async #pause(signal: AbortSignal | undefined): Promise<void> {
    const { delayMs } = this.#options;
    await new Promise<void>((resolve) => {
      const go = (): void => {
        signal?.removeEventListener('abort', go);
        resolve();
      };
      if (delayMs === undefined) setImmediate(go);
      else setTimeout(go, delayMs);
      signal?.addEventListener('abort', go);
    });
    signal?.throwIfAborted();
  }

  get #pieces(): readonly (string | Uint8Array)[] {
    return this.#options.pieces ?? ['Par', 'is', '.'];
  }

  #tokenAt(position: number): number {
    const count = this.#pieces.length;
    if (this.#options.endless) return FIRST_PIECE + (position % count);
    return position < count ? FIRST_PIECE + position : END;
  }

  #bytes(id: number): Uint8Array {
    const piece = this.#pieces[id - FIRST_PIECE] ?? `<${id}>`;
    return typeof piece === 'string' ? new TextEncoder().encode(piece) : piece;
  }
}

/** The token itself with -0.25, then others, the last of them impossible. */
function logprobsOf(tokenId: number, count: number): TokenLogprobs {
  const top = Array.from({ length: count }, (_, i) => ({
    tokenId: i === 0 ? tokenId : 500 + i,
    logprob: i === 0 ? -0.25 : i === count - 1 ? Number.NEGATIVE_INFINITY : -1 - i,
  }));
  return { tokenId, logprob: -0.25, top };
}
