/**
 * How fast a model loads, and how much memory that takes at the most: resident memory against the bytes of the weights and
 * the K/V cache. A few tokens afterwards show that the model runs.
 *
 * Without a file the weights (bfloat16) are made up as they are read, at some 10 GB/s.
 */

import { rm } from 'node:fs/promises';
import { basename } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { ModelSource } from '../engine/checkpoint/model-source.ts';
import { loadModel } from '../engine/load-model.ts';
import { openDirectory, openFiles } from '../engine/node/directory-source.ts';
import { QUANTIZATIONS } from '../engine/types.ts';
import { WasmDevice } from '../kernels/index.ts';
import { INTEGER, oneOf, readOptions, string } from './support/options.ts';
import { writeRandomGguf } from './support/random-gguf.ts';
import { randomModel, SHAPES } from './support/random-model.ts';
import { machine, printTable, rounded } from './support/table.ts';

const options = readOptions({
  about: 'How fast a model loads, and how much memory that takes at the most.',
  examples: [
    ['', 'the Llama-2-7B shape, rounded to Q4_0: more than one WASM memory'],
    ['--shape qwen2.5-0.5b --quantization q8_0 --tg 16', ''],
    ['--gguf FILE', 'writes the shape as a GGUF file with Q4_0 weights first, and loads that'],
    ['--model DIR', "a model of one's own"],
  ],
  options: {
    model: { kind: string('DIR'), help: 'a model, instead of random weights' },
    shape: { kind: oneOf(...Object.keys(SHAPES)), fallback: 'llama2-7b', help: 'of random weights' },
    gguf: { kind: string('FILE'), help: 'is written first with Q4_0 weights, loaded, and removed' },
    quantization: { kind: oneOf('none', ...QUANTIZATIONS), fallback: 'q4_0', help: 'what weights are rounded to' },
    threads: { kind: INTEGER, fallback: '2', help: 'threads of wasm' },
    'max-model-len': { kind: INTEGER, fallback: '1024', help: 'longest sequence in tokens' },
    tg: { kind: INTEGER, fallback: '8', help: 'tokens generated afterwards' },
  },
});

const GIBIBYTE = 2 ** 30;

const source = options.model ? await openDirectory(options.model) : await shapeSource(options.shape);
const before = process.memoryUsage().rss;
const device = await WasmDevice.create({ threads: options.threads });
const delay = monitorEventLoopDelay({ resolution: 1 });
let read = 0;
const started = performance.now();
delay.enable();
const model = await loadModel(source, {
  device,
  quantize: options.quantization === 'none' || options.gguf ? undefined : options.quantization,
  maxModelLen: options['max-model-len'],
  maxNumSeqs: 1,
  onProgress: ({ loaded }) => {
    read = loaded;
  },
});
delay.disable();
const seconds = (performance.now() - started) / 1000;
const peak = process.resourceUsage().maxRSS * 1024;
await source.close();
if (options.gguf) await rm(options.gguf);

const { tg } = options;
const tokenStart = performance.now();
for (let position = 0; position < tg; position++) {
  await model.forward({
    tokens: [position],
    positions: [position],
    slots: [0],
    blockTables: [Array.from({ length: Math.ceil(tg / 16) }, (_, i) => i)],
    logitRows: [0],
  });
}
const tokensPerSecond = (1000 * tg) / (performance.now() - tokenStart);

const { weightBytes, kvCacheBytes } = model.info;
const result = {
  memories: device.memories,
  weightGiB: weightBytes / GIBIBYTE,
  kvGiB: kvCacheBytes / GIBIBYTE,
  seconds,
  readGigabytesPerSecond: read / seconds / 1e9,
  loopDelayP99: delay.percentile(99) / 1e6,
  peakGiB: peak / GIBIBYTE,
  ofWeightsAndKv: peak / (weightBytes + kvCacheBytes),
  tokensPerSecond,
};
await model.close();

const name = options.model ?? `${options.shape} (random weights${options.gguf ? ', a GGUF file on the disk' : ''})`;
console.log(`${name}, ${options.quantization}, ${options.threads} threads; ${machine().cpu}, Node ${process.version}`);
console.log(`resident before: ${rounded(before / 2 ** 20)} MiB\n`);
printTable(
  ['memories', 'weights GiB', 'K/V GiB', 'load s', 'read GB/s', 'loop delay p99 ms', 'peak GiB', 'ratio', 'tok/s'],
  [
    [
      result.memories,
      rounded(result.weightGiB, 2),
      rounded(result.kvGiB, 2),
      rounded(seconds),
      rounded(result.readGigabytesPerSecond, 2),
      rounded(result.loopDelayP99),
      rounded(result.peakGiB, 2),
      rounded(result.ofWeightsAndKv, 2),
      rounded(tokensPerSecond),
    ],
  ],
);
console.log(`\n${JSON.stringify({ bench: 'load', ...machine(), ...result })}`);

/** The shape's checkpoint: made up as it is read, or written to the disk and read from there. */
async function shapeSource(shape: string): Promise<ModelSource> {
  if (!options.gguf) return randomModel(shape);
  const start = performance.now();
  const bytes = await writeRandomGguf(options.gguf, SHAPES[shape]);
  const rate = bytes / (performance.now() - start) / 1e6;
  console.log(`${options.gguf}: ${rounded(bytes / GIBIBYTE, 2)} GiB written at ${rounded(rate, 2)} GB/s`);
  return openFiles(options.gguf, [basename(options.gguf)]);
}
