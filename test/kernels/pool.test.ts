import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { DeviceError, WasmDevice } from '../../kernels/index.ts';
import { chooseDotMethods } from '../../kernels/wasm/features.ts';
import { Memories } from '../../kernels/wasm/memories.ts';
import { kernelModule } from '../../kernels/wasm/module.ts';
import { startPool } from '../../kernels/wasm/pool.ts';
import { Random } from '../random.ts';
import { openBench, plainStep } from './harness.ts';

const test = suite('worker pool');

async function failure(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise;
  } catch (error) {
    return error as Error;
  }
  throw new Error('expected a rejection');
}

/** A device with a plan that takes a good while. */
async function busyDevice() {
  const device = await WasmDevice.create({ threads: 2 });
  const bench = await openBench(device);
  const random = new Random(1);
  const table = bench.input('x', random.floats(40 * 512), 512);
  const weight = await bench.weight('w', random.floats(512 * 512), 512, 'F32');
  const [x, out] = [bench.output(512), bench.output(512)];
  await bench.run((record) => record.embed({ table, out: x }), plainStep(40));
  const plan = device.record(40, (record) => {
    record.embed({ table, out: x });
    for (let i = 0; i < 100; i++) record.linear({ x, weights: [weight], out });
  });
  return { device, plan };
}

test('the event loop turns while a step runs', async () => {
  const { device, plan } = await busyDevice();
  let turns = 0;
  let running = true;
  const count = () => {
    turns++;
    if (running) setImmediate(count);
  };
  setImmediate(count);
  await device.run(plan, plainStep(40));
  running = false;
  await device.close();
  assert.ok(turns > 1, `${turns} turns`);
});

test('a second step before the first has ended is refused', async () => {
  const { device, plan } = await busyDevice();
  const first = device.run(plan, plainStep(40));
  assert.match((await failure(device.run(plan, plainStep(40)))).message, /the last step has not ended/);
  await first;
  await device.close();
});

test('closing ends the step in flight with an error, and nothing runs afterwards', async () => {
  const { device, plan } = await busyDevice();
  const ended = failure(device.run(plan, plainStep(40)));
  await device.close();
  assert.instance(await ended, DeviceError);
  assert.match((await failure(device.run(plan, plainStep(1)))).message, /closed/);
  await device.close();
});

test('a worker that traps fails the run and every later one, and leaves no one waiting', async () => {
  const memories = new Memories(true);
  const { module } = await kernelModule(chooseDotMethods(), true);
  const pool = await startPool(module, memories, 3);
  const outOfBounds = 0x7ffffff0;
  const error = await failure(pool.run(outOfBounds, memories.first));
  assert.instance(error, DeviceError);
  assert.match(error.message, /wasm worker ended: .*out of bounds/);
  assert.match((await failure(pool.run(outOfBounds, memories.first))).message, /wasm worker ended/);
  await pool.close();
});

test('a program that forgets to close its device still ends', () => {
  const entry = fileURLToPath(new URL('../../kernels/index.ts', import.meta.url));
  const program = `import(${JSON.stringify(entry)}).then(({ WasmDevice }) => WasmDevice.create({ threads: 2 })).then(() => console.log('made'));`;
  const { stdout, status } = spawnSync(process.execPath, [...process.execArgv, '--input-type=module', '-e', program], {
    encoding: 'utf8',
    timeout: 20_000,
  });
  assert.is(stdout, 'made\n');
  assert.is(status, 0);
});

test('a thread count that makes no sense is refused', async () => {
  for (const threads of [-1, 1.5, 1000]) {
    assert.match((await failure(WasmDevice.create({ threads }))).message, /threads: expected 0 to 256, got/);
  }
});

test.run();
