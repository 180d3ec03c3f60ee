/** Models in GGUF files against the oracle: the twins of safetensors models, and one model in every block format. */

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readGgufHeader } from '../../engine/checkpoint/gguf/header.ts';
import { Engine } from '../../engine/index.ts';
import { type LoadedModel, loadModel } from '../../engine/load-model.ts';
import { openModel } from '../../engine/node/open-model.ts';
import { dequantize, type FileFormat, KV_BLOCK_SIZE, rowBytes } from '../../kernels/index.ts';
import { ModelTable } from '../model-table.ts';
import { DEVICES, type TestDevice } from './devices.ts';

/** By model: its GGUF file. */
const TWINS = {
  'llama-gqa': 'llama-gqa-f16',
  'llama3-rope-tied': 'llama3-rope-tied-f16',
  qwen2: 'qwen2-f32',
  qwen3: 'qwen3-f16',
  gemma2: 'gemma2-f16',
  'phi3-longrope': 'phi3-longrope-f16',
  mixtral: 'mixtral-f16',
};

interface Logits {
  readonly ids: readonly number[];
  readonly max_abs: number;
  readonly logits: readonly number[];
}

interface Reference {
  readonly logits: readonly Logits[];
  readonly greedy: readonly { text: string; ids: number[]; new: number[] }[];
}

interface QuantReference {
  readonly prompts: Readonly<Record<string, number[]>>;
  readonly files: readonly {
    file: string;
    type: string;
    results: Readonly<Record<string, { logits: number[]; max_abs: number; argmax: number[] }>>;
  }[];
}

const path = (name: string) => fileURLToPath(new URL(`../oracle/models/${name}`, import.meta.url));
const readJson = (name: string) => JSON.parse(readFileSync(path(name), 'utf8'));

const BRIEFLY = ['Q4_0', 'Q4_K', 'Q6_K', 'MIX'];

/** Float weights keep the logits of the reference; block formats the distribution of their own dequantised weights. */
const table = new ModelTable('GGUF files', ['logits']);

/** What float32 arithmetic in any order must keep, as a share of the greatest logit. */
const LOGIT_TOLERANCE = 2e-3;
/** How far apart distributions may be where activations are rounded to 8 bits: at one position, and in the mean. */
const MOST_DIVERGENCE = 0.08;
const MEAN_DIVERGENCE = 0.02;

async function load(device: TestDevice, file: string): Promise<LoadedModel> {
  const source = await openModel(path(file), {});
  try {
    return await loadModel(source, { device: await device.create(), maxNumSeqs: 1, maxModelLen: 320 });
  } finally {
    await source.close();
  }
}

/** The logits after the last of the tokens. */
async function lastLogits(model: LoadedModel, ids: readonly number[]): Promise<Float32Array> {
  await model.forward({
    tokens: ids,
    positions: ids.map((_, i) => i),
    slots: ids.map(() => 0),
    blockTables: [Array.from({ length: Math.ceil(ids.length / KV_BLOCK_SIZE) }, (_, i) => i)],
    lengths: [ids.length],
    logitRows: [ids.length - 1],
  });
  return model.logits(1);
}

function worstDifference(found: Float32Array, { logits, max_abs }: Omit<Logits, 'ids'>): number {
  return logits.reduce((most, value, i) => Math.max(most, Math.abs(value - found[i])), 0) / max_abs;
}

/** KL(expected ‖ found) in nats. */
function divergence(expected: readonly number[], found: Float32Array): number {
  const logSum = (logits: ArrayLike<number>) => {
    const max = Array.from(logits).reduce((a, b) => Math.max(a, b));
    return max + Math.log(Array.from(logits).reduce((sum, x) => sum + Math.exp(x - max), 0));
  };
  const [expectedSum, foundSum] = [logSum(expected), logSum(found)];
  return expected.reduce((sum, x, i) => {
    return sum + Math.exp(x - expectedSum) * (x - expectedSum - (found[i] - foundSum));
  }, 0);
}

