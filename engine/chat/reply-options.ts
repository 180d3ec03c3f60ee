/** How the replies of a request are to be taken apart. */

import type { Grammar } from '../../grammar/index.ts';
import { RequestError } from '../errors.ts';
import type { ApiEngine } from './api-engine.ts';
import type { ReplyOptions } from './choice-reply.ts';
import { type ConstraintCompiler, compileConstraint } from './constraint.ts';
import type { ChatRequest } from './request.ts';
import type { Tool, ToolChoice } from './tool-choice.ts';
import { CallGrammar, compilerWithMarkers } from './tools/call-grammar.ts';
import { CALL_LANGUAGES } from './tools/call-languages.ts';
import { reasoningAfter } from './tools/detect.ts';
import { CALL_FORMATS, type CallFormatName, namedCall, requiredCalls } from './tools/formats.ts';
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

/** @param prompt  token ids; null when the reply is held to a grammar, and so begins without reasoning */
export function replyOptions(
  engine: ApiEngine,
  request: ChatRequest,
  choice: ToolChoice,
  prompt: readonly number[] | null,
): ReplyPlan {
  const { tools = [], parallel_tool_calls: parallel = true } = request;
  const calls = callRules(engine, choice);
  const reasoning = engine.replyFormat.reasoning && prompt ? reasoningOf(engine, prompt) : undefined;
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
    grammar: choice === 'auto' ? autoGrammar(engine, tools ?? []) : undefined,
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

function reasoningOf({ tokenizer }: ApiEngine, prompt: readonly number[]): ReplyRules['reasoning'] {
  return reasoningAfter(tokenizer.decode(prompt.slice(-PROMPT_END_TOKENS)));
}
