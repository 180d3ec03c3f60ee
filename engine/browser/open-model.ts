/** From the address of a model to its files. Browser only; `../node/open-model.ts` is its twin. */

import type { ModelSource, OpenOptions } from '../checkpoint/model-source.ts';
import { openGgufUrl, openUrl } from './url-source.ts';

/** @param path  address of the folder with the model's files, or of a GGUF file, absolute or relative to the page */
export function openModel(path: string, options: OpenOptions): Promise<ModelSource> {
  if (/\.gguf$/i.test(path)) return openGgufUrl(new URL(path, globalThis.location?.href), options);
  return openUrl(new URL(path.endsWith('/') ? path : `${path}/`, globalThis.location?.href), options);
}