for (const device of DEVICES) {
  const test = suite(`GGUF models on ${device.kind}`);
  // A GPU played by the CPU is slow: a few formats there; `npm run test:full` runs all.
  const brief = device.software === true && process.env.QUERN_TEST_FULL !== '1';

  for (const [name, file] of Object.entries(TWINS)) {
    test(`${file}.gguf gives the logits of its safetensors twin`, async () => {
      const reference: Reference = readJson(`${name}/reference.json`);
      const model = await load(device, `${name}/${file}.gguf`);
      try {
        for (const expected of reference.logits) {
          const worst = worstDifference(await lastLogits(model, expected.ids), expected);
          assert.ok(worst <= LOGIT_TOLERANCE, `${expected.ids.length} tokens: ${worst.toExponential(1)} of max_abs`);
        }
        const weights = `GGUF ${file.slice(file.lastIndexOf('-') + 1).toUpperCase()}`;
        table.passed({ architecture: model.info.description.modelType, model: name, weights }, device.kind, 'logits');
      } finally {
        await model.close();
      }
    });
  }

  const { prompts, files }: QuantReference = readJson('llama-q256/quant.json');

  test('a model in each block format stays close to its own dequantised weights', async () => {
    const divergences: number[] = [];
    for (const { file, type, results } of brief ? files.filter(({ type }) => BRIEFLY.includes(type)) : files) {
      const model = await load(device, `llama-q256/${file}`);
      for (const [prompt, expected] of Object.entries(results)) {
        const found = await lastLogits(model, prompts[prompt]);
        if (device.kind === 'reference') {
          const worst = worstDifference(found, expected);
          assert.ok(worst <= LOGIT_TOLERANCE, `${type}, ${prompt}: ${worst.toExponential(1)} of max_abs`);
        }
        const far = divergence(expected.logits, found);
        assert.ok(far <= MOST_DIVERGENCE, `${type}, ${prompt}: KL ${far.toFixed(3)}`);
        divergences.push(far);
      }
      const architecture = model.info.description.modelType;
      const weights = type === 'MIX' ? 'GGUF, several formats' : `GGUF ${type}`;
      table.passed({ architecture, model: 'llama-q256', weights }, device.kind, 'logits');
      await model.close();
    }
    const mean = divergences.reduce((a, b) => a + b) / divergences.length;
    assert.ok(mean <= MEAN_DIVERGENCE, `mean KL ${mean.toFixed(4)}`);
  });

  test.run();
}

const test = suite('GGUF in the engine');

test('says what ran', () => table.check());

test('rows of every file dequantise to the numbers of the oracle, bit for bit', async () => {
  const { rows } = readJson('llama-q256/quant_rows.json') as {
    rows: { file: string; tensor: string; type: FileFormat; row: number; f32: string }[];
  };
  for (const { file, tensor: name, type, row, f32 } of rows) {
    const source = await openModel(path(`llama-q256/${file}`), {});
    const { tensors } = await readGgufHeader(source, file);
    const tensor = tensors.get(name)!;
    assert.is(tensor.dtype, type);
    const bytes = new Uint8Array(rowBytes(type, tensor.shape[1]));
    await source.read(file, tensor.offset + row * bytes.length, bytes);
    await source.close();
    const found = Buffer.from(dequantize(type, bytes).buffer);
    assert.ok(found.equals(Buffer.from(f32, 'base64')), `${file} ${name} row ${row}`);
  }
});

test('a file is loaded by its path, with its own tokenizer, template and name', async () => {
  const engine = await Engine.load(path('llama-gqa/llama-gqa-f16.gguf'), { device: 'wasm', threads: 1 });
  try {
    assert.is(engine.modelName, 'llama-gqa-f16');
    const { text, ids, new: expected } = (readJson('llama-gqa/reference.json') as Reference).greedy[0];
    assert.equal(engine.promptTokens({ prompt: text }), ids);
    const tokens: number[] = [];
    const sampling = { temperature: 0, maxTokens: expected.length, ignoreEos: true };
    for await (const { tokenIds } of engine.generate({ prompt: text, sampling })) tokens.push(...tokenIds);
    assert.equal(tokens, expected);
    assert.ok(engine.promptTokens({ messages: [{ role: 'user', content: 'Hi' }] }).length > 0);
  } finally {
    await engine.close();
  }
});

test.run();
