import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { RequestError } from '../../engine/errors.ts';
import { type LoadModelOptions, loadModel } from '../../engine/load-model.ts';
import type { LoadProgress } from '../../engine/types.ts';
import { DeviceError, dequantize, ReferenceDevice, type Weight, type WeightFormat } from '../../kernels/index.ts';
import { floatTensors, memorySource, tinyConfig, tinyShapes } from './memory-source.ts';
import { rejects } from './rejects.ts';

/** A device that remembers what it was asked. */
class RecordingDevice extends ReferenceDevice {
  readonly formats = new Map<string, WeightFormat>();
  readonly written = new Map<string, number[]>();
  closings = 0;

  override createWeight(shape: { name: string; rows: number; cols: number; format: WeightFormat }): Weight {
    assert.not.ok(this.formats.has(shape.name), `${shape.name} exists twice`);
    this.formats.set(shape.name, shape.format);
    return super.createWeight(shape);
  }

  override writeWeight(weight: Weight, firstRow: number, data: Uint8Array, format: WeightFormat): Promise<void> {
    const values = this.written.get(weight.name) ?? [];
    assert.is(firstRow * weight.cols, values.length);
    for (const value of dequantize(format, data)) values.push(value);
    this.written.set(weight.name, values);
    return super.writeWeight(weight, firstRow, data, format);
  }

  override close(): Promise<void> {
    this.closings++;
    return super.close();
  }
}

const tinyModel = () =>
  memorySource({
    'config.json': tinyConfig(),
    'generation_config.json': { eos_token_id: 3, top_k: 5 },
    'model.safetensors': floatTensors(tinyShapes()),
  });

const load = (options: Partial<LoadModelOptions> = {}, source = tinyModel()) =>
  loadModel(source, { device: new ReferenceDevice(), ...options });

const BLOCK_BYTES = new ReferenceDevice().kvBlockBytes({ layers: 2, kvHeads: 2, headDim: 8 });

const test = suite('loadModel');

test('gives a model that runs, with what its files say of it', async () => {
  const model = await load({ maxNumSeqs: 2 });
  assert.is(model.vocabSize, 40);
  assert.is(model.info.description.modelType, 'llama');
  assert.equal(model.info.generation.eosTokenIds, [3]);
  assert.is(model.info.generation.topK, 5);
  assert.is(model.info.kvCacheBytes, model.kvBlocks * BLOCK_BYTES);
  assert.ok(model.info.weightBytes > 0);
  const step = { tokens: [1, 2], positions: [0, 1], slots: [0, 0], blockTables: [[5]] };
  await model.forward({ ...step, logitRows: [0, 1] });
  const logits = await model.logits(2);
  assert.is(logits.length, 2 * 40);
  assert.ok(logits.every(Number.isFinite));
  assert.equal(await model.logits(1, 1), logits.slice(40));
  await model.close();
});

test('limits follow from the model and the defaults', async () => {
  const { maxModelLen, kvBlocks, maxRows, maxSeqs, maxLogitRows } = await load();
  assert.equal([maxModelLen, kvBlocks, maxRows, maxSeqs, maxLogitRows], [64, 16 * 4, 512, 16, 32]);
});

test('limits follow the options', async () => {
  const { maxModelLen, kvBlocks, maxRows, maxSeqs } = await load({
    maxModelLen: 33,
    maxNumSeqs: 3,
    maxNumBatchedTokens: 7,
  });
  assert.equal([maxModelLen, kvBlocks, maxRows, maxSeqs], [33, 3 * 3, 7, 3]);
  assert.is((await load({ kvCacheBytes: 100 * BLOCK_BYTES })).kvBlocks, 100);
  assert.is((await load({ maxNumSeqs: 1000 })).maxRows, 1000);
  const half = await load({ kvCacheBytes: 100 * BLOCK_BYTES, kvCacheDtype: 'f16' });
  assert.is(half.info.kvCacheBytes, 100 * BLOCK_BYTES);
  const { maxRows: rows, maxSeqs: seqs, maxLogitRows: logitRows } = await load({ maxNumBatchedTokens: 7 });
  assert.equal([rows, seqs, logitRows], [7, 7, 7]);
});

