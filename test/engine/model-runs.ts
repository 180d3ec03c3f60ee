/** Whole models run step by step, the scheduler left out: for tests against numbers of another runtime. */

import type { LoadedModel, LoadModelOptions } from '../../engine/load-model.ts';
import { loadModel } from '../../engine/load-model.ts';
import { openDirectory } from '../../engine/node/directory-source.ts';
import { KV_BLOCK_SIZE } from '../../kernels/index.ts';
import type { TestDevice } from './devices.ts';

/** Loads the model of a folder, named from this one. */
export async function load(
  device: TestDevice,
  path: string,
  maxNumSeqs: number,
  options: Pick<LoadModelOptions, 'quantize' | 'kvCacheDtype'> = {},
): Promise<LoadedModel> {
  const source = await openDirectory(new URL(path, import.meta.url).pathname);
  try {
    const limits = { maxNumSeqs, maxModelLen: 320, maxNumBatchedTokens: 1536 };
    return await loadModel(source, { device: await device.create(), ...options, ...limits });
  } finally {
    await source.close();
  }
}

/** One sequence of a test, with its own blocks: every `stride`-th from the end, so that no page lies where it began. */
export class TestSequence {
  readonly tokens: number[];
  readonly blocks: number[];
  computed = 0;

  constructor(model: LoadedModel, ids: readonly number[], slot = 0, stride = 1) {
    this.tokens = [...ids];
    const length = Math.ceil(model.maxModelLen / KV_BLOCK_SIZE);
    this.blocks = Array.from({ length }, (_, i) => model.kvBlocks - 1 - slot - i * stride);
  }
}

/** Runs at most `chunk` of the tokens that each sequence has not computed; gives the logits of each one's last row. */
export async function step(
  model: LoadedModel,
  sequences: readonly TestSequence[],
  chunk: number,
): Promise<Float32Array[]> {
  const rows = sequences.flatMap((sequence, slot) => {
    const from = sequence.computed;
    sequence.computed = Math.min(from + chunk, sequence.tokens.length);
    return sequence.tokens
      .slice(from, sequence.computed)
      .map((token, i) => ({ token, position: from + i, slot, last: from + i === sequence.computed - 1 }));
  });
  await model.forward({
    tokens: rows.map(({ token }) => token),
    positions: rows.map(({ position }) => position),
    slots: rows.map(({ slot }) => slot),
    blockTables: sequences.map(({ blocks }) => blocks),
    lengths: sequences.map(({ tokens }) => tokens.length),
    logitRows: rows.flatMap(({ last }, row) => (last ? row : [])),
  });
  return Promise.all(sequences.map((_, i) => model.logits(1, i)));
}

export async function lastLogits(
  model: LoadedModel,
  ids: readonly number[],
  chunk = model.maxRows,
): Promise<Float32Array> {
  const sequence = new TestSequence(model, ids);
  let logits: Float32Array;
  do [logits] = await step(model, [sequence], chunk);
  while (sequence.computed < ids.length);
  return logits;
}

/** The likeliest next tokens of prompts that run side by side, and the logits that decided. */
export async function greedy(model: LoadedModel, prompts: readonly (readonly number[])[], count: number) {
  const sequences = prompts.map((ids, slot) => new TestSequence(model, ids, slot, prompts.length));
  const logits: Float32Array[][] = prompts.map(() => []);
  for (let i = 0; i < count; i++) {
    (await step(model, sequences, model.maxRows)).forEach((row, s) => {
      logits[s].push(row);
      sequences[s].tokens.push(argmax(row));
    });
  }
  return { tokens: sequences.map((sequence, s) => sequence.tokens.slice(prompts[s].length)), logits };
}

export function argmax(values: Float32Array): number {
  return values.reduce((best, value, i) => (value > values[best] ? i : best), 0);
}

export function logprobs(logits: Float32Array): Float64Array {
  const max = logits.reduce((a, b) => Math.max(a, b));
  const logSum = Math.log(logits.reduce((sum, x) => sum + Math.exp(x - max), 0));
  return Float64Array.from(logits, (x) => x - max - logSum);
}

export function sameBits(a: Float32Array, b: Float32Array): boolean {
  return Buffer.from(a.buffer, a.byteOffset, a.byteLength).equals(Buffer.from(b.buffer, b.byteOffset, b.byteLength));
}
