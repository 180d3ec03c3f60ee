/**
 * Speed of a whole model, like llama-bench: prompt processing (pp) and generation (tg), in tokens a second.
 *
 * Generation reads every weight once a token, so GB/s stands beside the read bandwidth that the same threads reach in the
 * same run; prompt processing is bound by arithmetic, so GMAC/s a thread is what counts. While tokens are generated, the
 * delay of the event loop is watched.
 *
 * On the WebGPU device weights are a few made-up rows repeated, so that a 7B shape is there in seconds, and each kernel's
 * share of a step is told by the GPU's own clock.
 */

import { monitorEventLoopDelay } from 'node:perf_hooks';
import { loadModel } from '../engine/load-model.ts';
import { openDirectory } from '../engine/node/directory-source.ts';
import { readTunedTiles } from '../engine/node/tuned-tiles.ts';
import { WasmDevice } from '../kernels/index.ts';
import { GpuBench, parseVariants, VARIANTS } from './support/bench-device.ts';
import { measureHostCost } from './support/host-cost.ts';
import { bytesPerToken, generate, promptMacs, promptStep } from './support/model-steps.ts';
import { kernelTimes, measureWebGpuModel, type WebGpuModelResult } from './support/model-webgpu.ts';
import { INTEGER, listOf, oneOf, readOptions, SWITCH, string } from './support/options.ts';
import { randomModel, SHAPES, WEIGHTS, type Weights, weightsOf } from './support/random-model.ts';
import { writeResult } from './support/results.ts';
import { machine, median, printTable, rounded } from './support/table.ts';

const options = readOptions({
  about: 'Speed of a whole model: prompt processing (pp) and generation (tg), in tokens a second.',
  examples: [
    ['', 'Qwen2.5-0.5B shape, Q8_0 and Q4_0, 1 and 2 threads'],
    ['--model DIR --quantization none --threads 2', 'a model as it is stored'],
    ['--device webgpu --shape qwen2.5-0.5b,mistral-7b --quantization q4_0,f16,none', ''],
    ['--device webgpu --shape mistral-7b --set "" --set fused=false --tuned', 'variants side by side'],
    ['--host --shape mistral-7b --set "" --set constantArguments=false', 'what a step costs the host; needs no GPU'],
  ],
  options: {
    device: { kind: oneOf('wasm', 'webgpu'), fallback: 'wasm', help: 'where the model runs' },
    model: { kind: string('DIR'), help: 'a model, instead of random weights; wasm only' },
    shape: { kind: listOf(oneOf(...Object.keys(SHAPES))), fallback: 'qwen2.5-0.5b', help: 'of random weights' },
    quantization: {
      kind: listOf(oneOf(...WEIGHTS)),
      fallback: 'q8_0,q4_0',
      help: 'what weights are rounded to; f16 makes random ones of that',
    },
    threads: { kind: listOf(INTEGER), fallback: '1,2', help: 'threads of wasm' },
    set: { kind: VARIANTS, fallback: '', repeated: true, help: 'variants of webgpu, side by side' },
    tuned: { kind: SWITCH, help: 'once more with the tiles that bench kernels --tune kept' },
    host: { kind: SWITCH, help: 'the host’s part in a decode step of webgpu alone, without a GPU' },
    pp: { kind: INTEGER, fallback: '512', help: 'tokens of the prompt' },
    tg: { kind: INTEGER, fallback: '128', help: 'tokens generated' },
    repeat: { kind: INTEGER, fallback: '5', help: 'runs, of which the median counts' },
  },
});
const { pp, tg, repeat, shape: shapes } = options;

/** Generated before anything is timed. */
const WARM_TOKENS = 8;
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

if (options.host) for (const shape of shapes) await measureHost(shape);
else if (options.device === 'webgpu') for (const shape of shapes) await measureOnGpu(shape);
else await measureOnThreads(options.model ?? shapes[0]);

