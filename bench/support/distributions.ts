/** How far what a model says moves when something about it is rounded: distributions at every position of given texts. */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { loadModel } from '../../engine/load-model.ts';
import { openDirectory } from '../../engine/node/directory-source.ts';
import type { LoadOptions } from '../../engine/types.ts';
import { type Device, KV_BLOCK_SIZE, WasmDevice } from '../../kernels/index.ts';
import { printTable } from './table.ts';

/** Where a model lies, and the token ids of texts for it. */
export interface Case {
  readonly name: string;
  readonly folder: string;
  readonly texts: readonly (readonly number[])[];
}

/** tiny-chat with its reference's texts, of `most` tokens at most. */
export function tinyChat(most: number): Case {
  const { entries } = readJson('../../test/oracle/tiny-chat/reference.json') as {
    entries: { prompt_ids: number[]; greedy_ids: number[] }[];
  };
  const texts = entries.map(({ prompt_ids, greedy_ids }) => [...prompt_ids, ...greedy_ids].slice(0, most));
  return { name: 'tiny-chat', folder: fileURLToPath(new URL('../../models/tiny-chat', import.meta.url)), texts };
}

/** A model of the oracle, likewise. */
export function oracleModel(name: string, most: number): Case {
  const folder = `../../test/oracle/models/${name}`;
  const { greedy } = readJson(`${folder}/reference.json`) as { greedy: { ids: number[]; new: number[] }[] };
  const texts = greedy.map(({ ids, new: output }) => [...ids, ...output].slice(0, most));
  return { name, folder: fileURLToPath(new URL(folder, import.meta.url)), texts };
}

function readJson(path: string): unknown {
  return JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8'));
}

/** The log-probabilities of all tokens at every position of the texts. */
export async function distributions(
  { folder, texts }: Case,
  options: Pick<LoadOptions, 'kvCacheDtype' | 'quantize'>,
  device?: Device,
): Promise<Float64Array[]> {
  const source = await openDirectory(folder);
  const longest = Math.max(...texts.map(({ length }) => length));
  const model = await loadModel(source, {
    device: device ?? (await WasmDevice.create({ threads: 2 })),
    maxModelLen: longest,
    maxNumSeqs: 1,
    maxNumBatchedTokens: longest,
    ...options,
  });
  const rows: Float64Array[] = [];
  for (const tokens of texts) {
    for (let from = 0; from < tokens.length; from += model.maxLogitRows) {
      const part = tokens.slice(from, from + model.maxLogitRows);
      await model.forward({
        tokens: part,
        positions: part.map((_, i) => from + i),
        slots: part.map(() => 0),
        blockTables: [Array.from({ length: Math.ceil(longest / KV_BLOCK_SIZE) }, (_, i) => i)],
        lengths: [tokens.length],
        logitRows: part.map((_, i) => i),
      });
      for (let row = 0; row < part.length; row++) rows.push(logSoftmax(await model.logits(1, row)));
    }
  }
  await model.close();
  await source.close();
  return rows;
}

function logSoftmax(logits: Float32Array): Float64Array {
  const max = logits.reduce((a, b) => Math.max(a, b));
  const total = Math.log(logits.reduce((sum, x) => sum + Math.exp(x - max), 0));
  return Float64Array.from(logits, (x) => x - max - total);
}

/** KL(exact ‖ rounded) in nats, and how often both have the same likeliest token. */
export function compare(exact: readonly Float64Array[], rounded: readonly Float64Array[]) {
  const divergences = exact.map((row, i) => row.reduce((sum, p, id) => sum + Math.exp(p) * (p - rounded[i][id]), 0));
  const same = exact.filter((row, i) => likeliest(row) === likeliest(rounded[i])).length;
  return {
    positions: exact.length,
    meanKl: divergences.reduce((sum, x) => sum + x, 0) / exact.length,
    maxKl: Math.max(...divergences),
    agreement: same / exact.length,
  };
}

/** Prints what {@link compare} found; `what` names the way of rounding of each row. */
export function printDivergences(
  what: string,
  rows: readonly ({ readonly model: string; readonly way: string } & ReturnType<typeof compare>)[],
): void {
  printTable(
    ['model', what, 'positions', 'mean KL', 'largest KL', 'same likeliest token'],
    rows.map(({ model, way, positions, meanKl, maxKl, agreement }) => [
      model,
      way,
      positions,
      meanKl.toExponential(1),
      maxKl.toExponential(1),
      `${(100 * agreement).toFixed(1)}%`,
    ]),
  );
}

function likeliest(row: Float64Array): number {
  return row.indexOf(row.reduce((a, b) => Math.max(a, b)));
}
