import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Device, DeviceError, type LogitReduction, type Plan, type Reduction } from '../../kernels/index.ts';
import { reduceRow } from '../../kernels/reference/reduce-logits.ts';
import { Random } from '../random.ts';
import { kernelDevices, plainStep, referenceDevice } from './harness.ts';

const test = suite('reduceLogits');

const ROWS = 5;

interface Reducer {
  readonly device: Device;
  readonly plan: Plan;
  readonly reduction: Reduction;
}

/** A device that reduces `rows` of `cols` logits each. */
async function reducerFor(device: Device, rows: Float32Array, cols: number): Promise<Reducer> {
  device.setStepLimits({ maxRows: ROWS, maxLogitRows: ROWS, maxSlots: 1, maxBlocksPerSlot: 1 });
  const table = device.createWeight({ name: 'rows', rows: rows.length / cols, cols, format: 'F32' });
  await device.writeWeight(table, 0, new Uint8Array(rows.buffer), 'F32');
  const hidden = device.createTensor({ name: 'hidden', maxRows: ROWS, cols });
  const logits = device.createTensor({ name: 'logits', maxRows: ROWS, cols, domain: 'logits' });
  const reduction = device.createReduction(logits);
  const plan = device.record(ROWS, (record) => {
    record.embed({ table, out: hidden });
    record.gatherRows({ x: hidden, out: logits });
    record.reduceLogits({ logits, out: reduction });
  });
  return { device, plan, reduction };
}

async function reduce({ device, plan, reduction }: Reducer, reductions: (LogitReduction | null)[]) {
  await device.run(plan, plainStep(reductions.length, { reductions }));
  return device.readReduction(reduction);
}

// The variants of the webgpu device do not differ here.
const DEVICES = [
  referenceDevice,
  ...(await kernelDevices()).filter(({ kind, name }) => kind === 'wasm' || name === 'webgpu'),
];

/** Rows of few levels, so that there are ties, with some numbers that are none. */
function randomRows(random: Random, cols: number): Float32Array {
  const rows = Array.from({ length: ROWS }, (_, r) => {
    const levels = [3, 50, 1e6][r % 3];
    const spread = random.uniform() * 40;
    return Array.from({ length: cols }, () => {
      const level = Math.floor(random.uniform() * levels) / levels;
      return random.uniform() < 0.03 ? -Infinity : spread * (level - 0.5);
    });
  });
  return Float32Array.from(rows.flat());
}

function randomReduction(random: Random, cols: number): LogitReduction | null {
  if (random.uniform() < 0.15) return null;
  const words = Math.ceil(cols / 32);
  const sparse = random.uniform() < 0.3;
  const word = () =>
    Math.floor(random.uniform() * 2 ** 32) & (sparse ? Math.floor(random.uniform() * 2 ** 32) & 0x11 : -1);
  const shortBy = random.uniform() < 0.2 ? 1 : 0;
  return {
    top: random.uniform() < 0.3 ? 1 : 1 + Math.floor(random.uniform() * 64),
    mask: random.uniform() < 0.7 ? Uint32Array.from({ length: words - shortBy }, word) : undefined,
    scale: random.uniform() < 0.7 ? 0.1 + random.uniform() * 5 : undefined,
    picks: Array.from({ length: Math.floor(random.uniform() * 9) }, () => Math.floor(random.uniform() * cols)),
  };
}

