/** A model as it lies in files, whatever their kind: settings, tensors, tokenizer. */

import type { TokenizerFiles } from '../../tokenizer/index.ts';
import { CheckpointError } from '../errors.ts';
import type { Fields } from './fields.ts';
import { openGguf } from './gguf/checkpoint.ts';
import { isFirstGguf } from './gguf/split.ts';
import { openHuggingFace } from './hugging-face.ts';
import type { ModelSource } from './model-source.ts';
import type { TensorIndex } from './tensor-info.ts';

export interface Checkpoint {
  /** @throws CheckpointError */
  readModel(): Promise<ModelFiles>;
  /** @throws CheckpointError, TokenizerError */
  readTokenizer(): Promise<TokenizerFiles>;
}

export interface ModelFiles {
  /** In the terms of config.json. */
  readonly config: Fields;
  /** In the terms of generation_config.json. */
  readonly generation?: Fields;
  /** Under their names in safetensors files. */
  readonly tensors: TensorIndex;
}

/**
 * Finds out what kind of checkpoint the files are.
 * @throws CheckpointError when they are damaged or none is a model
 */
export async function openCheckpoint(source: ModelSource): Promise<Checkpoint> {
  const models = source.files.filter(isFirstGguf);
  if (models.length === 0 || source.files.includes('config.json')) return openHuggingFace(source);
  if (models.length === 1) return openGguf(source, models[0]);
  const names = models.slice(0, 4).join(', ');
  throw new CheckpointError(
    `${source.name}: ${models.length} GGUF models (${names}); expected the path of one of them`,
  );
}
