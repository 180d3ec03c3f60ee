/** From what a user calls a model to its files. Node only; `../browser/open-model.ts` is its twin. */

import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import { ggufParts } from '../checkpoint/gguf/split.ts';
import type { ModelSource, OpenOptions } from '../checkpoint/model-source.ts';
import { openDirectory, openFiles } from './directory-source.ts';
import { EMBEDDED_MODEL, embeddedModelPath } from './embedded.ts';
import { fetchModel } from './hub/fetch-model.ts';
import { parseRepository } from './hub/repository.ts';

/**
 * @param name  a directory, a GGUF file, the embedded model's name, or (where nothing of that name is there) a model on the hub
 * @throws CheckpointError when there is no such model; the signal's reason
 */
export async function openModel(name: string, options: OpenOptions): Promise<ModelSource> {
  const repository = existsSync(name) || /\.gguf$/i.test(name.split(':')[0]) ? undefined : parseRepository(name);
  const path = repository ? await fetchModel(repository, options) : name;
  if (/\.gguf$/i.test(path)) return openFiles(path, ggufParts(basename(path)));
  return openDirectory(path === EMBEDDED_MODEL ? embeddedModelPath() : path);
}
