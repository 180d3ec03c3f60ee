/** The chat API in process, with the shape of the OpenAI client: `engine.chat.completions.create({ … })`. */

import { textOf } from '../conversation.ts';
import { roomForOutput } from '../prompt.ts';
import type { GenerateOutput, GenerateRequest, PromptSource } from '../types.ts';
import {
  type ApiEngine,
  checkModel,
  checkTemplate,
  observed,
  type ServedModel,
  startGenerating,
} from './api-engine.ts';
import { checkWhitespacePattern, compileAhead, constraintGrammar } from './grammars/constraint-grammar.ts';
import { randomHex } from './random-id.ts';
import { type AnswerHead, chatChunks, collectCompletion } from './reply/chunks.ts';
import { promptLogprobs } from './reply/logprobs.ts';
import { callGrammar, replyOptions } from './reply/reply-options.ts';
import {
  type ChatCompletionCreateParams,
  type ChatRequest,
  chatSampling,
  parseChatRequest,
} from './request/chat-request.ts';
import { constraintOf } from './request/constraint.ts';
import { checkLogprobsCount, MAX_LOGPROBS, promptLogprobsCount, usageIn } from './request/generation-fields.ts';
import { searchOf } from './request/search-fields.ts';
import { callConstraint, type ToolChoice, toolChoiceOf } from './request/tool-choice.ts';
import { AnswerStream, type ChatCompletionStream, type Create } from './stream.ts';
import type { ChatCompletion } from './types.ts';

export interface ChatOptions {
  /** Names that `model` may have; the first is the one in answers. Default: the engine's own name for the model. */
  readonly modelNames?: readonly string[];
  /** Lets requests bring a chat template of their own. Default true. */
  readonly trustRequestChatTemplate?: boolean;
  /** The usage says how many tokens of the prompt were there from an earlier request. Default false. */
  readonly promptTokensDetails?: boolean;
  /** Most alternatives that `top_logprobs`, `prompt_logprobs` and `logprobs` may ask for. Default 20. */
  readonly maxLogprobs?: number;
  /** With `tool_choice: "none"` the template does not see the tools either. Default false. */
  readonly excludeToolsWhenNone?: boolean;
}

export interface ChatCallOptions {
  /** Ends the answer and frees what it holds. */
  readonly signal?: AbortSignal;
  /** Sees every output of the engine on its way into the answer; `prompt` tells those of several prompts apart. */
  readonly observe?: (output: GenerateOutput, prompt: number) => void;
  /** Takes the place of the random part of the answer's id, and of the request's own `request_id`. */
  readonly requestId?: string;
}

export interface ChatCompletions {
  /** Answers a conversation. */
  readonly create: Create<ChatCompletionCreateParams, ChatCompletion, ChatCompletionStream, ChatCallOptions>;
}

export function createChatCompletions(engine: ApiEngine, options: ChatOptions = {}): ChatCompletions {
  const { modelNames = [engine.modelName], promptTokensDetails = false } = options;
  const { excludeToolsWhenNone = false, maxLogprobs = MAX_LOGPROBS } = options;
  const served: ServedModel = { names: modelNames };

  async function create(params: unknown, { signal, observe, requestId }: ChatCallOptions = {}) {
    const request = parseChatRequest(params);
    const choice = toolChoiceOf(request);
    checkModel(request.model, served);
    checkTemplate(request.chat_template, options.trustRequestChatTemplate ?? true);
    const controller = new AbortController();
    const ending = signal ? AbortSignal.any([signal, controller.signal]) : controller.signal;
    const shown = excludeToolsWhenNone && choice === 'none' ? { ...request, tools: undefined } : request;
    await compileAhead(() => grammarOf(engine, shown, choice) ?? callGrammar(engine, shown, choice));
    const answer = startAnswer(engine, shown, choice, { served, maxLogprobs, requestId, signal: ending });
    const head = { ...answer.head, withCachedTokens: promptTokensDetails };
    const chunks = chatChunks(observe ? observed(answer.outputs, observe) : answer.outputs, head);
    if (request.stream) return new AnswerStream(chunks, controller);
    const ofPrompt = await answer.promptLogprobs();
    const completion = await collectCompletion(chunks, head);
    return ofPrompt ? { ...completion, prompt_logprobs: ofPrompt } : completion;
  }

  return { create: create as ChatCompletions['create'] };
}

