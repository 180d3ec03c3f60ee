/**
 * An answer as the chunks of a stream: the one place where outputs of the engine become the API's objects. An answer in one
 * piece is these chunks put together, so the two cannot disagree.
 */

import type { GenerateOutput } from '../../types.ts';
import type {
  ChatChoice,
  ChatChunkChoice,
  ChatCompletion,
  ChatCompletionChunk,
  ChatTokenLogprob,
  ChatToolCallDelta,
  ChatUsage,
} from '../types.ts';
import { ChoiceReply, type ReplyOptions } from './choice-reply.ts';

/** What is the same in every chunk of an answer, and what the chunks are to carry. */
export interface AnswerHead {
  readonly id: string;
  readonly created: number;
  readonly model: string;
  /** How many choices there are. */
  readonly n: number;
  /** Who speaks. */
  readonly role: string;
  /** Text that goes before every choice. */
  readonly echo: string;
  /** `total`: the usage comes last; `running`: every chunk also has the usage of its choice so far. */
  readonly usage: 'none' | 'total' | 'running';
  /** For the first chunk, when they are asked for. */
  readonly promptTokenIds?: readonly number[];
  readonly reply: ReplyOptions;
  /** Tools could be called, so the message says which were, if only that none was. */
  readonly withCalls: boolean;
  /** The usage says how much of the prompt was there already. */
  readonly withCachedTokens: boolean;
}

/**
 * Role chunks of all choices once there is a first token, then text as it comes, a chunk with the finish reason for each
 * choice, and the usage.
 */
export async function* chatChunks(
  outputs: AsyncIterable<GenerateOutput>,
  head: AnswerHead,
): AsyncGenerator<ChatCompletionChunk, void, undefined> {
  const replies = Array.from({ length: head.n }, (_, index) => new ChoiceReply(index, head.reply));
  const completionTokens = Array<number>(head.n).fill(0);
  let prompt: PromptUsage | null = null;

  for await (const output of outputs) {
    if (prompt === null) {
      prompt = output;
      yield* openingChunks(head, prompt);
    }
    const reply = replies[output.index];
    completionTokens[output.index] += output.tokenIds.length;
    const choice = reply.next(output);
    const tokens = { all: completionTokens[output.index], reasoning: reply.reasoningTokens };
    if (choice) yield chunkOf(head, [choice], runningUsage(head, prompt, tokens));
  }

  if (head.usage === 'none') return;
  const total = {
    all: completionTokens.reduce((sum, count) => sum + count, 0),
    reasoning: replies.reduce((sum, { reasoningTokens }) => sum + reasoningTokens, 0),
  };
  yield chunkOf(head, [], prompt ? usageWith(head, prompt, total) : usageOf(0, total.all));
}

/** Puts the chunks of an answer together. Its head must have asked for the usage. */
export async function collectCompletion(
  chunks: AsyncIterable<ChatCompletionChunk>,
  head: AnswerHead,
): Promise<ChatCompletion> {
  const choices = Array.from({ length: head.n }, (_, index) => new CollectedChoice(index, head));
  let usage = usageOf(0, 0);
  for await (const chunk of chunks) {
    usage = chunk.usage ?? usage;
    for (const choice of chunk.choices) choices[choice.index].add(choice);
  }
  const { id, created, model, promptTokenIds } = head;
  return {
    id,
    object: 'chat.completion',
    created,
    model,
    choices: choices.map((choice) => choice.finish()),
    usage,
    ...(promptTokenIds ? { prompt_token_ids: promptTokenIds } : {}),
  };
}

export function usageOf(promptTokens: number, completionTokens: number): ChatUsage {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
  };
}

/** A choice as its chunks come in. */
class CollectedChoice {
  readonly #index: number;
  readonly #head: AnswerHead;
  #content = '';
  #reasoning = '';
  readonly #calls: { id: string; name: string; arguments: string }[] = [];
  readonly #tokenIds: number[] = [];
  #logprobs: ChatTokenLogprob[] | null = null;
  #end: ChatChunkChoice | undefined;

  constructor(index: number, head: AnswerHead) {
    this.#index = index;
    this.#head = head;
  }

