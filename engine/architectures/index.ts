/** From config.json to a decoder description, by `model_type`. */

import type { Fields } from '../checkpoint/fields.ts';
import type { DecoderDescription } from './description.ts';
import { llama } from './llama.ts';
import { mistral } from './mistral.ts';
import { qwen2 } from './qwen2.ts';
import { qwen3 } from './qwen3.ts';

const ARCHITECTURES: ReadonlyMap<string, (config: Fields) => DecoderDescription> = new Map([
  ['llama', llama],
  ['mistral', mistral],
  ['qwen2', qwen2],
  ['qwen3', qwen3],
]);

/**
 * Describes the decoder of a config.json.
 * @throws CheckpointError when the architecture is unknown, or a setting is out of range or not supported.
 */
export function describeDecoder(config: Fields): DecoderDescription {
  return config.choice('model_type', ARCHITECTURES)(config);
}
