/** Settings of the architectures: tiny random checkpoints against plain double precision. */

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { describeDecoder } from '../../engine/architectures/index.ts';
import { neededTensors } from '../../engine/architectures/needed-tensors.ts';
import { Fields } from '../../engine/checkpoint/fields.ts';
import { loadModel } from '../../engine/load-model.ts';
import { KV_BLOCK_SIZE } from '../../kernels/index.ts';
import { Random } from '../random.ts';
import { DEVICES } from './devices.ts';
import { memorySource, safetensorsFile } from './memory-source.ts';
import { plainLogits } from './plain-decoder.ts';
import { BASE, CASES, SIZES } from './settings-cases.ts';

const LENGTH = 40;
const range = (length: number) => Array.from({ length }, (_, i) => i);

/** The shape that a tensor has in the file: DeepSeek's are put together otherwise as they are read. */
function storedShape(name: string, shape: readonly number[], config: Record<string, unknown>): readonly number[] {
  if (config.model_type !== 'deepseek_v2') return shape;
  const [heads, nope, value] = [SIZES.num_attention_heads, Number(config.qk_nope_head_dim), Number(config.v_head_dim)];
  if (name.endsWith('kv_b_proj.weight')) return [heads * (nope + value), Number(config.kv_lora_rank)];
  return name.endsWith('o_proj.weight') ? [SIZES.hidden_size, heads * value] : shape;
}

/** Random values for the tensors that the description names, in a file of float32. */
function randomCheckpoint(config: Record<string, unknown>) {
  const random = new Random(JSON.stringify(config).length);
  const shapes = new Map(
    [...neededTensors(describeDecoder(new Fields('config.json', config)))].map(({ name, shape }) => [name, shape]),
  );
  for (const [name, shape] of shapes) shapes.set(name, storedShape(name, shape, config));
  const values = new Map<string, Float32Array>();
  const header: Record<string, object> = {};
  let end = 0;
  for (const [name, shape] of shapes) {
    const count = shape.reduce((product, n) => product * n, 1);
    const tensor = random.floats(count, shape.length === 1 ? 0.3 : 0.35);
    if (/norm.*weight$/.test(name) && !String(config.model_type).startsWith('gemma'))
      tensor.forEach((v, i) => (tensor[i] = 1 + v));
    values.set(name, tensor);
    header[name] = { dtype: 'F32', shape, data_offsets: [end, end + 4 * count] };
    end += 4 * count;
  }
  const data = new Uint8Array(end);
  let at = 0;
  for (const tensor of values.values()) {
    data.set(new Uint8Array(tensor.buffer), at);
    at += tensor.byteLength;
  }
  return {
    values,
    source: memorySource({ 'config.json': config, 'model.safetensors': safetensorsFile(header, data) }),
  };
}

const test = suite('settings');

for (const { what, config: changes, plain } of CASES) {
  test(what, async () => {
    const config = { ...SIZES, ...changes };
    const { values, source } = randomCheckpoint(config);
    const ids = range(LENGTH).map((i) => (i * 17 + 3) % SIZES.vocab_size);
    const used = new Set<string>();
    const expected = plainLogits(
      { ...BASE, ...plain },
      (name) => {
        const tensor = values.get(name);
        if (tensor === undefined) throw new Error(`no tensor ${name}`);
        used.add(name);
        return Float64Array.from(tensor);
      },
      ids,
    );
    assert.equal([...used].sort(), [...values.keys()].sort());
    const greatest = expected.reduce((most, x) => Math.max(most, Math.abs(x)), 0);
    for (const { kind, create } of DEVICES) {
      const model = await loadModel(source, { device: await create(), maxNumSeqs: 1, maxModelLen: 64 });
      await model.forward({
        tokens: ids,
        positions: range(LENGTH),
        slots: ids.map(() => 0),
        blockTables: [range(LENGTH / KV_BLOCK_SIZE + 1)],
        lengths: [LENGTH],
        logitRows: [LENGTH - 1],
      });
      const found = await model.logits(1);
      await model.close();
      const worst = expected.reduce((most, x, i) => Math.max(most, Math.abs(x - found[i])), 0) / greatest;
      assert.ok(worst < 2e-5, `${kind}: off by ${worst.toExponential(1)} of the greatest logit`);
    }
  });
}

test.run();
