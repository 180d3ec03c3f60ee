/** Where the model lies that comes with the package. Node only. */

import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { CheckpointError } from '../errors.ts';

/** The name of the embedded model. A folder of that name is opened as `./tiny-chat`. */
export const EMBEDDED_MODEL = 'tiny-chat';

// This file is engine/node/embedded.ts in the sources, and dist/engine/node/embedded.js in the package.
const PLACES = [`../../models/${EMBEDDED_MODEL}/`, `../../../models/${EMBEDDED_MODEL}/`];

/** The directory of the embedded model. @throws CheckpointError when it is not where the package has it. */
export function embeddedModelPath(): string {
  for (const place of PLACES) {
    const folder = new URL(place, import.meta.url);
    if (existsSync(new URL('config.json', folder))) return fileURLToPath(folder);
  }
  throw new CheckpointError(`${EMBEDDED_MODEL}: the embedded model is missing; expected models/${EMBEDDED_MODEL}/`);
}
