/** From config.json to a decoder description, by `model_type`. */

import type { Fields } from '../checkpoint/fields.ts';
import { cohere2 } from './cohere2.ts';
import { deepseekV2 } from './deepseek-v2.ts';
import type { DecoderDescription } from './description.ts';
import { gemma, gemma2, gemma3 } from './gemma.ts';
import { gptOss } from './gpt-oss.ts';
import { granite } from './granite.ts';
import { llama } from './llama.ts';
import { mistral } from './mistral.ts';
import { mixtral } from './mixtral.ts';
import { olmo2 } from './olmo2.ts';
import { phi3 } from './phi3.ts';
import { qwen2 } from './qwen2.ts';
import { qwen2Moe } from './qwen2-moe.ts';
import { qwen3 } from './qwen3.ts';
import { qwen3Moe } from './qwen3-moe.ts';
import { smollm3 } from './smollm3.ts';
import { stablelm } from './stablelm.ts';
import { starcoder2 } from './starcoder2.ts';

const ARCHITECTURES: ReadonlyMap<string, (config: Fields) => DecoderDescription> = new Map([
  ['llama', llama],
  ['mistral', mistral],
  ['mixtral', mixtral],
  ['qwen2', qwen2],
  ['qwen2_moe', qwen2Moe],
  ['qwen3', qwen3],
  ['qwen3_moe', qwen3Moe],
  ['gemma', gemma],
  ['gemma2', gemma2],
  ['gemma3_text', gemma3],
  ['phi3', phi3],
  ['olmo2', olmo2],
  ['granite', granite],
  ['smollm3', smollm3],
  ['cohere2', cohere2],
  ['gpt_oss', gptOss],
  ['stablelm', stablelm],
  ['starcoder2', starcoder2],
  ['deepseek_v2', deepseekV2],
]);

/**
 * Describes the decoder of a config.json.
 * @throws CheckpointError when the architecture is unknown, or a setting is out of range or not supported.
 */
export function describeDecoder(config: Fields): DecoderDescription {
  return config.choice('model_type', ARCHITECTURES)(config);
}
