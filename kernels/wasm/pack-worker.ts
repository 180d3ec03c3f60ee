/** The program of a thread of `pack-pool.ts`: packs what it is sent; answers null, or what is wrong. */

import { packRows } from './layout.ts';
import type { PackTask } from './pack-pool.ts';
import { nodeBuiltin } from './spawn.ts';

const port = nodeBuiltin<typeof import('node:worker_threads')>('node:worker_threads')?.parentPort;

port?.on('message', ({ target, format, cols, firstRow, data, sourceFormat }: PackTask) => {
  try {
    packRows(target, format, cols, firstRow, data, sourceFormat);
    port.postMessage(null);
  } catch (error) {
    port.postMessage(error instanceof Error ? error.message : String(error));
  }
});