  add(choice: ChatChunkChoice): void {
    const { delta, logprobs, token_ids: tokenIds = [] } = choice;
    this.#content += delta.content ?? '';
    this.#reasoning += delta.reasoning_content ?? '';
    for (const call of delta.tool_calls ?? []) this.#addCall(call);
    if (logprobs !== null) (this.#logprobs ??= []).push(...logprobs.content);
    this.#tokenIds.push(...tokenIds);
    if (choice.finish_reason !== null) this.#end = choice;
  }

  finish(): ChatChoice {
    const { role, withCalls, reply } = this.#head;
    const end = this.#end;
    if (!end?.finish_reason) throw new Error(`choice ${this.#index} came to no end`);
    const calls = this.#finishedCalls(end);
    const hasOnlyCalls = end.finish_reason === 'tool_calls' && reply.rules.calls !== undefined;
    const hasOnlyReasoning = this.#reasoning !== '' && calls.length === 0;
    const message = {
      role,
      content: this.#content === '' && (hasOnlyCalls || hasOnlyReasoning) ? null : this.#content,
      ...(withCalls ? { tool_calls: calls } : {}),
      ...(this.#reasoning === '' ? {} : { reasoning_content: this.#reasoning, reasoning: this.#reasoning }),
    };
    return {
      index: this.#index,
      message,
      logprobs: this.#logprobs && { content: this.#logprobs, refusal: null },
      finish_reason: end.finish_reason,
      stop_reason: end.stop_reason ?? null,
      ...(reply.withTokenIds ? { token_ids: this.#tokenIds } : {}),
    };
  }

  #addCall({ id, function: { name, arguments: text } }: ChatToolCallDelta): void {
    if (id !== undefined) this.#calls.push({ id, name: name!, arguments: text });
    else this.#calls[this.#calls.length - 1].arguments += text;
  }

  /** A call that was cut short has no arguments that anybody could read, so it is left out. */
  #finishedCalls({ finish_reason: reason }: ChatChunkChoice) {
    const isForced = this.#head.reply.finishOfCalls === 'stop';
    return this.#calls
      .filter((call) => isForced || reason !== 'length' || isJson(call.arguments))
      .map(({ id, name, arguments: text }) => ({ id, type: 'function' as const, function: { name, arguments: text } }));
  }
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

type PromptUsage = Pick<GenerateOutput, 'promptTokens' | 'cachedTokens'>;

function* openingChunks(head: AnswerHead, prompt: PromptUsage): Generator<ChatCompletionChunk, void, undefined> {
  const { n, role, echo, promptTokenIds } = head;
  const usage = runningUsage(head, prompt, { all: 0, reasoning: 0 });
  for (let index = 0; index < n; index++) {
    const chunk = chunkOf(head, [opening(index, { role, content: '' })], usage);
    yield index === 0 && promptTokenIds ? { ...chunk, prompt_token_ids: promptTokenIds } : chunk;
  }
  if (echo === '') return;
  for (let index = 0; index < n; index++) yield chunkOf(head, [opening(index, { content: echo })], usage);
}

function opening(index: number, delta: ChatChunkChoice['delta']): ChatChunkChoice {
  return { index, delta, logprobs: null, finish_reason: null };
}

function chunkOf(
  { id, created, model, usage: wanted }: AnswerHead,
  choices: readonly ChatChunkChoice[],
  usage: ChatUsage | null,
): ChatCompletionChunk {
  const chunk = { id, object: 'chat.completion.chunk', created, model, choices } as const;
  return wanted === 'none' ? chunk : { ...chunk, usage };
}

/** Tokens of the output, and those of them that were reasoning. */
interface OutputTokens {
  readonly all: number;
  readonly reasoning: number;
}

function runningUsage(head: AnswerHead, prompt: PromptUsage, tokens: OutputTokens): ChatUsage | null {
  return head.usage === 'running' ? usageWith(head, prompt, tokens) : null;
}

function usageWith(head: AnswerHead, { promptTokens, cachedTokens }: PromptUsage, tokens: OutputTokens): ChatUsage {
  return {
    ...usageOf(promptTokens, tokens.all),
    ...(head.withCachedTokens ? { prompt_tokens_details: { cached_tokens: cachedTokens } } : {}),
    ...(head.reply.countsReasoning ? { completion_tokens_details: { reasoning_tokens: tokens.reasoning } } : {}),
  };
}
