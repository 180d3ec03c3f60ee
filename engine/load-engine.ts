/** From the path of a model to the parts of an engine. */

import { ChatTemplate, Tokenizer } from '../tokenizer/index.ts';
import { parseJsonObject } from './checkpoint/json.ts';
import { type ModelSource, readText } from './checkpoint/model-source.ts';
import { createDevice } from './create-device.ts';
import type { EngineParts } from './engine.ts';
import { CheckpointError } from './errors.ts';
import { loadModel } from './load-model.ts';
import type { LoadOptions } from './types.ts';

const MAX_TOKENIZER_BYTES = 64 * 2 ** 20;
const MAX_CONFIG_BYTES = 4 * 2 ** 20;

/** @throws CheckpointError, TokenizerError, DeviceError, RequestError for an option, or the signal's reason */
export async function loadEngineParts(path: string, options: LoadOptions): Promise<EngineParts> {
  const source = await openSource(path);
  try {
    // The tokenizer is quick to read, so that what is wrong with it shows before the weights are loaded.
    const { tokenizer, chatTemplate } = await loadTokenizer(source, options);
    options.signal?.throwIfAborted();
    const model = await loadModel(source, { ...options, device: await createDevice(options) });
    const { generation, device } = model.info;
    return { modelName: nameOf(path), model, tokenizer, chatTemplate, generation, device };
  } finally {
    await source.close();
  }
}

/** The files of a model. Reading directories is loaded when it is needed: it exists in Node only. */
async function openSource(path: string): Promise<ModelSource> {
  if (/\.gguf$/i.test(path)) {
    throw new CheckpointError(`${path}: GGUF files are not supported yet; expected a model directory`);
  }
  const { EMBEDDED_MODEL, embeddedModelPath } = await import('./node/embedded.ts');
  const { openDirectory } = await import('./node/directory-source.ts');
  return openDirectory(path === EMBEDDED_MODEL ? embeddedModelPath() : path);
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
