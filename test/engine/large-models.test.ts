/** Whole models whose weights lie in several WASM memories give the same bits as in one. */

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { loadModel } from '../../engine/load-model.ts';
import { openDirectory } from '../../engine/node/directory-source.ts';
import { WasmDevice } from '../../kernels/index.ts';

const test = suite('large models');

const MODELS = new URL('../oracle/models/', import.meta.url);
const CAPACITY = 16 * 2 ** 20;
const ROW_BYTES = 1024;

/** The logits of two rows of a second step. With `room`, the first memory has only so much left for weights. */
async function logitsOf(name: string, room?: number) {
  const device = await WasmDevice.create({ threads: 2, memoryBytes: room === undefined ? undefined : CAPACITY });
  if (room !== undefined) {
    // Five eighths of a memory are for weights.
    const rows = Math.floor(((5 / 8) * CAPACITY - room) / ROW_BYTES / 8) * 8;
    device.createWeight({ name: 'filler', rows, cols: ROW_BYTES / 4, format: 'F32' });
  }
  const source = await openDirectory(new URL(name, MODELS).pathname);
  const model = await loadModel(source, { device, maxModelLen: 48, maxNumSeqs: 2, maxNumBatchedTokens: 16 });
  await source.close();
  const rows = Array.from({ length: 12 }, (_, row) => row);
  for (const first of [0, 12]) {
    await model.forward({
      tokens: rows.map((row) => first + row + 3),
      positions: rows.map((row) => first + row),
      slots: rows.map(() => 0),
      blockTables: [[1, 0, 2]],
      logitRows: [3, 11],
    });
  }
  const logits = await model.logits(2);
  const { memories } = device;
  await model.close();
  return { logits, memories };
}

for (const name of ['llama-gqa', 'gemma2', 'gpt-oss', 'mixtral', 'cohere2']) {
  test(name, async () => {
    const one = await logitsOf(name);
    assert.is(one.memories, 1);
    assert.ok(one.logits.every(Number.isFinite));
    for (const room of [250_000, 60_000]) {
      const several = await logitsOf(name, room);
      assert.is(several.memories, 2);
      assert.equal(new Uint32Array(several.logits.buffer), new Uint32Array(one.logits.buffer));
    }
  });
}

test.run();
