/** What becomes of requests, and of the engine, when the device is lost under way. */

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Engine } from '../../engine/index.ts';
import { loadEngineParts } from '../../engine/load-engine.ts';
import { loadModel } from '../../engine/load-model.ts';
import type { Model } from '../../engine/model.ts';
import { openDirectory } from '../../engine/node/directory-source.ts';
import { DeviceError, WebGpuDevice } from '../../kernels/index.ts';
import { openAdapter } from '../../kernels/webgpu/adapter.ts';
import { Gpu } from '../../kernels/webgpu/gpu.ts';
import { Pipelines } from '../../kernels/webgpu/pipelines.ts';
import { bestVariants } from '../../kernels/webgpu/variants.ts';
import { testGpu } from '../webgpu.ts';
import type { FakeModel } from './fake-model.ts';
import { Bench, collect, errorOf, wait } from './generation-bench.ts';

const test = suite('device loss');
const onGpu = (await testGpu()) ? test : test.skip;

const MODEL = new URL('../../models/tiny-chat', import.meta.url).pathname;
const LIMITS = { maxModelLen: 64, maxNumSeqs: 2, maxNumBatchedTokens: 16 };
const REQUEST = { prompt: 'The capital of France is', sampling: { temperature: 0, maxTokens: 6, ignoreEos: true } };

/** A fake model, and one that takes its place when its device is lost before step `lostAt`. */
function lossy(lostAt: number, reload?: (signal: AbortSignal, next: FakeModel) => Promise<Model>) {
  const lost: string[] = [];
  const limits = { maxSeqs: 2 };
  const next = new Bench(limits).model;
  const bench = new Bench(limits, {
    reload: async (signal) => (reload ? reload(signal, next) : next),
    onDeviceLost: ({ message }) => lost.push(message),
  });
  bench.model.beforeStep = () => {
    if (bench.model.steps < lostAt) return;
    bench.model.isLost = true;
    throw new DeviceError('worker 3 has ended');
  };
  return { bench, next, lost };
}

test('running requests end with an error, those that wait and those that come later are served', async () => {
  const { bench, next, lost } = lossy(3);
  const params = { maxTokens: 10, ignoreEos: true };
  const prompts = ['aaaa', 'bbbb', 'cccc', 'dddd'];
  const results = await Promise.allSettled(prompts.map((prompt) => collect(bench.start(prompt, params))));
  assert.equal(
    results.map(({ status }) => status),
    ['rejected', 'rejected', 'fulfilled', 'fulfilled'],
  );
  for (const result of results.slice(0, 2)) {
    assert.instance((result as PromiseRejectedResult).reason, DeviceError);
    assert.match((result as PromiseRejectedResult).reason.message, 'worker 3 has ended');
  }
  assert.is(lost.length, 1);
  assert.ok(bench.model.closed && !next.closed);
  assert.ok(bench.loop.isReady && bench.isIdle());
  const plain = new Bench();
  for (const prompt of prompts) {
    assert.equal(await collect(bench.start(prompt, params)), await collect(plain.start(prompt, params)));
  }
});

test('nothing that the lost device had in its cache is found afterwards', async () => {
  const { bench } = lossy(3);
  const prompt = 'abcdefghijklmnopqrst';
  assert.is((await collect(bench.start(prompt, { maxTokens: 1 })))[0].cachedTokens, 0);
  assert.is((await collect(bench.start(prompt, { maxTokens: 1 })))[0].cachedTokens, 16);
  await errorOf(collect(bench.start('zzzz', { maxTokens: 5, ignoreEos: true })));
  assert.is((await collect(bench.start(prompt, { maxTokens: 1 })))[0].cachedTokens, 0);
});

test('a model that cannot be loaded again ends everything; closing the engine ends the loading', async () => {
  const failing = lossy(0, async () => {
    throw new DeviceError('no adapter');
  });
  const errors = ['a', 'b', 'c'].map((prompt) => errorOf(collect(failing.bench.start(prompt))));
  assert.match(String((await Promise.all(errors))[2]), 'no adapter');
  assert.throws(() => failing.bench.loop.checkOpen(), /no adapter/);
  assert.not(failing.bench.loop.isReady);

  const waiting = lossy(0, (signal) => {
    return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)));
  });
  await errorOf(collect(waiting.bench.start('a')));
  const later = errorOf(collect(waiting.bench.start('b')));
  await wait(3);
  assert.not(waiting.bench.loop.isReady);
  await waiting.bench.loop.close();
  assert.match(String(await later), 'closed');
});

/** The text of a request. */
async function textOf(engine: Engine): Promise<string> {
  let text = '';
  for await (const output of engine.generate(REQUEST)) text += output.text;
  return text;
}

test('an engine that was loaded from files loads them again', async () => {
  const parts = await loadEngineParts('tiny-chat', { device: 'wasm', threads: 0, ...LIMITS });
  let isLost = false;
  const model = new Proxy(parts.model, {
    get: (target, name) => {
      if (name === 'isLost') return isLost;
      if (name === 'forward' && isLost) return () => Promise.reject(new DeviceError('planted loss'));
      const value = Reflect.get(target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  const engine = new Engine({ ...parts, model });
  const { totalBlocks } = engine.stats;
  const text = await textOf(engine);
  isLost = true;
  assert.is(await textOf(engine), text);
  assert.is(engine.stats.totalBlocks, totalBlocks);
  await engine.close();
});

onGpu('a GPU device that is destroyed while it answers is replaced by a new one', async () => {
  const { model: small, ...parts } = await loadEngineParts('tiny-chat', { device: 'wasm', threads: 0, ...LIMITS });
  await small.close();
  const gpus: Gpu[] = [];
  const load = async () => {
    const gpu = new Gpu(await openAdapter('any'));
    gpus.push(gpu);
    const source = await openDirectory(MODEL);
    const device = WebGpuDevice.share(gpu, new Pipelines(gpu), bestVariants(gpu.features));
    const model = await loadModel(source, { ...LIMITS, device });
    await source.close();
    return model;
  };
  const engine = new Engine({ ...parts, model: await load(), reload: load });
  const text = await textOf(engine);

  const running = engine.generate(REQUEST);
  await running.next();
  gpus[0].device.destroy();
  const error = await errorOf(
    (async () => {
      for await (const _ of running);
    })(),
  );
  assert.instance(error, DeviceError);
  assert.is(await textOf(engine), text);
  assert.is(gpus.length, 2);
  const { freeBlocks, totalBlocks } = engine.stats;
  assert.is(freeBlocks, totalBlocks);
  await engine.close();
  gpus[1].close();
});

test.run();