interface AnswerContext {
  readonly served: ServedModel;
  readonly maxLogprobs: number;
  readonly requestId?: string;
  readonly signal: AbortSignal;
}

/**
 * Checks all that is left to check, one kind of fault after the other: the template, the length of the prompt, the sampling
 * parameters, the grammar. Work begins when the outputs are read.
 */
function startAnswer(engine: ApiEngine, request: ChatRequest, choice: ToolChoice, context: AnswerContext) {
  const { served, maxLogprobs, requestId, signal } = context;
  const sampling = chatSampling(request);
  const source = promptSourceOf(request);
  const tokens = startGenerating('messages', () => engine.promptTokens({ ...source, sampling }));
  roomForOutput(tokens.length, sampling.maxTokens, engine.maxModelLen, 'messages');
  const promptCount = promptLogprobsCount(request, tokens.length, engine.vocabSize, maxLogprobs);
  checkLogprobsCount('top_logprobs', request.top_logprobs ?? 0, maxLogprobs);
  const search = { tokens, ...searchOf(request, sampling) };
  startGenerating('messages', () => engine.check(given(search)));

  const wanted = grammarOf(engine, request, choice);
  const { options: reply, needsMarkers, grammar } = replyOptions(engine, request, choice, tokens, wanted);
  const sampled = needsMarkers ? { ...search.sampling, skipSpecialTokens: false } : search.sampling;
  const outputs = engine.generate(given({ ...search, sampling: sampled, grammar, signal }));

  const speaker = request.messages[request.messages.length - 1];
  const role = request.add_generation_prompt === false ? speaker.role : 'assistant';
  const head: Omit<AnswerHead, 'withCachedTokens'> = {
    id: `chatcmpl-${requestId ?? request.request_id ?? randomHex()}`,
    created: Math.floor(Date.now() / 1000),
    model: served.names[0],
    n: request.n ?? 1,
    role,
    echo: request.echo && speaker.role === role ? textOf(speaker.content) : '',
    usage: usageIn(request),
    ...(request.return_token_ids ? { promptTokenIds: tokens } : {}),
    reply,
    withCalls: choice !== 'none',
  };
  return {
    head,
    outputs,
    promptLogprobs: async () => {
      if (promptCount === undefined) return undefined;
      return promptLogprobs(await engine.promptLogprobs(tokens, promptCount, signal), reply.naming);
    },
  };
}

type PromptFields = Pick<ChatRequest, 'messages'> &
  Partial<Pick<ChatRequest, 'tools' | 'reasoning_effort' | 'chat_template_kwargs' | 'chat_template' | 'documents'>> &
  Partial<Pick<ChatRequest, 'add_generation_prompt' | 'continue_final_message' | 'add_special_tokens'>> &
  Partial<Pick<ChatRequest, 'truncate_prompt_tokens'>>;

/** What of a request makes its prompt. */
export function promptSourceOf(request: PromptFields): PromptSource {
  const { tools, reasoning_effort: effort, chat_template_kwargs: kwargs } = request;
  const effortVariables =
    effort === undefined ? {} : { reasoning_effort: effort, ...(effort === 'none' ? { enable_thinking: false } : {}) };
  const variables = { ...effortVariables, ...kwargs };
  return given({
    messages: request.messages,
    tools: tools?.length ? tools : undefined,
    chatTemplateKwargs: Object.keys(variables).length > 0 ? variables : undefined,
    chatTemplate: request.chat_template,
    documents: request.documents,
    addGenerationPrompt: request.add_generation_prompt,
    continueFinalMessage: request.continue_final_message,
    addSpecialTokens: request.add_special_tokens,
    truncatePromptTokens: request.truncate_prompt_tokens,
  });
}

/** A call that must be made comes before what else is wanted of the output. */
function grammarOf(engine: ApiEngine, request: ChatRequest, choice: ToolChoice): GenerateRequest['grammar'] {
  const { tools, guided_whitespace_pattern: whitespacePattern, parallel_tool_calls: isParallel } = request;
  if (whitespacePattern !== undefined) checkWhitespacePattern(whitespacePattern, engine.grammarCompiler);
  const constraint = callConstraint(choice, tools ?? [], { whitespacePattern, isParallel }) ?? constraintOf(request);
  return constraint ? constraintGrammar(engine, constraint) : undefined;
}

/** An object without the members that are undefined. */
function given<T extends object>(members: T): T {
  return Object.fromEntries(Object.entries(members).filter(([, value]) => value !== undefined)) as T;
}
