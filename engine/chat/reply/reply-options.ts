/** How the replies of a request are to be taken apart. */

import type { Grammar } from '../../../grammar/index.ts';
import { RequestError } from '../../errors.ts';
import type { ApiEngine } from '../api-engine.ts';
import { reasoningAfter } from '../dialects/detect.ts';
import { CALL_FORMATS, type CallFormatName, namedCall, requiredCalls } from '../dialects/formats.ts';
import type { ReplyRules } from '../dialects/reply-parser.ts';
import { THINK, type ThinkTags } from '../dialects/thinking.ts';
import { CallGrammar, compilerWithMarkers } from '../grammars/call-grammar.ts';
import { CALL_LANGUAGES } from '../grammars/call-languages.ts';
import { type ConstraintCompiler, compileConstraint } from '../grammars/constraint-grammar.ts';
import { ReasoningGrammar } from '../grammars/reasoning-grammar.ts';
import type { ChatRequest } from '../request/chat-request.ts';
import type { Tool, ToolChoice } from '../request/tool-choice.ts';
import type { ReplyOptions } from './choice-reply.ts';

/** How much of a prompt's end tells whether its reply begins with reasoning. */
const PROMPT_END_TOKENS = 32;

export interface ReplyPlan {
  readonly options: ReplyOptions;
  /** Markers must be in the text, also where they are special tokens. */
  readonly needsMarkers: boolean;
  /** What the reply is held to, reasoning and all. */
  readonly grammar?: Grammar;
}

/**
 * @param prompt  token ids
 * @param wanted  what the reply must be, if the request says so
 * @throws RequestError for a limit of reasoning that the model cannot keep to
 */
export function replyOptions(
  engine: ApiEngine,
  request: ChatRequest,
  choice: ToolChoice,
  prompt: readonly number[],
  wanted: Grammar | undefined,
): ReplyPlan {
  const { tools, parallel_tool_calls: parallel = true, thinking_token_budget: budget } = request;
  checkBudget(budget, engine);
  const { tags = THINK } = engine.replyFormat;
  const calls = callRules(engine, choice, wanted !== undefined);
  const thinks = engine.replyFormat.reasoning ? reasoningOf(engine, prompt, tags) : undefined;
  // A model that may think or not goes straight to what is wanted of it, unless it is asked to think.
  const reasoning = wanted && thinks === 'tagged' && !asksForThinking(request) ? undefined : thinks;
  const rest = wanted ?? callGrammar(engine, request, choice);
  const holdsReasoning = reasoning !== undefined && (rest !== undefined || budget !== undefined);
  return {
    options: {
      rules: { calls, tools: tools ?? [], reasoning, tags },
      maxCalls: parallel ? Number.POSITIVE_INFINITY : 1,
      finishOfCalls: typeof choice === 'object' ? 'stop' : 'tool_calls',
      shortCallIds: engine.replyFormat.calls === 'mistral',
      withReasoning: request.include_reasoning ?? true,
      countsReasoning: engine.replyFormat.reasoning,
      withTokenIds: request.return_token_ids ?? false,
      naming: { tokenizer: engine.tokenizer, asIds: request.return_tokens_as_token_ids ?? false },
    },
    grammar: holdsReasoning
      ? new ReasoningGrammar({ reasoning, tags, budget, rest, isStrict: wanted !== undefined }, engine)
      : rest,
    needsMarkers: (calls !== undefined && !isForced(choice)) || reasoning !== undefined,
  };
}

/** What keeps calls well formed that the model may choose to make. */
export function callGrammar(engine: ApiEngine, { tools }: ChatRequest, choice: ToolChoice): Grammar | undefined {
  return choice === 'auto' ? autoGrammar(engine, tools ?? []) : undefined;
}

function isForced(choice: ToolChoice): boolean {
  return choice === 'required' || typeof choice === 'object';
}

function callRules({ replyFormat }: ApiEngine, choice: ToolChoice, isHeld: boolean): ReplyRules['calls'] {
  if (choice === 'required') return requiredCalls;
  if (typeof choice === 'object') return namedCall(choice.name);
  // On channels every reply has markers, calls or not.
  if (choice === 'auto' || (replyFormat.calls === 'openai' && !isHeld)) {
    return replyFormat.calls && CALL_FORMATS[replyFormat.calls];
  }
  return undefined;
}

function checkBudget(budget: number | undefined, { replyFormat }: ApiEngine): void {
  if (budget === undefined) return;
  if (budget < 0) throw new RequestError(`thinking_token_budget must be at least 0, got ${budget}`, BUDGET);
  if (replyFormat.reasoning) return;
  throw new RequestError(`thinking_token_budget ${budget} needs a model that thinks between tags`, BUDGET);
}

const BUDGET = 'thinking_token_budget';

function asksForThinking({
  thinking_token_budget: budget,
  reasoning_effort: effort,
  chat_template_kwargs: kwargs,
}: ChatRequest) {
  if (budget !== undefined || kwargs?.enable_thinking === true || kwargs?.thinking === true) return true;
  return effort !== undefined && effort !== 'none';
}

/**
 * Where it is known how calls are written, they are held to the tools from the moment that one begins. A tool whose schema
 * cannot be compiled is no reason to refuse a request that need not call it.
 */
function autoGrammar(engine: ApiEngine, tools: readonly Tool[]): Grammar | undefined {
  const { calls } = engine.replyFormat;
  const compiler = calls && callCompiler(engine, calls);
  if (!compiler) return undefined;
  try {
    const starts = CALL_LANGUAGES[calls].languages(tools).map(({ lark, ...start }) => {
      const constraint = { kind: 'grammar', text: lark } as const;
      return { ...start, call: compileConstraint({ constraint, param: 'tools' }, compiler) };
    });
    return new CallGrammar(starts, engine);
  } catch (error) {
    if (error instanceof RequestError) return undefined;
    throw error;
  }
}

const markerCompilers = new WeakMap<ApiEngine, ConstraintCompiler | null>();

/** The engine's own compiler, unless a family's calls have special tokens in them. */
function callCompiler(engine: ApiEngine, calls: CallFormatName): ConstraintCompiler | undefined {
  const { markers } = CALL_LANGUAGES[calls];
  if (!markers || !engine.grammarCompiler) return engine.grammarCompiler;
  let compiler = markerCompilers.get(engine);
  if (compiler === undefined) {
    compiler = compilerWithMarkers(markers, engine);
    markerCompilers.set(engine, compiler);
  }
  return compiler ?? engine.grammarCompiler;
}

function reasoningOf({ tokenizer }: ApiEngine, prompt: readonly number[], tags: ThinkTags): ReplyRules['reasoning'] {
  return reasoningAfter(tokenizer.decode(prompt.slice(-PROMPT_END_TOKENS)), tags);
}
