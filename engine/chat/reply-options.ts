/** How the replies of a request are to be taken apart. */

import type { Grammar } from '../../grammar/index.ts';
import type { PromptSource } from '../types.ts';
import type { ApiEngine } from './api-engine.ts';
import type { ReplyOptions } from './choice-reply.ts';
import type { ChatRequest } from './request.ts';
import type { ToolChoice } from './tool-choice.ts';
import { reasoningAfter } from './tools/detect.ts';
import { CALL_FORMATS, namedCall, requiredCalls } from './tools/formats.ts';
import type { ReplyRules } from './tools/reply-parser.ts';

/** How much of a prompt's end tells whether its reply begins with reasoning. */
const PROMPT_END_TOKENS = 32;

export interface ReplyPlan {
  readonly options: ReplyOptions;
  /** Markers must be in the text, also where they are special tokens. */
  readonly needsMarkers: boolean;
  /** What keeps calls that the model chooses to make well formed. */
  readonly grammar?: Grammar;
}

export function replyOptions(
  engine: ApiEngine,
  request: ChatRequest,
  choice: ToolChoice,
  source: PromptSource,
): ReplyPlan {
  const { tools = [], parallel_tool_calls: parallel = true } = request;
  const calls = callRules(engine, choice);
  const reasoning = engine.replyFormat.reasoning && !isForced(choice) ? reasoningOf(engine, source) : undefined;
  return {
    options: {
      rules: { calls, tools: tools ?? [], reasoning },
      maxCalls: parallel ? Number.POSITIVE_INFINITY : 1,
      finishOfCalls: typeof choice === 'object' ? 'stop' : 'tool_calls',
      shortCallIds: engine.replyFormat.calls === 'mistral',
      withReasoning: request.include_reasoning ?? true,
      withTokenIds: request.return_token_ids ?? false,
      naming: { tokenizer: engine.tokenizer, asIds: request.return_tokens_as_token_ids ?? false },
    },
    needsMarkers: (calls !== undefined && !isForced(choice)) || reasoning !== undefined,
  };
}

function isForced(choice: ToolChoice): boolean {
  return choice === 'required' || typeof choice === 'object';
}

function callRules({ replyFormat }: ApiEngine, choice: ToolChoice): ReplyRules['calls'] {
  if (choice === 'none') return undefined;
  if (choice === 'required') return requiredCalls;
  if (choice === 'auto') return replyFormat.calls && CALL_FORMATS[replyFormat.calls];
  return namedCall(choice.name);
}

function reasoningOf(engine: ApiEngine, source: PromptSource): ReplyRules['reasoning'] {
  return reasoningAfter(engine.tokenizer.decode(engine.promptTokens(source).slice(-PROMPT_END_TOKENS)));
}
