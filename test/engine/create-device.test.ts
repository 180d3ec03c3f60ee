import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createDevice } from '../../engine/create-device.ts';
import { mayHaveGpu } from '../../engine/node/has-gpu.ts';
import { tunedTilesPath } from '../../engine/node/tuned-tiles.ts';
import { testGpu } from '../webgpu.ts';

const test = suite('device choice');
const gpu = await testGpu();
const onGpu = gpu ? test : test.skip;

test('a device is made by its name', async () => {
  for (const device of ['reference', 'wasm'] as const) {
    const made = await createDevice({ device, threads: 1 });
    assert.is(made.kind, device);
    await made.close();
  }
});

test('auto takes a GPU, or WASM where WebGPU is missing or computes on the CPU', async () => {
  const made = await createDevice({ threads: 1 });
  assert.is(made.kind, gpu && !gpu.features.software && mayHaveGpu() ? 'webgpu' : 'wasm');
  await made.close();
});

onGpu('webgpu takes any adapter', async () => {
  const made = await createDevice({ device: 'webgpu' });
  assert.is(made.kind, 'webgpu');
  await made.close();
});

onGpu('a bad file of tuned tiles is told of, and the device is there without it', async () => {
  const cache = mkdtempSync(join(tmpdir(), 'quern-device-'));
  const before = process.env.XDG_CACHE_HOME;
  process.env.XDG_CACHE_HOME = cache;
  try {
    const path = tunedTilesPath(gpu!.features.description);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, '{}');
    const warnings: string[] = [];
    const made = await createDevice({ device: 'webgpu', onWarning: (message) => warnings.push(message) });
    assert.ok(warnings.length === 1 && warnings[0].startsWith(path));
    assert.not.match(made.description, /tuned/);
    await made.close();
  } finally {
    if (before === undefined) delete process.env.XDG_CACHE_HOME;
    else process.env.XDG_CACHE_HOME = before;
    rmSync(cache, { recursive: true });
  }
});

test.run();
