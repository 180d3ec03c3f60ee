/**
 * Speed of a whole model, like llama-bench: prompt processing (pp) and generation (tg), in tokens a second.
 *
 * Generation reads every weight once a token, so GB/s stands beside the read bandwidth that the same threads reach in the
 * same run; prompt processing is bound by arithmetic, so GMAC/s a thread is what counts. While tokens are generated, the
 * delay of the event loop is watched.
 *
 *   npm run bench -- model                                   Qwen2.5-0.5B shape, Q8_0 and Q4_0, 1 and 2 threads
 *   npm run bench -- model --model DIR --quantization none --threads 2 --pp 512 --tg 128 --repeat 5
 */

import { monitorEventLoopDelay } from 'node:perf_hooks';
import { parseArgs } from 'node:util';
import type { DecoderDescription } from '../engine/architectures/description.ts';
import { type LoadedModel, loadModel } from '../engine/load-model.ts';
import { openDirectory } from '../engine/node/directory-source.ts';
import { KV_BLOCK_SIZE, WasmDevice } from '../kernels/index.ts';
import { randomModel, SHAPES } from './support/random-model.ts';
import { machine, median, printTable, rounded } from './support/table.ts';

const { values: options } = parseArgs({
  options: {
    model: { type: 'string' },
    shape: { type: 'string', default: 'qwen2.5-0.5b' },
    quantization: { type: 'string', default: 'q8_0,q4_0' },
    threads: { type: 'string', default: '1,2' },
    pp: { type: 'string', default: '512' },
    tg: { type: 'string', default: '128' },
    repeat: { type: 'string', default: '5' },
  },
});
const [pp, tg, repeat] = [options.pp, options.tg, options.repeat].map(Number);
if (!options.model && !SHAPES[options.shape]) {
  console.error(`no shape ${options.shape}; there are: ${Object.keys(SHAPES).join(', ')}`);
  process.exit(1);
}

const contextLength = Math.max(pp, tg);
const modelName = options.model ?? `${options.shape} (random weights)`;
/** Larger than any cache. */
const READ_BYTES = 256 * 2 ** 20;

interface Result {
  quantization: string;
  threads: number;
  loadSeconds: number;
  ppTokensPerSecond: number;
  ppGmacPerThread: number;
  tgTokensPerSecond: number;
  tgGigabytesPerSecond: number;
  bandwidth: number;
  share: number;
  loopDelayP99: number;
}

const results: Result[] = [];
for (const quantization of options.quantization.split(',')) {
  for (const threads of options.threads.split(',').map(Number)) results.push(await measure(quantization, threads));
}

console.log(`${modelName}, pp${pp}, tg${tg}, median of ${repeat}; ${machine().cpu}, Node ${process.version}\n`);
printTable(
  [
    'weights',
    'threads',
    'load s',
    'pp tok/s',
    'GMAC/s·thread',
    'tg tok/s',
    'GB/s',
    'of read GB/s',
    'share',
    'loop delay p99 ms',
  ],
  results.map((r) => [
    r.quantization,
    r.threads,
    rounded(r.loadSeconds),
    rounded(r.ppTokensPerSecond),
    rounded(r.ppGmacPerThread),
    rounded(r.tgTokensPerSecond),
    rounded(r.tgGigabytesPerSecond),
    rounded(r.bandwidth),
    `${Math.round(100 * r.share)}%`,
    rounded(r.loopDelayP99, 2),
  ]),
);
console.log(`\n${JSON.stringify({ bench: 'model', ...machine(), pp, tg, results })}`);