test('without a maxModelLen a small cache limits the length', async () => {
  const { maxModelLen, kvBlocks } = await load({ kvCacheBytes: 2 * BLOCK_BYTES + 1 });
  assert.equal([maxModelLen, kvBlocks], [32, 2]);
});

test('a cache of the default size stops at 1 GiB, or at one sequence', async () => {
  class HalfGibibyteBlocks extends ReferenceDevice {
    override kvBlockBytes(): number {
      return 2 ** 29;
    }
  }
  const shorter = await load({ device: new HalfGibibyteBlocks() });
  assert.equal([shorter.maxModelLen, shorter.kvBlocks], [32, 2]);
  const asked = await load({ device: new HalfGibibyteBlocks(), maxModelLen: 64 });
  assert.equal([asked.maxModelLen, asked.kvBlocks], [64, 4]);
});

test('a share of the memory is for weights, keys and values; without one these get an eighth', async () => {
  const { weightBytes } = (await load()).info;
  const withMemory = (memoryBytes: number) =>
    Object.defineProperty(new ReferenceDevice(), 'memoryBytes', { value: memoryBytes });
  const memory = 8 * 10 * BLOCK_BYTES;
  assert.is((await load({ device: withMemory(memory) })).kvBlocks, 10);
  const half = { device: withMemory(2 * (weightBytes + 6 * BLOCK_BYTES) + 2), gpuMemoryUtilization: 0.5 };
  assert.is((await load(half)).kvBlocks, 6);
  assert.is((await load({ device: withMemory(2 ** 40), gpuMemoryUtilization: 1 })).kvBlocks, 16 * 4, 'more is no use');
  const little = { device: withMemory(weightBytes), gpuMemoryUtilization: 0.9, maxModelLen: 32 };
  await rejects(
    () => load(little),
    /^gpuMemoryUtilization leaves 0 bytes for keys and values; one sequence/,
    RequestError,
  );
  const both = { device: withMemory(memory), gpuMemoryUtilization: 0.9, kvCacheBytes: memory };
  await rejects(() => load(both), /^gpuMemoryUtilization and kvCacheBytes are given; expected one$/, RequestError);
});

test('options that cannot be met are refused by name', async () => {
  const wrong: readonly [Partial<LoadModelOptions>, RegExp][] = [
    [{ maxModelLen: 65 }, /^maxModelLen is 65; this model reaches 64$/],
    [{ maxModelLen: 0 }, /^maxModelLen is 0; expected a positive integer$/],
    [{ maxNumSeqs: 1.5 }, /^maxNumSeqs is 1.5/],
    [{ maxNumBatchedTokens: Number.NaN }, /^maxNumBatchedTokens is NaN/],
    [{ maxNumSeqs: 8, maxNumBatchedTokens: 4 }, /^maxNumSeqs is 8; expected at most maxNumBatchedTokens, 4$/],
    [{ kvCacheBytes: 3 * BLOCK_BYTES, maxModelLen: 49 }, /maxModelLen 49 needs 16384: lower maxModelLen or raise/],
    [{ kvCacheBytes: BLOCK_BYTES - 1 }, /^kvCacheBytes is 4095; one sequence of maxModelLen 1 needs 4096/],
    [{ gpuMemoryUtilization: 0 }, /^gpuMemoryUtilization is 0; expected above 0, at most 1$/],
    [{ gpuMemoryUtilization: 0.5 }, /the reference device does not tell its memory, expected kvCacheBytes$/],
    [{ kvCacheDtype: 'int4' as 'f16' }, /^kvCacheDtype is int4; expected one of auto, f32, f16, int8$/],
    [{ quantize: 'q3_k' as 'q4_0' }, /^quantize is "q3_k"; expected one of q8_0, q6_k, q5_k, q4_k, q4_1, q4_0$/],
  ];
  for (const [options, message] of wrong) await rejects(() => load(options), message, RequestError);
});

