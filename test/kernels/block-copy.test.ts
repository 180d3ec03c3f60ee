import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type BlockCopy, type Device, DeviceError, type KvFormat } from '../../kernels/index.ts';
import { Random } from '../random.ts';
import { kernelDevices, openBench, referenceDevice, sameBits } from './harness.ts';

const test = suite('block copies');
const devices = [
  referenceDevice,
  ...(await kernelDevices()).filter(({ name }) => name === 'wasm 3 threads' || name === 'webgpu'),
];

const LENGTH = 20;
const [heads, kvHeads, headDim, layers] = [4, 2, 16, 2];

/**
 * Writes positions 0 to 18 of a sequence through the blocks 3 and 5, and gives what every layer attends to from position
 * 19 through the blocks `table`, in a step that copies blocks first.
 */
async function attendAfter(device: Device, format: KvFormat, table: readonly number[], copies?: readonly BlockCopy[]) {
  const bench = await openBench(device);
  const cols = (heads + 2 * kvHeads) * headDim;
  const rows = bench.input('qkv', new Random(7).floats(LENGTH * cols), cols);
  const rope = bench.constant(new Float32Array(LENGTH * headDim).fill(0.5));
  const cache = device.createKvCache({ layers, blocks: 12, kvHeads, headDim, format });
  const [qkv, ...outs] = [bench.output(cols), ...Array.from({ length: layers }, () => bench.output(heads * headDim))];
  const step = (positions: readonly number[], blocks: readonly number[], more = {}) =>
    bench.run(
      (record) => {
        for (const [layer, out] of outs.entries()) {
          record.embed({ table: rows, out: qkv });
          record.ropeAndCache({ qkv, heads, rotaryDim: headDim, rope, cache, layer });
          record.attention({ qkv, heads, scale: 0.25 * (layer + 1), cache, layer, out });
        }
      },
      {
        tokens: positions,
        positions,
        slots: positions.map(() => 0),
        blockTables: [blocks],
        logitRows: [],
        ...more,
      },
    );
  try {
    await step(
      Array.from({ length: LENGTH - 1 }, (_, i) => i),
      [3, 5],
    );
    await step([LENGTH - 1], table, { copies });
    return await Promise.all(outs.map((out) => bench.read(out, 1)));
  } finally {
    await device.close();
  }
}

for (const { name, create } of devices) {
  for (const format of ['F32', 'I8'] as const) {
    test(`${name}, ${format}: a copied block stands for the original in every layer, before the first op of the step`, async () => {
      const original = await attendAfter(await create(), format, [3, 5]);
      const ways: [number[], BlockCopy[]][] = [
        [[3, 8], [{ from: 5, to: 8 }]],
        [
          [0, 11],
          [
            { from: 3, to: 0 },
            { from: 5, to: 11 },
          ],
        ],
        [
          [9, 3],
          [
            { from: 3, to: 9 },
            { from: 5, to: 3 },
          ],
        ],
      ];
      for (const [table, copies] of ways) {
        const copied = await attendAfter(await create(), format, table, copies);
        for (const [layer, out] of copied.entries()) assert.ok(sameBits(out, original[layer]), `layer ${layer}`);
      }
      const without = await attendAfter(await create(), format, [3, 8]);
      assert.not(sameBits(without[0], original[0]), 'the test would not see a copy');
    });
  }

  test(`${name}: blocks that are not there are refused`, async () => {
    for (const copy of [
      { from: 12, to: 1 },
      { from: 1, to: -1 },
    ]) {
      try {
        await attendAfter(await create(), 'F32', [3, 5], [copy]);
        assert.unreachable();
      } catch (error) {
        assert.instance(error, DeviceError);
        assert.match((error as Error).message, 'copied block');
      }
    }
  });
}

test.run();
