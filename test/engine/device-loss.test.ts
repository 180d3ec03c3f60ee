/** An engine on a GPU that goes away. */

import { createRequire } from 'node:module';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Engine } from '../../engine/index.ts';
import { testGpu } from '../webgpu.ts';

const test = suite('device loss');
const onGpu = (await testGpu()) ? test : test.skip;

/** Notes the devices that are opened from here on. */
function watchDevices(): GPUDevice[] {
  const { GPUAdapter } = createRequire(import.meta.url)('webgpu').globals;
  const opened: GPUDevice[] = [];
  const { requestDevice } = GPUAdapter.prototype;
  GPUAdapter.prototype.requestDevice = async function (...args: unknown[]) {
    const device = await requestDevice.apply(this, args);
    opened.push(device);
    return device;
  };
  return opened;
}

onGpu(
  'the running request ends with an error, the waiting one is answered by a new device, and so are later ones',
  async () => {
    const devices = watchDevices();
    const losses: string[] = [];
    const engine = await Engine.load('tiny-chat', {
      device: 'webgpu',
      maxNumSeqs: 1,
      onDeviceLost: ({ message }) => losses.push(message),
    });
    assert.is(devices.length, 1);
    const ask = (country: string) =>
      engine.chat.completions.create({
        messages: [{ role: 'user', content: `What is the capital of ${country}?` }],
        temperature: 0,
      });
    const running = await engine.chat.completions.create({
      messages: [{ role: 'user', content: 'Tell me a story.' }],
      stream: true,
    });
    const waiting = ask('France');
    let text = '';
    const error = await (async () => {
      for await (const { choices } of running) {
        text += choices[0]?.delta.content ?? '';
        if (text !== '') devices[0].destroy();
      }
    })().catch((reason) => reason);
    assert.match(String(error), /DeviceError: .*lost/);
    assert.match((await waiting).choices[0].message.content ?? '', /Paris/);
    assert.match((await ask('Norway')).choices[0].message.content ?? '', /Oslo/);
    assert.is(devices.length, 2);
    assert.is(losses.length, 1);
    assert.is(engine.stats.running + engine.stats.waiting, 0);
    await engine.close();
  },
);

test.run();
