/** One choice on its way to the client: outputs of the engine become deltas. */

import type { GenerateOutput } from '../../types.ts';
import { ReplyParser, type ReplyRules } from '../dialects/reply-parser.ts';
import type { ReplyPart } from '../dialects/reply-text.ts';
import { startOf, THINK, type Thinking, thinkingAfter } from '../dialects/thinking.ts';
import { writtenToken } from '../grammars/token-texts.ts';
import { randomHex, randomLetters } from '../random-id.ts';
import type { ChatChunkChoice, ChatDelta, ChatFinishReason, ChatToolCallDelta } from '../types.ts';
import { chatLogprobs, type TokenNaming } from './logprobs.ts';

/** What the choices of an answer have in common. */
export interface ReplyOptions {
  readonly rules: ReplyRules;
  /** Calls after so many are left out. */
  readonly maxCalls: number;
  /** The finish reason of a choice that ends with calls. */
  readonly finishOfCalls: 'tool_calls' | 'stop';
  /** Ids of nine letters and digits, as some templates want them. */
  readonly shortCallIds: boolean;
  readonly withReasoning: boolean;
  /** The usage says how many tokens were reasoning. */
  readonly countsReasoning: boolean;
  readonly withTokenIds: boolean;
  readonly naming: TokenNaming;
}

export class ChoiceReply {
  readonly index: number;
  readonly #options: ReplyOptions;
  readonly #parser: ReplyParser;
  #calls = 0;
  #thinking: Thinking;

  constructor(index: number, options: ReplyOptions) {
    this.index = index;
    this.#options = options;
    this.#parser = new ReplyParser(options.rules);
    this.#thinking = startOf(options.rules.reasoning);
  }

  /** Tokens between the tags of reasoning so far. */
  get reasoningTokens(): number {
    return this.#thinking.tokens;
  }

  /** The next chunk; null when it would say nothing. */
  next(output: GenerateOutput): ChatChunkChoice | null {
    const { withTokenIds, naming, rules } = this.#options;
    for (const id of output.tokenIds) {
      this.#thinking = thinkingAfter(this.#thinking, writtenToken(naming.tokenizer, id), rules.tags ?? THINK);
    }
    const parts = this.#parser.push(output.text);
    if (output.finishReason !== null) parts.push(...this.#parser.finish());
    const delta = this.#deltaOf(parts);
    const logprobs = output.logprobs?.length ? chatLogprobs(output.logprobs, naming) : null;
    const finish = this.#finishReason(output);
    const isEmpty = Object.keys(delta).length === 0 && !(withTokenIds && output.tokenIds.length > 0);
    if (isEmpty && logprobs === null && finish === null) return null;
    return {
      index: this.index,
      delta,
      logprobs,
      finish_reason: finish,
      ...(finish === null ? {} : { stop_reason: output.stopReason }),
      ...(withTokenIds ? { token_ids: output.tokenIds } : {}),
    };
  }

  #deltaOf(parts: readonly ReplyPart[]): ChatDelta {
    let content = '';
    let reasoning = '';
    const calls: { -readonly [K in keyof ChatToolCallDelta]: ChatToolCallDelta[K] }[] = [];
    for (const part of parts) {
      if (part.type === 'content') content += part.text;
      else if (part.type === 'reasoning') reasoning += part.text;
      else if (part.type === 'call') {
        const id = this.#options.shortCallIds ? randomLetters(9) : `chatcmpl-tool-${randomHex()}`;
        calls.push({ index: this.#calls++, id, type: 'function', function: { name: part.name, arguments: '' } });
      } else {
        const index = this.#calls - 1;
        const call = calls.at(-1);
        if (call?.index !== index) calls.push({ index, function: { arguments: part.text } });
        else call.function = { ...call.function, arguments: call.function.arguments + part.text };
      }
    }
    const kept = calls.filter(({ index }) => index < this.#options.maxCalls);
    return {
      ...(content === '' ? {} : { content }),
      ...(reasoning === '' || !this.#options.withReasoning ? {} : { reasoning_content: reasoning, reasoning }),
      ...(kept.length === 0 ? {} : { tool_calls: kept }),
    };
  }

  #finishReason({ finishReason }: GenerateOutput): ChatFinishReason | null {
    return finishReason === 'stop' && this.#calls > 0 ? this.#options.finishOfCalls : finishReason;
  }
}
