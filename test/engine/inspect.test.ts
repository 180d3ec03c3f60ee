import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { inspectModel } from '../../engine/inspect.ts';
import { floatTensors, memorySource, tinyConfig, tinyShapes } from './memory-source.ts';

const test = suite('inspect');

const weights = () => floatTensors(tinyShapes());

test('a model is described by its headers', async () => {
  const source = memorySource({ 'config.json': tinyConfig(), 'model.safetensors': weights() });
  const { architecture, unsupported, decoder, formats, parameters, tensors } = await inspectModel(source);
  const elements = Object.values(tinyShapes()).reduce((sum, shape) => sum + shape.reduce((a, b) => a * b, 1), 0);
  assert.equal([architecture, unsupported, parameters], ['llama', null, elements]);
  assert.equal(formats, [{ dtype: 'F32', tensors: tensors.length, bytes: 4 * elements }]);
  assert.is(decoder?.weightBytes.stored, 4 * elements);
  assert.ok(decoder && decoder.weightBytes.q4_0 < decoder.weightBytes.q8_0);
  assert.is(decoder?.kvBytesPerToken.f16, (decoder?.kvBytesPerToken.f32 ?? 0) / 2);
});

test('only the header of the weights is read', async () => {
  const file = weights();
  const dataStart = 8 + Number(new DataView(file.buffer).getBigUint64(0, true));
  const source = memorySource({ 'config.json': tinyConfig(), 'model.safetensors': file });
  await inspectModel({
    ...source,
    read: (name, offset, into) => {
      assert.ok(name !== 'model.safetensors' || offset + into.length <= dataStart);
      return source.read(name, offset, into);
    },
  });
});

test('what does not run here is described all the same, with the reason', async () => {
  const unknown = await inspectModel(
    memorySource({ 'config.json': tinyConfig({ model_type: 'magic' }), 'model.safetensors': weights() }),
  );
  assert.is(unknown.architecture, 'magic');
  assert.match(unknown.unsupported ?? '', /model_type is "magic"/);
  assert.is(unknown.decoder, null);
  assert.ok(unknown.tensors.length > 0);
});

test('a file of tensors alone is listed', async () => {
  const { architecture, tensors } = await inspectModel(memorySource({ 'x.safetensors': weights() }));
  assert.is(architecture, 'unknown');
  assert.is(tensors.length, Object.keys(tinyShapes()).length);
});

test.run();
