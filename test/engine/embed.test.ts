import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { embed } from '../../engine/embed.ts';
import type { LoadedModel } from '../../engine/load-model.ts';
import { loadModel } from '../../engine/load-model.ts';
import { openDirectory } from '../../engine/node/directory-source.ts';
import { StepLoop } from '../../engine/step-loop.ts';
import { DEVICES } from './devices.ts';

const test = suite('embed');

const MODEL = new URL('../../models/tiny-chat', import.meta.url).pathname;
const TOKENS = Array.from({ length: 12 }, (_, i) => 260 + ((i * 37) % 1000));

async function withModel<T>(device: (typeof DEVICES)[number], rows: number, use: (model: LoadedModel) => Promise<T>) {
  const source = await openDirectory(MODEL);
  const limits = { maxModelLen: 64, maxNumSeqs: 4, maxNumBatchedTokens: rows };
  const model = await loadModel(source, { device: await device.create(), ...limits });
  await source.close();
  try {
    return await use(model);
  } finally {
    await model.close();
  }
}

function vectorOf(model: LoadedModel, tokens: readonly number[]): Promise<Float32Array> {
  return embed(new StepLoop(model), tokens, { hiddenSize: model.hiddenSize });
}

/** Of the first device, which is the plain one. */
let reference: Float32Array | undefined;

for (const device of DEVICES) {
  test(`on ${device.kind} a text is the mean of its states, however its prompt is cut`, async () => {
    const whole = await withModel(device, 12, (model) => vectorOf(model, TOKENS));
    const cut = await withModel(device, 5, (model) => vectorOf(model, TOKENS));
    assert.equal(cut, whole);
    reference ??= whole;
    const cosine = whole.reduce((sum, value, i) => sum + value * reference![i], 0);
    assert.ok(cosine > 0.9999, `cosine ${cosine}`);
  });
}

test('an aborted one ends and leaves nothing behind', async () => {
  await withModel(DEVICES[1], 8, async (model) => {
    const loop = new StepLoop(model);
    const controller = new AbortController();
    const reason = new Error('enough');
    const vector = embed(loop, TOKENS, { hiddenSize: model.hiddenSize, signal: controller.signal });
    controller.abort(reason);
    assert.is(await vector.catch((error) => error), reason);
    assert.is(loop.stats.running + loop.stats.waiting, 0);
    await loop.close();
  });
});

test.run();
