/** A bar on a terminal's stderr that fills as the weights come in. */

import type { LoadProgress } from '../engine/types.ts';

const WIDTH = 30;
const MEGABYTE = 1e6;

/** Gives the `onProgress` of `Engine.load`; undefined where stderr is no terminal. */
export function progressBar(
  stream: NodeJS.WriteStream = process.stderr,
): ((progress: LoadProgress) => void) | undefined {
  if (!stream.isTTY) return undefined;
  let shown = '';
  return ({ loaded, total }) => {
    const share = total > 0 ? Math.min(1, loaded / total) : 1;
    const bar = '#'.repeat(Math.round(share * WIDTH)).padEnd(WIDTH, '.');
    const megabytes = `${(loaded / MEGABYTE).toFixed(0)} of ${(total / MEGABYTE).toFixed(0)} MB`;
    const line = `loading [${bar}] ${megabytes}${share === 1 ? '\n' : ''}`;
    if (line === shown) return;
    shown = line;
    // Back to the start of the line, and clear it, so that a shorter text leaves nothing behind.
    stream.write(`\r\u001b[K${line}`);
  };
}
