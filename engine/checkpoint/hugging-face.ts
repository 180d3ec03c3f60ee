/** A directory in the form of Hugging Face's: config.json, safetensors, tokenizer.json. */

import type { TokenizerFiles } from '../../tokenizer/index.ts';
import type { Checkpoint } from './checkpoint.ts';
import { readFields } from './fields.ts';
import { parseJsonObject } from './json.ts';
import { expandLatentAttention, readLatentSizes } from './latent-attention.ts';
import { type ModelSource, readText } from './model-source.ts';
import { joinQuantized } from './quantized-tensors.ts';
import { readTensorIndex } from './safetensors.ts';
import { splitStackedExperts } from './stacked-experts.ts';
import { textSettings, textTensors } from './text-part.ts';

const MAX_TOKENIZER_BYTES = 64 * 2 ** 20;
const MAX_CONFIG_BYTES = 4 * 2 ** 20;

export function openHuggingFace(source: ModelSource): Checkpoint {
  return {
    async readModel() {
      const whole = await readFields(source, 'config.json');
      const config = textSettings(whole);
      const quantization = config.object('quantization_config');
      const stored = textTensors(whole, await readTensorIndex(source));
      const joined = quantization ? joinQuantized(stored, quantization) : stored;
      const file = 'generation_config.json';
      const generation = source.files.includes(file) ? await readFields(source, file) : undefined;
      const modelType = config.string('model_type', '');
      const apart = splitStackedExperts(joined, modelType);
      const tensors = modelType === 'deepseek_v2' ? expandLatentAttention(apart, readLatentSizes(config)) : apart;
      return { config, generation, tensors };
    },
    async readTokenizer(): Promise<TokenizerFiles> {
      const tokenizerJson = await readText(source, 'tokenizer.json', MAX_TOKENIZER_BYTES);
      const config = await readOptional(source, 'tokenizer_config.json', (text, file) => parseJsonObject(file, text));
      const template = await readOptional(source, 'chat_template.jinja', (text) => text);
      return { tokenizerJson, config, chatTemplate: template ?? config?.chat_template };
    },
  };
}

async function readOptional<T>(
  source: ModelSource,
  file: string,
  parse: (text: string, file: string) => T,
): Promise<T | undefined> {
  if (!source.files.includes(file)) return undefined;
  return parse(await readText(source, file, MAX_CONFIG_BYTES), file);
}
