/** What the API needs of an engine, and what it makes of the engine's errors. */

import { type RankedLogprobs, SamplingError } from '../../sampling/index.ts';
import { type Tokenizer, TokenizerError } from '../../tokenizer/index.ts';
import { RequestError } from '../errors.ts';
import type { GenerateOutput, GenerateRequest, PromptSource } from '../types.ts';
import type { CallFormatName } from './dialects/formats.ts';
import type { ThinkTags } from './dialects/thinking.ts';
import type { ConstraintCompiler } from './grammars/constraint-grammar.ts';
import { shown } from './request/coercion.ts';

export interface ApiEngine {
  readonly modelName: string;
  readonly vocabSize: number;
  readonly eosTokenIds?: readonly number[];
  readonly hiddenSize: number;
  /** Longest sequence in tokens, prompt and output together. */
  readonly maxModelLen: number;
  readonly tokenizer: Pick<Tokenizer, 'tokenBytes' | 'decode'>;
  /** How the model writes what is not content. */
  readonly replyFormat: ReplyFormat;
  /** Absent: the engine cannot be held to a grammar. */
  readonly grammarCompiler?: ConstraintCompiler;
  /** Throws what `generate` would throw at once. */
  check(request: GenerateRequest): void;
  /** Checks the request at once, and gives its outputs. */
  generate(request: GenerateRequest): AsyncIterable<GenerateOutput>;
  promptTokens(source: PromptSource): number[];
  promptLogprobs(ids: readonly number[], count: number, signal?: AbortSignal): Promise<RankedLogprobs[]>;
  /** `[hiddenSize]` */
  embed(ids: readonly number[], signal?: AbortSignal): Promise<Float32Array>;
}

export interface ReplyFormat {
  /** Undefined: calls are not known to be written in any way. */
  readonly calls?: CallFormatName;
  /** The model thinks between tags before it answers. */
  readonly reasoning: boolean;
  /** Which tags; default: those of most models. */
  readonly tags?: ThinkTags;
}

/** The names of the one model that is served; the first is the one in answers. */
export interface ServedModel {
  readonly names: readonly string[];
}

/** @throws RequestError `model_not_found` */
export function checkModel(name: string | undefined, { names }: ServedModel): void {
  if (name && !names.includes(name)) throw unknownModel(name);
}

export function unknownModel(name: string): RequestError {
  const quoted = name.length > 100 ? shown(name) : `\`${name}\``;
  return new RequestError(`The model ${quoted} does not exist.`, 'model', 'model_not_found');
}

/** A template runs in this process, so not everybody may send one. @throws RequestError */
export function checkTemplate(template: string | undefined, isTrusted: boolean): void {
  if (template === undefined || isTrusted) return;
  throw new RequestError('chat_template of a request is not trusted by this server', 'chat_template');
}

/**
 * Whatever is wrong with the request shows here, whichever part of the engine finds it.
 * @param param  the parameter that the prompt came from
 * @throws RequestError
 */
export function startGenerating<T>(param: 'messages' | 'prompt', start: () => T): T {
  try {
    return start();
  } catch (error) {
    if (error instanceof SamplingError) throw new RequestError(error.message, error.param);
    if (error instanceof TokenizerError) throw new RequestError(error.message, param);
    throw error;
  }
}

/** The same outputs, each shown to `observe` first, with which prompt of the request it belongs to. */
export async function* observed(
  outputs: AsyncIterable<GenerateOutput>,
  observe: (output: GenerateOutput, prompt: number) => void,
  prompt = 0,
): AsyncGenerator<GenerateOutput, void, undefined> {
  for await (const output of outputs) {
    observe(output, prompt);
    yield output;
  }
}
