/** Plain completions in process, with the shape of the OpenAI client: `engine.completions.create({ … })`. */

import type { Grammar } from '../../grammar/index.ts';
import { type ApiEngine, checkModel, observed, startGenerating } from '../chat/api-engine.ts';
import type { ChatCallOptions, ChatOptions } from '../chat/completions.ts';
import { compileAhead, constraintGrammar } from '../chat/grammars/constraint-grammar.ts';
import { randomHex } from '../chat/random-id.ts';
import { constraintOf } from '../chat/request/constraint.ts';
import { MAX_LOGPROBS, promptLogprobsCount, usageIn } from '../chat/request/generation-fields.ts';
import { searchOf } from '../chat/request/search-fields.ts';
import { AnswerStream, type Create } from '../chat/stream.ts';
import type { GenerateOutput } from '../types.ts';
import { type CompletionHead, collectCompletion, completionChunks, type PromptPart } from './chunks.ts';
import { merged } from './merge.ts';
import {
  type CompletionCreateParams,
  type CompletionRequest,
  completionSampling,
  type Prompt,
  parseCompletionRequest,
} from './request.ts';
import type { Completion } from './types.ts';

export interface Completions {
  /** Continues one or several prompts. */
  readonly create: Create<CompletionCreateParams, Completion, AnswerStream<Completion>, ChatCallOptions>;
}

export function createCompletions(engine: ApiEngine, options: ChatOptions = {}): Completions {
  const { modelNames, maxLogprobs = MAX_LOGPROBS } = options;
  const served = { names: modelNames ?? [engine.modelName] };

  async function create(params: unknown, { signal, observe, requestId }: ChatCallOptions = {}) {
    const request = parseCompletionRequest(params);
    checkModel(request.model, served);
    const controller = new AbortController();
    const ending = signal ? AbortSignal.any([signal, controller.signal]) : controller.signal;
    await compileAhead(() => grammarOf(engine, request));
    const parts = startGenerating('prompt', () =>
      request.prompt.map((prompt, index) =>
        startPart(engine, request, prompt, index, { maxLogprobs, observe, signal: ending }),
      ),
    );
    const head: CompletionHead = {
      id: `cmpl-${requestId ?? request.request_id ?? randomHex()}`,
      created: Math.floor(Date.now() / 1000),
      model: served.names[0],
      n: request.n ?? 1,
      usage: usageIn(request),
      withTokenIds: request.return_token_ids ?? false,
      naming: { tokenizer: engine.tokenizer, asIds: request.return_tokens_as_token_ids ?? false },
    };
    const outputs = merged(parts.map(({ outputs }) => outputs));
    const chunks = completionChunks(outputs, parts, head);
    if (request.stream) return new AnswerStream(chunks, controller);
    // What one prompt fails with ends the others.
    return collectCompletion(chunks, head).finally(() => controller.abort());
  }

  return { create: create as Completions['create'] };
}

interface PartContext {
  readonly maxLogprobs: number;
  readonly observe: ChatCallOptions['observe'];
  readonly signal: AbortSignal;
}

interface StartedPart extends PromptPart {
  readonly outputs: AsyncIterable<GenerateOutput>;
}

function startPart(
  engine: ApiEngine,
  request: CompletionRequest,
  prompt: Prompt,
  place: number,
  { maxLogprobs, observe, signal }: PartContext,
): StartedPart {
  const sampling = completionSampling(request, maxLogprobs);
  const tokens = engine.promptTokens({
    ...(typeof prompt === 'string' ? { prompt } : { tokens: prompt }),
    addSpecialTokens: request.add_special_tokens,
    truncatePromptTokens: request.truncate_prompt_tokens,
    sampling,
  });
  const n = request.n ?? 1;
  const isEcho = sampling.maxTokens === 0;
  const search = { tokens, ...searchOf(request, isEcho ? { ...sampling, maxTokens: 1 } : sampling) };
  const promptCount = promptLogprobsCount(request, tokens.length, engine.vocabSize, maxLogprobs);
  engine.check(search);
  const grammar = grammarOf(engine, request);
  const outputs = isEcho ? nothing(n, tokens.length) : engine.generate({ ...search, grammar, signal });

  const ofPart = placed(outputs, place * n);

  const echoedLogprobs = request.echo ? request.logprobs : undefined;
  const count = Math.max(promptCount ?? -1, echoedLogprobs ?? -1);
  return {
    tokens,
    text: request.echo ? (typeof prompt === 'string' ? prompt : engine.tokenizer.decode(tokens)) : '',
    withLogprobs: echoedLogprobs,
    withPromptLogprobs: promptCount,
    logprobs: async () => (count < 0 ? [] : engine.promptLogprobs(tokens, count, signal)),
    outputs: observe ? observed(ofPart, observe, place) : ofPart,
  };
}

function grammarOf(engine: ApiEngine, request: CompletionRequest): Grammar | undefined {
  const constraint = constraintOf(request);
  return constraint ? constraintGrammar(engine, constraint) : undefined;
}

/** The outputs of a request that wants its prompt back and nothing else. */
async function* nothing(n: number, promptTokens: number): AsyncGenerator<GenerateOutput, void, undefined> {
  for (let index = 0; index < n; index++) {
    const end = { finishReason: 'length', stopReason: null, promptTokens, cachedTokens: 0 } as const;
    yield { index, text: '', tokenIds: [], ...end };
  }
}

async function* placed(
  outputs: AsyncIterable<GenerateOutput>,
  first: number,
): AsyncGenerator<GenerateOutput, void, undefined> {
  for await (const output of outputs) yield { ...output, index: first + output.index };
}
