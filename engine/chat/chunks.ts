/**
 * An answer as the chunks of a stream: the one place where outputs of the engine become the API's objects. An answer in one
 * piece is these chunks put together, so the two cannot disagree.
 */

import type { GenerateOutput } from '../types.ts';
import { chatLogprobs, type TokenTexts } from './logprobs.ts';
import type { ChatChunkChoice, ChatCompletion, ChatCompletionChunk, ChatTokenLogprob, ChatUsage } from './types.ts';

/** What is the same in every chunk of an answer, and what the chunks are to carry. */
export interface AnswerHead {
  readonly id: string;
  readonly created: number;
  readonly model: string;
  /** How many choices there are. */
  readonly n: number;
  /** `total`: the usage comes last; `running`: every chunk also has the usage of its choice so far. */
  readonly usage: 'none' | 'total' | 'running';
  readonly tokenizer: TokenTexts;
}

/**
 * Role chunks of all choices once there is a first token, then text as it comes, a chunk with the finish reason for each
 * choice, and the usage.
 */
export async function* chatChunks(
  outputs: AsyncIterable<GenerateOutput>,
  head: AnswerHead,
): AsyncGenerator<ChatCompletionChunk, void, undefined> {
  const completionTokens = Array<number>(head.n).fill(0);
  let promptTokens: number | null = null;

  for await (const output of outputs) {
    if (promptTokens === null) {
      promptTokens = output.promptTokens;
      for (let index = 0; index < head.n; index++) {
        const role = { index, delta: { role: 'assistant', content: '' }, logprobs: null, finish_reason: null } as const;
        yield chunkOf(head, [role], runningUsage(head, promptTokens, 0));
      }
    }
    completionTokens[output.index] += output.tokenIds.length;
    const choice = chunkChoice(output, head.tokenizer);
    const says = choice.delta.content !== undefined || choice.logprobs !== null || choice.finish_reason !== null;
    if (says) yield chunkOf(head, [choice], runningUsage(head, promptTokens, completionTokens[output.index]));
  }

  if (head.usage === 'none') return;
  const total = completionTokens.reduce((sum, count) => sum + count, 0);
  yield chunkOf(head, [], usageOf(promptTokens ?? 0, total));
}

/** Puts the chunks of an answer together. Its head must have asked for the usage. */
export async function collectCompletion(
  chunks: AsyncIterable<ChatCompletionChunk>,
  { id, created, model, n }: AnswerHead,
): Promise<ChatCompletion> {
  const texts = Array<string>(n).fill('');
  const logprobs = Array.from({ length: n }, (): ChatTokenLogprob[] | null => null);
  const finished = Array<ChatChunkChoice | undefined>(n).fill(undefined);
  let usage = usageOf(0, 0);
  for await (const chunk of chunks) {
    usage = chunk.usage ?? usage;
    for (const choice of chunk.choices) {
      texts[choice.index] += choice.delta.content ?? '';
      if (choice.logprobs !== null) (logprobs[choice.index] ??= []).push(...choice.logprobs.content);
      if (choice.finish_reason !== null) finished[choice.index] = choice;
    }
  }
  const choices = finished.map((end, index) => {
    if (!end?.finish_reason) throw new Error(`choice ${index} came to no end`);
    const content = logprobs[index];
    return {
      index,
      message: { role: 'assistant' as const, content: texts[index] },
      logprobs: content && { content, refusal: null },
      finish_reason: end.finish_reason,
      stop_reason: end.stop_reason ?? null,
    };
  });
  return { id, object: 'chat.completion', created, model, choices, usage };
}

function chunkOf(
  { id, created, model, usage: wanted }: AnswerHead,
  choices: readonly ChatChunkChoice[],
  usage: ChatUsage | null,
): ChatCompletionChunk {
  const chunk = { id, object: 'chat.completion.chunk', created, model, choices } as const;
  return wanted === 'none' ? chunk : { ...chunk, usage };
}

function chunkChoice(output: GenerateOutput, tokenizer: TokenTexts): ChatChunkChoice {
  const choice = {
    index: output.index,
    delta: output.text === '' ? {} : { content: output.text },
    logprobs: output.logprobs?.length ? chatLogprobs(output.logprobs, tokenizer) : null,
    finish_reason: output.finishReason,
  };
  return output.finishReason === null ? choice : { ...choice, stop_reason: output.stopReason };
}

function runningUsage(head: AnswerHead, promptTokens: number, completionTokens: number): ChatUsage | null {
  return head.usage === 'running' ? usageOf(promptTokens, completionTokens) : null;
}

function usageOf(promptTokens: number, completionTokens: number): ChatUsage {
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
  };
}
