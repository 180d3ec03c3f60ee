/**
 * Tiles that `bench kernels --tune` found on this machine's adapters, a file each in the user's cache folder. Node only;
 * `../browser/tuned-tiles.ts` is its twin.
 */

import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { checkTunedTiles, type TunedTiles, tiledKernels } from '../../kernels/webgpu/tuned-tiles.ts';
import { cacheFolder, type Environment } from './cache-folder.ts';

/** The file for an adapter and the kernels of this version: tiles of other kernels lie in other files. */
export function tunedTilesPath(adapter: string, environment: Environment = process.env): string {
  const words = adapter.toLowerCase().match(/[a-z0-9]+/g) ?? [];
  return join(cacheFolder(environment), 'quern', 'tiles', `${words.join('-').slice(0, 100)}-${tiledKernels()}.json`);
}

/** What was found on an adapter; undefined where nothing is kept, and, after a warning of one line, where it is no good. */
export async function readTunedTiles(
  adapter: string,
  warn: (message: string) => void,
  environment?: Environment,
): Promise<TunedTiles | undefined> {
  const path = tunedTilesPath(adapter, environment);
  try {
    const tuned = checkTunedTiles(JSON.parse(await readFile(path, 'utf8')));
    // Two names may come to the same file name.
    return tuned.adapter === adapter ? tuned : undefined;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    const reason = error instanceof SyntaxError ? 'not JSON' : (error as Error).message;
    warn(`${path} is passed over: ${reason}; bench kernels --device webgpu --tune writes it anew`);
    return undefined;
  }
}

/** Adds tiles to those that are kept of the same adapter, and tells where. */
export async function keepTunedTiles(
  { adapter, tiles }: Pick<TunedTiles, 'adapter' | 'tiles'>,
  environment?: Environment,
): Promise<string> {
  const path = tunedTilesPath(adapter, environment);
  const kept = await readTunedTiles(adapter, () => undefined, environment);
  const tuned: TunedTiles = { adapter, kernels: tiledKernels(), tiles: { ...kept?.tiles, ...tiles } };
  await mkdir(dirname(path), { recursive: true });
  // Never half a file, whoever reads or writes it at the same time.
  const written = `${path}.${process.pid}`;
  await writeFile(written, `${JSON.stringify(tuned, null, 1)}\n`);
  await rename(written, path);
  return path;
}