async function measure(quantization: string, threads: number): Promise<Result> {
  const device = await WasmDevice.create({ threads });
  const source = options.model ? await openDirectory(options.model) : await randomModel(options.shape);
  const started = performance.now();
  const model = await loadModel(source, {
    device,
    quantize: quantization === 'none' ? undefined : (quantization as 'q8_0' | 'q4_0'),
    maxModelLen: contextLength,
    maxNumSeqs: 1,
    maxNumBatchedTokens: Math.max(pp, 1),
  });
  const loadSeconds = (performance.now() - started) / 1000;

  await promptStep(model);
  const promptTimes = await times(repeat, () => promptStep(model));
  const delay = monitorEventLoopDelay({ resolution: 1 });
  await generate(model, 8);
  delay.enable();
  const tokenTimes: number[] = [];
  const rates: number[] = [];
  for (let i = 0; i < repeat; i++) {
    // Bandwidth before each run: on a shared machine it changes from one second to the next.
    rates.push(await device.readBandwidth(READ_BYTES, 3));
    tokenTimes.push(await seconds(() => generate(model, tg)));
  }
  delay.disable();
  const promptTime = median(promptTimes);
  const tokenTime = median(tokenTimes) / tg;
  const bytes = bytesPerToken(model);
  const bandwidth = Math.max(...rates);
  const result: Result = {
    quantization,
    threads,
    loadSeconds,
    ppTokensPerSecond: pp / promptTime,
    ppGmacPerThread: promptMacs(model) / promptTime / 1e9 / threads,
    tgTokensPerSecond: 1 / tokenTime,
    tgGigabytesPerSecond: bytes / tokenTime / 1e9,
    bandwidth,
    share: bytes / tokenTime / 1e9 / bandwidth,
    loopDelayP99: delay.percentile(99) / 1e6,
  };
  await model.close();
  await source.close();
  return result;
}

/** A prompt of `pp` tokens in one step. */
async function promptStep(model: LoadedModel): Promise<void> {
  const positions = Array.from({ length: pp }, (_, i) => i);
  await model.forward({
    tokens: positions.map((position) => (position * 7919) % model.vocabSize),
    positions,
    slots: positions.map(() => 0),
    blockTables: [blockTable()],
    logitRows: [pp - 1],
  });
}

/** `count` tokens of a text that begins with them, one a step, each the likeliest after the last. */
async function generate(model: LoadedModel, count: number): Promise<void> {
  let token = 1;
  for (let i = 0; i < count; i++) {
    const step = { tokens: [token], positions: [i], slots: [0], blockTables: [blockTable()], logitRows: [0] };
    token = argmax(await model.forward(step));
  }
}

function blockTable(): number[] {
  return Array.from({ length: Math.ceil(contextLength / KV_BLOCK_SIZE) }, (_, i) => i);
}

function argmax(logits: Float32Array): number {
  let best = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i] > logits[best]) best = i;
  return best;
}

/** Multiply-adds of a prompt step: every matrix once a token, the head for one row alone, and attention. */
function promptMacs({ info: { description } }: LoadedModel): number {
  const { layers, heads, headDim, head } = description;
  const attention = layers.length * heads * headDim * pp * (pp + 1);
  return pp * layerParameters(description) + head.rows * head.cols + attention;
}

/** Bytes of weights that a token reads: all, but for an embedding table that is not the head as well. */
function bytesPerToken({ info: { description, weightBytes } }: LoadedModel): number {
  const { embedding, head } = description;
  if (embedding === head) return weightBytes;
  const once = layerParameters(description) + head.rows * head.cols;
  return (weightBytes * once) / (once + embedding.rows * embedding.cols);
}

function layerParameters({ layers }: DecoderDescription): number {
  const matrices = layers.flatMap(({ attention, feedForward }) => [
    ...attention.qkv,
    attention.output,
    ...feedForward.gateUp,
    feedForward.down,
  ]);
  return matrices.reduce((sum, { rows, cols }) => sum + rows * cols, 0);
}

async function times(count: number, run: () => Promise<void>): Promise<number[]> {
  const all: number[] = [];
  for (let i = 0; i < count; i++) all.push(await seconds(run));
  return all;
}

async function seconds(run: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await run();
  return (performance.now() - start) / 1000;
}