test('every matrix is written once, row after row; a tied head is the embedding', async () => {
  const device = new RecordingDevice();
  await load({ device });
  assert.is(device.formats.size, 1 + 2 * 7);
  assert.is(device.written.get('model.embed_tokens.weight')?.length, 40 * 32);
  assert.is(device.written.get('model.layers.1.mlp.down_proj.weight')?.length, 32 * 48);
  assert.is(device.formats.has('lm_head.weight'), false);
});

test('a matrix larger than the chunks is written in whole rows', async () => {
  const rows = 40_000;
  const shapes = { ...tinyShapes(), 'model.embed_tokens.weight': [rows, 32] };
  const file = floatTensors(shapes);
  const device = new RecordingDevice();
  await load({ device }, memorySource({ 'config.json': tinyConfig({ vocab_size: rows }), 'model.safetensors': file }));
  const written = Float32Array.from(device.written.get('model.embed_tokens.weight') ?? []);
  const first = 8 + Number(new DataView(file.buffer).getBigUint64(0, true));
  assert.ok(Object.keys(shapes)[0] === 'model.embed_tokens.weight', 'it lies first in the file');
  assert.ok(Buffer.from(written.buffer).equals(file.subarray(first, first + rows * 32 * 4)));
});

test('quantising takes the matrices whose rows are multiples of 32', async () => {
  const device = new RecordingDevice();
  await load({ device, quantize: 'q4_0' });
  assert.is(device.formats.get('model.embed_tokens.weight'), 'Q4_0');
  assert.is(device.formats.get('model.layers.0.self_attn.q_proj.weight'), 'Q4_0');
  assert.is(device.formats.get('model.layers.0.mlp.down_proj.weight'), 'F32', 'rows of 48');
  const super256 = new RecordingDevice();
  await load({ device: super256, quantize: 'q4_k' });
  assert.is(super256.formats.get('model.embed_tokens.weight'), 'Q8_0', 'rows of 32 are no whole blocks of 256');
});

test('progress ends at the total', async () => {
  const seen: LoadProgress[] = [];
  await load({ onProgress: (progress) => seen.push(progress) });
  const total = Object.values(tinyShapes()).reduce((sum, shape) => sum + 4 * shape.reduce((a, b) => a * b, 1), 0);
  assert.equal(seen.at(-1), { stage: 'weights', loaded: total, total });
  assert.ok(seen.every(({ loaded }, i) => i === 0 || loaded > seen[i - 1].loaded));
});

test('a signal ends the loading, and the device is closed', async () => {
  const device = new RecordingDevice();
  const controller = new AbortController();
  const reason = new RangeError('enough');
  let calls = 0;
  const onProgress = () => {
    if (++calls === 3) controller.abort(reason);
  };
  await rejects(() => load({ device, onProgress, signal: controller.signal }), /^enough$/, RangeError);
  assert.is(calls, 3);
  assert.is(device.closings, 1);
  await rejects(() => load({ signal: AbortSignal.abort(reason) }), /^enough$/, RangeError);
});

test('whatever goes wrong, the device is closed', async () => {
  const device = new RecordingDevice();
  await rejects(() => load({ device }, memorySource({})), /^config\.json/);
  assert.is(device.closings, 1);
});

test('too many rows in a step are refused', async () => {
  const model = await load({ maxNumSeqs: 1, maxNumBatchedTokens: 2 });
  const three = { tokens: [1, 2, 3], positions: [0, 1, 2], slots: [0, 0, 0], blockTables: [[0]], logitRows: [2] };
  await rejects(() => model.forward(three), /3 rows in a step; at most 2 fit/, DeviceError);
});

test.run();
