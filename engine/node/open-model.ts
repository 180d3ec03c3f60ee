/** From what a user calls a model to its files. Node only; `../browser/open-model.ts` is its twin. */

import type { ModelSource, OpenOptions } from '../checkpoint/model-source.ts';
import { CheckpointError } from '../errors.ts';
import { openDirectory } from './directory-source.ts';
import { EMBEDDED_MODEL, embeddedModelPath } from './embedded.ts';

/** @throws CheckpointError when there is no such directory, or it is a kind of file that cannot be read. */
export async function openModel(path: string, _options: OpenOptions): Promise<ModelSource> {
  if (/\.gguf$/i.test(path)) {
    throw new CheckpointError(`${path}: GGUF files are not supported yet; expected a model directory`);
  }
  return openDirectory(path === EMBEDDED_MODEL ? embeddedModelPath() : path);
}
