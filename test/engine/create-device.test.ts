import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createDevice } from '../../engine/create-device.ts';
import { mayHaveGpu } from '../../engine/node/has-gpu.ts';
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

test.run();
