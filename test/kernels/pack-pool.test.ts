/** Rows packed on threads are the rows packed here. */

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { DeviceError, quantize, type WeightFormat } from '../../kernels/index.ts';
import { packRows, panelBytes, panelCount } from '../../kernels/wasm/layout.ts';
import { PackPool } from '../../kernels/wasm/pack-pool.ts';
import { Random } from '../random.ts';

const test = suite('pack pool');

const [ROWS, COLS] = [1000, 512];
const values = new Random(5).floats(ROWS * COLS);

function room(format: WeightFormat): Uint8Array {
  return new Uint8Array(new SharedArrayBuffer(panelCount(ROWS) * panelBytes(format, COLS)));
}

/** The pieces of a weight in file layout, with the row at which each begins. */
function pieces(source: WeightFormat): { firstRow: number; data: Uint8Array }[] {
  return [0, 333, 600].map((firstRow, i, starts) => ({
    firstRow,
    data: quantize(source, values.subarray(firstRow * COLS, (starts[i + 1] ?? ROWS) * COLS)),
  }));
}

test('pieces that are packed at the same time make the same weight', async () => {
  const pool = new PackPool(2);
  for (const [source, format] of [
    ['F32', 'F32'],
    ['F32', 'Q8_0'],
    ['BF16', 'Q4_0'],
  ] as const) {
    const [packed, expected] = [room(format), room(format)];
    const parts = pieces(source);
    assert.ok(parts.every(({ data }) => data.length >= 256 * 1024));
    for (const { firstRow, data } of parts) packRows(expected, format, COLS, firstRow, data, source);
    await Promise.all(
      parts.map((part) => pool.pack({ target: packed, format, cols: COLS, sourceFormat: source, ...part })),
    );
    assert.ok(Buffer.from(packed).equals(Buffer.from(expected)), `${source} as ${format}`);
  }
  pool.close();
});

test('a pool that is closed under its work packs the rest here', async () => {
  const pool = new PackPool(1);
  const [packed, expected] = [room('Q8_0'), room('Q8_0')];
  const parts = pieces('F32');
  for (const { firstRow, data } of parts) packRows(expected, 'Q8_0', COLS, firstRow, data, 'F32');
  const work = parts.map((part) =>
    pool.pack({ target: packed, format: 'Q8_0', cols: COLS, sourceFormat: 'F32', ...part }),
  );
  await new Promise((resolve) => setImmediate(resolve));
  pool.close();
  await Promise.all(work);
  assert.ok(Buffer.from(packed).equals(Buffer.from(expected)));
});

test('what is wrong with the rows is told as on the calling thread', async () => {
  const pool = new PackPool(1);
  const data = new Uint8Array(2 ** 18 + 1);
  let error: unknown;
  await pool
    .pack({ target: room('Q8_0'), format: 'Q8_0', cols: COLS, firstRow: 0, data, sourceFormat: 'F32' })
    .catch((thrown) => {
      error = thrown;
    });
  pool.close();
  assert.instance(error, DeviceError);
  assert.match((error as Error).message, /F32 rows of 512 must be a multiple of 2048 bytes/);
});

test.run();
