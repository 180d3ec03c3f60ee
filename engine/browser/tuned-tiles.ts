/** Nothing is kept in a browser: its page passes tiles as an option. Browser only; `../node/tuned-tiles.ts` is its twin. */

import type { TunedTiles } from '../../kernels/index.ts';

export async function readTunedTiles(
  _adapter: string,
  _warn: (message: string) => void,
): Promise<TunedTiles | undefined> {
  return undefined;
}
