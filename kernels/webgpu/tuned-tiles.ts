/**
 * The tiles of linear for one row that were measured to be the fastest on an adapter (`bench kernels --tune`). No tile changes
 * a bit of a result, so tiles from elsewhere need only be such as the kernels take.
 */

import { DeviceError } from '../errors.ts';
import { WEIGHT_FORMATS } from '../formats.ts';
import { SHADERS } from './shaders.ts';
import type { LinearTile } from './variants.ts';

/** What `--tune` finds, as it is kept: plain JSON. */
export interface TunedTiles {
  /** Description of the adapter. */
  readonly adapter: string;
  /** {@link tiledKernels} at that time. */
  readonly kernels: string;
  /** By {@link tileKey}. */
  readonly tiles: Readonly<Record<string, LinearTile>>;
}

/** The sizes that a tuner may choose among, each with any other. */
export const TILE_SIZES: { readonly [K in keyof LinearTile]: readonly number[] } = {
  threads: [64, 128, 256],
  outs: [1, 2, 4],
  loads: [4, 8, 16],
};

/** Names the weights that a tile is for. */
export function tileKey(format: string, rows: number, cols: number): string {
  return `${format} ${rows}×${cols}`;
}

/** Tells versions of the kernels that tiles are for apart: FNV-1a of their text, 8 hexadecimal digits. */
export function tiledKernels(): string {
  let hash = 0x811c9dc5;
  for (const character of SHADERS['linear-group'] + SHADERS['linear-few-rows']) {
    hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193);
  }
  return (hash >>> 0).toString(16).padStart(8, '0');
}

/** @throws DeviceError when a member of `value` is missing or is nothing that a tuner gives */
export function checkTunedTiles(value: unknown): TunedTiles {
  const { adapter, kernels, tiles } = (value ?? {}) as Partial<Record<keyof TunedTiles, unknown>>;
  for (const [name, text] of Object.entries({ adapter, kernels })) {
    if (typeof text !== 'string') throw new DeviceError(`tuned tiles: ${name} is ${shown(text)}; expected a text`);
  }
  if (typeof tiles !== 'object' || tiles === null) {
    throw new DeviceError(`tuned tiles: tiles is ${shown(tiles)}; expected an object`);
  }
  const checked = Object.entries(tiles).map(([key, tile]) => [checkKey(key), checkTile(key, tile)]);
  return { adapter: adapter as string, kernels: kernels as string, tiles: Object.fromEntries(checked) };
}

function checkKey(key: string): string {
  const [, format] = /^(\w+) [1-9]\d{0,9}×[1-9]\d{0,9}$/.exec(key) ?? [];
  if (WEIGHT_FORMATS.some((known) => known === format)) return key;
  throw new DeviceError(
    `tuned tiles: ${shown(key)} names no weights; expected them like ${tileKey('Q4_0', 4096, 4096)}`,
  );
}

function checkTile(key: string, tile: unknown): LinearTile {
  const sizes = Object.entries(TILE_SIZES).map(([name, choices]) => {
    const size = (tile as Record<string, unknown> | null)?.[name];
    if (typeof size === 'number' && choices.includes(size)) return [name, size];
    throw new DeviceError(`tuned tiles: ${name} of ${key} is ${shown(size)}; expected one of ${choices.join(', ')}`);
  });
  return Object.fromEntries(sizes) as LinearTile;
}

function shown(value: unknown): string {
  return (JSON.stringify(value) ?? 'missing').slice(0, 40);
}
