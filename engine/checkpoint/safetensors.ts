/** The tensors of a checkpoint in safetensors form: one file, or shards with an index. */

import { CheckpointError } from '../errors.ts';
import { isJsonObject, parseJsonObject, show } from './json.ts';
import { type ModelSource, readText } from './model-source.ts';
import { readSafetensorsHeader } from './safetensors-header.ts';
import type { TensorIndex, TensorInfo } from './tensor-info.ts';

const SINGLE = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';
const MAX_INDEX_BYTES = 64 * 2 ** 20;
const MAX_SHARDS = 4096;

/**
 * Finds every tensor of the checkpoint; only headers are read.
 * @throws CheckpointError when there is no checkpoint, or it is damaged.
 */
export async function readTensorIndex(source: ModelSource): Promise<TensorIndex> {
  if (source.files.includes(SINGLE)) return { file: SINGLE, tensors: await readSafetensorsHeader(source, SINGLE) };
  if (source.files.includes(INDEX)) return { file: INDEX, tensors: await readShards(source) };
  throw new CheckpointError(`${source.name}: no weights; expected ${SINGLE}, or shards with ${INDEX}`);
}

/**
 * The files that the index of a sharded checkpoint names.
 * @throws CheckpointError when it is damaged.
 */
export async function shardFiles(source: ModelSource): Promise<string[]> {
  return [...new Set(parseWeightMap(await readText(source, INDEX, MAX_INDEX_BYTES)).values())];
}

async function readShards(source: ModelSource): Promise<ReadonlyMap<string, TensorInfo>> {
  const shardOf = parseWeightMap(await readText(source, INDEX, MAX_INDEX_BYTES));
  const shards = new Map<string, ReadonlyMap<string, TensorInfo>>();
  for (const [name, shard] of shardOf) {
    if (shards.has(shard)) continue;
    if (!source.files.includes(shard)) {
      throw new CheckpointError(`${INDEX}: tensor ${show(name)} is in ${shard}, which is not in ${source.name}`);
    }
    if (shards.size === MAX_SHARDS) throw new CheckpointError(`${INDEX}: more than ${MAX_SHARDS} shards`);
    shards.set(shard, await readSafetensorsHeader(source, shard));
  }
  const tensors = new Map<string, TensorInfo>();
  for (const [name, shard] of shardOf) {
    const tensor = shards.get(shard)?.get(name);
    if (tensor === undefined) throw new CheckpointError(`${shard}: no tensor ${show(name)}, which ${INDEX} puts there`);
    tensors.set(name, tensor);
  }
  return tensors;
}

/** Tensor name → shard. File names are names, not paths: nothing in an index leads out of the checkpoint's folder. */
function parseWeightMap(text: string): ReadonlyMap<string, string> {
  const { weight_map: weightMap } = parseJsonObject(INDEX, text);
  if (!isJsonObject(weightMap)) {
    throw new CheckpointError(`${INDEX}: weight_map is ${show(weightMap)}; expected an object`);
  }
  const shardOf = new Map<string, string>();
  for (const [name, shard] of Object.entries(weightMap)) {
    if (typeof shard !== 'string' || !/^[A-Za-z0-9._-]+$/.test(shard) || shard === '.' || shard === '..') {
      throw new CheckpointError(`${INDEX}: tensor ${show(name)} is in ${show(shard)}; expected a plain file name`);
    }
    shardOf.set(name, shard);
  }
  return shardOf;
}