async function measureOnGpu(shape: string): Promise<void> {
  const bench = await GpuBench.open();
  const { readBandwidth } = bench.peaks;
  bench.close();
  const results: WebGpuModelResult[] = [];
  const sets = options.set.map((set) => ({ set, variants: set ? parseVariants(set) : undefined }));
  if (options.tuned) {
    const tuned = await readTunedTiles(bench.gpu.features.description, console.error);
    if (tuned) sets.push({ set: 'tuned tiles', variants: { linearTiles: tuned.tiles } });
    else
      console.error(
        'no tuned tiles of this adapter and these kernels; bench kernels --device webgpu --tune finds them',
      );
  }
  for (const quantization of options.quantization) {
    for (const { set, variants } of sets) {
      const progress = (text: string) => console.error(`${shape} ${quantization} ${set}: ${text}`);
      // The first setting's prompt is timed; the others are about decode, unless they are asked for alone.
      const decodeOnly = set !== sets[0].set;
      const one = { shape, quantization, set, variants, decodeOnly, progress, pp, tg, repeat };
      try {
        const result = await measureWebGpuModel(one, readBandwidth);
        results.push(result);
      } catch (error) {
        console.error(`${quantization} ${set}: ${(error as Error).message}`);
      }
    }
  }
  if (results.length === 0) return;
  console.log(`${shape} (random weights), pp${pp}, tg${tg}, median of ${repeat}; read ${rounded(readBandwidth)} GB/s`);
  console.log(`${results[0].device}\n`);
  printTable(
    [
      'weights',
      'set',
      'load s',
      'pp tok/s',
      'GFLOP/s',
      'tg tok/s',
      'queued',
      'GB/s',
      'share',
      'dispatches',
      'encode µs',
      'GPU ms',
    ],
    results.map((r) => [
      r.quantization,
      r.set,
      rounded(r.loadSeconds),
      r.ppTokensPerSecond === undefined ? '' : rounded(r.ppTokensPerSecond),
      r.ppGigaflops === undefined ? '' : rounded(r.ppGigaflops, 0),
      rounded(r.tgTokensPerSecond),
      rounded(r.queuedTokensPerSecond),
      rounded(r.gigabytesPerSecond),
      `${Math.round(100 * r.share)}%`,
      r.dispatches,
      rounded(r.encodeMicroseconds, 0),
      rounded(r.gpuMilliseconds, 3),
    ]),
  );
  for (const { quantization, set, decodeKernels, promptKernels } of results) {
    console.log(`\n${quantization} ${set}, one token: ${kernelTimes(decodeKernels)}`);
    if (promptKernels) console.log(`${quantization} ${set}, prompt: ${kernelTimes(promptKernels)}`);
  }
  writeResult(`model-${shape}-${results[0].device}`, { bench: 'model', shape, pp, tg, readBandwidth, results });
}

async function measureHost(shape: string): Promise<void> {
  const sets = options.set.map((set) => ({ set, variants: set ? parseVariants(set) : undefined }));
  for (const quantization of options.quantization) {
    const costs = await measureHostCost({ shape, quantization, sets, rounds: repeat, steps: tg });
    console.log(`${shape}, narrow, ${quantization}: a decode step on Dawn's null backend, least of ${repeat * tg}`);
    printTable(
      ['set', 'dispatches', 'encode µs', 'µs a dispatch', 'of the first'],
      costs.map(({ set, dispatches, microseconds }) => [
        set,
        dispatches,
        rounded(microseconds, 0),
        rounded(microseconds / dispatches, 2),
        rounded(microseconds / costs[0].microseconds, 2),
      ]),
    );
  }
}

async function measureOnThreads(shape: string): Promise<void> {
  const results: Result[] = [];
  for (const quantization of options.quantization) {
    for (const threads of options.threads) {
      results.push(await measure(shape, quantization, threads));
    }
  }
  const name = options.model ?? `${shape} (random weights)`;
  console.log(`${name}, pp${pp}, tg${tg}, median of ${repeat}; ${machine().cpu}, Node ${process.version}\n`);
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
}

async function measure(shape: string, quantization: Weights, threads: number): Promise<Result> {
  const device = await WasmDevice.create({ threads });
  const { format, quantize } = weightsOf(quantization);
  const source = options.model ? await openDirectory(options.model) : await randomModel(shape, format);
  const started = performance.now();
  const model = await loadModel(source, {
    device,
    quantize,
    maxModelLen: Math.max(pp, tg, WARM_TOKENS),
    maxNumSeqs: 1,
    maxNumBatchedTokens: Math.max(pp, 1),
  });
  const loadSeconds = (performance.now() - started) / 1000;

  await promptStep(model, pp);
  const promptTimes = await times(repeat, () => promptStep(model, pp));
  const delay = monitorEventLoopDelay({ resolution: 1 });
  await generate(model, WARM_TOKENS);
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
    ppGmacPerThread: promptMacs(model, pp) / promptTime / 1e9 / threads,
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
