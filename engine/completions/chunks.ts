/** Plain completions as the chunks of a stream, and the chunks put together. */

import type { RankedLogprobs } from '../../sampling/index.ts';
import { usageOf } from '../chat/reply/chunks.ts';
import { promptLogprobs, type TokenNaming } from '../chat/reply/logprobs.ts';
import type { GenerateOutput } from '../types.ts';
import { joined, LogprobLists } from './logprobs.ts';
import type { Completion, CompletionChoice } from './types.ts';

/** What is the same in every chunk of an answer, and what the chunks are to carry. */
export interface CompletionHead {
  readonly id: string;
  readonly created: number;
  readonly model: string;
  /** Choices of each prompt. */
  readonly n: number;
  /** `total`: the usage comes last; `running`: every chunk also has the usage of its choice so far. */
  readonly usage: 'none' | 'total' | 'running';
  readonly withTokenIds: boolean;
  readonly naming: TokenNaming;
}

/** What is known of one prompt before anything is generated. */
export interface PromptPart {
  readonly tokens: readonly number[];
  /** What is echoed of it; empty: nothing. */
  readonly text: string;
  /** With the echo, the log-probabilities of its tokens and of so many alternatives. */
  readonly withLogprobs: number | undefined;
  readonly withPromptLogprobs: number | undefined;
  /** Of every token but the first. */
  readonly logprobs: () => Promise<RankedLogprobs[]>;
}

/** The echo of each choice once there is a first token, then text as it comes, and the usage. */
export async function* completionChunks(
  outputs: AsyncIterable<GenerateOutput>,
  parts: readonly PromptPart[],
  head: CompletionHead,
): AsyncGenerator<Completion, void, undefined> {
  const choices = parts.flatMap((part) => Array.from({ length: head.n }, () => new ChoiceText(part, head)));
  // The prompts come first, so that their keys and values are there for what continues them.
  const ofPrompts = await Promise.all(parts.map(({ logprobs }) => logprobs()));
  let isOpen = false;
  for await (const output of outputs) {
    if (!isOpen) {
      isOpen = true;
      for (const [index, choice] of choices.entries()) {
        const opening = choice.opening(index, ofPrompts[Math.floor(index / head.n)]);
        if (opening) yield chunkOf(head, [opening], choice.usage);
      }
    }
    const choice = choices[output.index];
    const next = choice.next(output);
    if (next) yield chunkOf(head, [next], choice.usage);
  }

  if (head.usage === 'none') return;
  const promptTokens = parts.reduce((sum, { tokens }) => sum + tokens.length, 0);
  const completionTokens = choices.reduce((sum, { completionTokens: count }) => sum + count, 0);
  const usage = usageOf(promptTokens, completionTokens);
  yield { ...chunkOf(head, [], null), usage };
}

/** Puts the chunks of an answer together. Its head must have asked for the usage. */
export async function collectCompletion(
  chunks: AsyncIterable<Completion>,
  { id, created, model }: CompletionHead,
): Promise<Completion> {
  const choices: CompletionChoice[] = [];
  let usage = usageOf(0, 0);
  for await (const chunk of chunks) {
    usage = chunk.usage ?? usage;
    for (const choice of chunk.choices) {
      const before = choices[choice.index];
      choices[choice.index] = before ? together(before, choice) : choice;
    }
  }
  return { id, object: 'text_completion', created, model, choices, usage };
}

/** One choice on its way. */
class ChoiceText {
  completionTokens = 0;
  readonly #part: PromptPart;
  readonly #head: CompletionHead;
  readonly #lists: LogprobLists;

  constructor(part: PromptPart, head: CompletionHead) {
    this.#part = part;
    this.#head = head;
    this.#lists = new LogprobLists(head.naming);
  }

  /** The choice so far, where the stream carries it. */
  get usage() {
    const { tokens } = this.#part;
    return this.#head.usage === 'running' ? usageOf(tokens.length, this.completionTokens) : null;
  }

  /** What comes before the first token of the output; null: nothing. */
  opening(index: number, entries: readonly RankedLogprobs[]): CompletionChoice | null {
    const { tokens, text, withLogprobs: count, withPromptLogprobs } = this.#part;
    const { withTokenIds, naming } = this.#head;
    if (text === '' && !withTokenIds && withPromptLogprobs === undefined) return null;
    const cut = (most: number) => entries.map((entry) => ({ ...entry, top: entry.top.slice(0, most) }));
    return {
      index,
      text,
      logprobs: count === undefined ? null : this.#lists.next(cut(count), tokens[0]),
      finish_reason: null,
      stop_reason: null,
      ...(withTokenIds ? { prompt_token_ids: tokens, token_ids: [] } : {}),
      ...(withPromptLogprobs === undefined ? {} : { prompt_logprobs: promptLogprobs(cut(withPromptLogprobs), naming) }),
    };
  }

  /** Null when it would say nothing. */
  next({ index, text, tokenIds, logprobs, finishReason, stopReason }: GenerateOutput): CompletionChoice | null {
    this.completionTokens += tokenIds.length;
    const { withTokenIds } = this.#head;
    if (text === '' && !logprobs?.length && finishReason === null && !withTokenIds) return null;
    return {
      index,
      text,
      logprobs: logprobs?.length ? this.#lists.next(logprobs) : null,
      finish_reason: finishReason,
      stop_reason: stopReason,
      ...(withTokenIds ? { token_ids: tokenIds } : {}),
    };
  }
}

function together(before: CompletionChoice, next: CompletionChoice): CompletionChoice {
  return {
    ...before,
    ...next,
    text: before.text + next.text,
    logprobs: joined(before.logprobs, next.logprobs),
    ...(next.token_ids ? { token_ids: [...(before.token_ids ?? []), ...next.token_ids] } : {}),
  };
}

function chunkOf(
  { id, created, model, usage: wanted }: CompletionHead,
  choices: readonly CompletionChoice[],
  usage: Completion['usage'],
): Completion {
  const chunk = { id, object: 'text_completion', created, model, choices } as const;
  return wanted === 'none' ? chunk : { ...chunk, usage };
}
