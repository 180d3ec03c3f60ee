/** From the path of a model to the parts of an engine. */

import { LOGPROBS_MODES } from '../sampling/index.ts';
import { ChatTemplate, Tokenizer } from '../tokenizer/index.ts';
import { CALL_FORMATS } from './chat/index.ts';
import { type Checkpoint, openCheckpoint } from './checkpoint/checkpoint.ts';
import type { GenerationConfig } from './checkpoint/generation-config.ts';
import type { ModelSource } from './checkpoint/model-source.ts';
import { createDevice } from './create-device.ts';
import type { EngineParts } from './engine.ts';
import { RequestError } from './errors.ts';
import { type LoadedModel, loadModel } from './load-model.ts';
import type { LoadOptions } from './types.ts';

/** @throws CheckpointError, TokenizerError, DeviceError, RequestError for an option, or the signal's reason */
export async function loadEngineParts(path: string, options: LoadOptions): Promise<EngineParts> {
  const serving = servingOptions(options);
  const source = await openSource(path, options);
  try {
    // The tokenizer is quick to read, so that what is wrong with it shows before the weights are loaded.
    const checkpoint = await openCheckpoint(source);
    const { tokenizer, chatTemplate } = await loadTokenizer(checkpoint, options);
    options.signal?.throwIfAborted();
    const model = await loadModel(source, { ...options, checkpoint, device: await createDevice(options) });
    const { device } = model.info;
    const generation =
      options.generationConfig === 'vllm' ? onlyEndTokens(model.info.generation) : model.info.generation;
    const reload = (signal: AbortSignal) => loadAgain(path, { ...options, signal }, model);
    return { modelName: nameOf(path), model, tokenizer, chatTemplate, generation, device, serving, reload };
  } finally {
    await source.close();
  }
}

/** The model on a new device. Its limits are the old ones, whatever memory there is, since requests were measured by them. */
async function loadAgain(path: string, options: LoadOptions, { maxModelLen, info }: LoadedModel): Promise<LoadedModel> {
  const source = await openSource(path, options);
  try {
    const limits = { maxModelLen, kvCacheBytes: info.kvCacheBytes, gpuMemoryUtilization: undefined };
    return await loadModel(source, { ...options, ...limits, device: await createDevice(options) });
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
  onDeviceLost,
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
  return { maxQueuedRequests, numSpeculativeTokens, toolCallParser, logprobsMode, onDeviceLost };
}

/** The files of a model: a directory in Node, an address in a browser. Only the one that fits is loaded. */
async function openSource(path: string, options: LoadOptions): Promise<ModelSource> {
  const inNode = globalThis.process?.versions?.node !== undefined;
  const { openModel } = inNode ? await import('./node/open-model.ts') : await import('./browser/open-model.ts');
  return openModel(path, options);
}

async function loadTokenizer(checkpoint: Checkpoint, options: LoadOptions) {
  const { tokenizerJson, config, chatTemplate } = await checkpoint.readTokenizer();
  const tokenizer = await Tokenizer.fromJson(tokenizerJson, config);
  const template = options.chatTemplate ?? chatTemplate;
  const { specialTokens } = tokenizer;
  return { tokenizer, chatTemplate: template == null ? null : new ChatTemplate(template, { specialTokens }) };
}

/** The last part of a path, without the ending of a file. */
function nameOf(path: string): string {
  const name = path.split(/[/\\]/).findLast((part) => part !== '' && part !== '.') ?? path;
  return name.replace(/(-00001-of-\d{5})?\.gguf$/i, '');
}