for (const { name, create } of DEVICES) {
  test(`${name}: gives what sorting the row gives, whatever else is in the step`, async () => {
    const random = new Random(7);
    for (const cols of [1, 31, 32, 33, 300, 1000, 5000]) {
      const rows = randomRows(random, cols);
      const reducer = await reducerFor(await create(), rows, cols);
      for (let round = 0; round < 8; round++) {
        const reductions = Array.from({ length: ROWS }, () => randomReduction(random, cols));
        const found = await reduce(reducer, reductions);
        assert.is(found.length, ROWS);
        for (const [row, asked] of reductions.entries()) {
          if (!asked) {
            assert.is(found[row], null);
            continue;
          }
          const { sumExp, sumError, isComplete, ids, logits, ...rest } = found[row]!;
          const expected = reduceRow(rows.subarray(row * cols, (row + 1) * cols), asked);
          assert.equal(rest, { isFinite: expected.isFinite, picked: expected.picked });
          // A device may have no room for so many ties, or not know that nothing is left.
          if (ids.length > 0 || expected.ids.length < 1000) {
            assert.equal([...ids], [...expected.ids]);
            assert.equal([...logits], [...expected.logits]);
          }
          if (isComplete) assert.ok(expected.isComplete);
          const error = Math.abs(sumExp - expected.sumExp);
          assert.ok(error <= (sumError + expected.sumError) * expected.sumExp, `sum ${sumExp}, ${expected.sumExp}`);
        }
        // A row alone gives the same bits.
        const alone = await reduce(reducer, reductions.slice(0, 1));
        assert.equal(alone[0], found[0]);
      }
      await reducer.device.close();
    }
  });

  test(`${name}: rows with what is no number, or nothing, are told`, async () => {
    const cols = 70;
    const rows = new Float32Array(ROWS * cols);
    rows[40] = Number.NaN;
    rows[cols + 69] = Number.POSITIVE_INFINITY;
    rows.fill(-Infinity, 2 * cols, 3 * cols);
    const reducer = await reducerFor(await create(), rows, cols);
    const mask = Uint32Array.of(0, 0, 1);
    const found = await reduce(reducer, [
      { top: 1, mask },
      { top: 1, mask },
      { top: 1 },
      { top: 2, mask },
      { top: 1, mask: Uint32Array.of(0) },
    ]);
    assert.equal(
      found.map((one) => one!.isFinite),
      [false, false, false, true, true],
    );
    assert.equal([...found[3]!.ids], [64]);
    assert.equal([...found[4]!.ids], []);
    assert.ok(found[3]!.isComplete && found[4]!.isComplete);
    await reducer.device.close();
  });
}

test('a sum over a real vocabulary is as near as the device says', async () => {
  const cols = 151_936;
  const random = new Random(3);
  const rows = Float32Array.from(
    { length: 2 * cols },
    (_, i) => (i < cols ? 6 : 0.1) * (random.uniform() + random.uniform() - 1) * 3,
  );
  const reducer = await reducerFor(await DEVICES[1].create(), rows, cols);
  const asked = [
    { top: 256, scale: 1 },
    { top: 256, scale: 1.3 },
  ];
  const found = await reduce(reducer, asked);
  for (const [row, one] of found.entries()) {
    const expected = reduceRow(rows.subarray(row * cols, (row + 1) * cols), asked[row]);
    assert.equal([...one!.ids], [...expected.ids]);
    const share = Math.abs(one!.sumExp / expected.sumExp - 1);
    assert.ok(share <= one!.sumError, `off by ${share}`);
  }
  await reducer.device.close();
});

test('a reduction that cannot be is refused', async () => {
  const reducer = await reducerFor(await DEVICES[1].create(), new Float32Array(40), 40);
  const refused = async (reduction: LogitReduction, message: RegExp) => {
    try {
      await reduce(reducer, [reduction]);
    } catch (error) {
      assert.instance(error, DeviceError);
      assert.match((error as Error).message, message);
      return;
    }
    assert.unreachable();
  };
  await refused({ top: 0 }, /wants no logits/);
  await refused({ top: 257 }, /top 257 at 0 is outside/);
  await refused({ top: 1, scale: -1 }, /scale -1/);
  await refused({ top: 1, picks: [40] }, /picked token 40/);
  await refused({ top: 1, picks: new Array(4097).fill(0) }, /4097 picks/);
  await reducer.device.close();
});

test.run();
