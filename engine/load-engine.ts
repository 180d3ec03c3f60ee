/** From the path of a model to the parts of an engine. */

import { LOGPROBS_MODES } from '../sampling/index.ts';
import { ChatTemplate, Tokenizer } from '../tokenizer/index.ts';
import { CALL_FORMATS } from './chat/index.ts';
import type { GenerationConfig } from './checkpoint/generation-config.ts';
import { parseJsonObject } from './checkpoint/json.ts';
import { type ModelSource, readText } from './checkpoint/model-source.ts';
import { createDevice } from './create-device.ts';
import type { EngineParts } from './engine.ts';
import { RequestError } from './errors.ts';
import { loadModel } from './load-model.ts';
import type { LoadOptions } from './types.ts';

const MAX_TOKENIZER_BYTES = 64 * 2 ** 20;
const MAX_CONFIG_BYTES = 4 * 2 ** 20;

/** @throws CheckpointError, TokenizerError, DeviceError, RequestError for an option, or the signal's reason */
export async function loadEngineParts(path: string, options: LoadOptions): Promise<EngineParts> {
  const serving = servingOptions(options);
  const source = await openSource(path, options);
  try {
    // The tokenizer is quick to read, so that what is wrong with it shows before the weights are loaded.
    const { tokenizer, chatTemplate } = await loadTokenizer(source, options);
    options.signal?.throwIfAborted();
    const model = await loadModel(source, { ...options, device: await createDevice(options) });
    const { device } = model.info;
    const generation =
      options.generationConfig === 'vllm' ? onlyEndTokens(model.info.generation) : model.info.generation;
    return { modelName: nameOf(path), model, tokenizer, chatTemplate, generation, device, serving };
  } finally {
    await source.close();
  }
}

function onlyEndTokens({ eosTokenIds }: GenerationConfig): GenerationConfig {
  return { eosTokenIds };
}

function servingOptions({
  maxQueuedRequests,
  numSpeculativeTokens,
  toolCallParser,
  logprobsMode,
}: LoadOptions): EngineParts['serving'] {
  for (const [name, value = 0] of Object.entries({ maxQueuedRequests, numSpeculativeTokens })) {
    if (Number.isSafeInteger(value) && value >= 0) continue;
    throw new RequestError(`${name} is ${value}; expected an integer of at least 0`, name);
  }
  if (toolCallParser !== undefined && !Object.hasOwn(CALL_FORMATS, toolCallParser)) {
    const names = Object.keys(CALL_FORMATS).join(', ');
    throw new RequestError(`toolCallParser is ${JSON.stringify(toolCallParser)}; expected one of ${names}`);
  }
  if (logprobsMode !== undefined && !LOGPROBS_MODES.includes(logprobsMode)) {
    const modes = LOGPROBS_MODES.join(', ');
    throw new RequestError(`logprobsMode is ${JSON.stringify(logprobsMode)}; expected one of ${modes}`);
  }
  return { maxQueuedRequests, numSpeculativeTokens, toolCallParser, logprobsMode };
}

/** The files of a model: a directory in Node, an address in a browser. Only the one that fits is loaded. */
async function openSource(path: string, options: LoadOptions): Promise<ModelSource> {
  const inNode = globalThis.process?.versions?.node !== undefined;
  const { openModel } = inNode ? await import('./node/open-model.ts') : await import('./browser/open-model.ts');
  return openModel(path, options);
}

async function loadTokenizer(source: ModelSource, { chatTemplate }: LoadOptions) {
  const tokenizerJson = await readText(source, 'tokenizer.json', MAX_TOKENIZER_BYTES);
  const config = await readOptional(source, 'tokenizer_config.json', (text, file) => parseJsonObject(file, text));
  const tokenizer = await Tokenizer.fromJson(tokenizerJson, config);
  const templateFile = await readOptional(source, 'chat_template.jinja', (text) => text);
  const template = chatTemplate ?? templateFile ?? config?.chat_template;
  const { specialTokens } = tokenizer;
  return { tokenizer, chatTemplate: template == null ? null : new ChatTemplate(template, { specialTokens }) };
}

async function readOptional<T>(
  source: ModelSource,
  file: string,
  parse: (text: string, file: string) => T,
): Promise<T | undefined> {
  if (!source.files.includes(file)) return undefined;
  return parse(await readText(source, file, MAX_CONFIG_BYTES), file);
}

/** The last part of a path. */
function nameOf(path: string): string {
  return path.split(/[/\\]/).findLast((part) => part !== '' && part !== '.') ?? path;
}
