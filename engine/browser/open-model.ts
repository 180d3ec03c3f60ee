/** From the address of a model to its files. Browser only; `../node/open-model.ts` is its twin. */

import type { ModelSource, OpenOptions } from '../checkpoint/model-source.ts';
import { openUrl } from './url-source.ts';

/** @param path  address of the folder with the model's files, absolute or relative to the page */
export function openModel(path: string, options: OpenOptions): Promise<ModelSource> {
  return openUrl(new URL(path.endsWith('/') ? path : `${path}/`, globalThis.location?.href), options);
}
