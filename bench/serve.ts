/**
 * The engine under load: a number of clients, each of which sends its next request when the last one has ended. Throughput,
 * time to first token (TTFT) and time per output token after it (TPOT), and what a prefix-cache hit saves.
 *
 * Prompts are random and differ from each other, so nothing comes from the cache but in the last line.
 */

import { writeFileSync } from 'node:fs';
import { Engine } from '../engine/index.ts';
import { loadModel } from '../engine/load-model.ts';
import { QUANTIZATIONS } from '../engine/types.ts';
import { WasmDevice } from '../kernels/index.ts';
import { INTEGER, listOf, oneOf, readOptions, string } from './support/options.ts';
import { randomModel, SHAPES } from './support/random-model.ts';
import { machine, median, printTable, rounded } from './support/table.ts';

const options = readOptions({
  about: 'The engine under load: clients that send their next request when the last one has ended.',
  examples: [
    ['', 'tiny-chat'],
    ['--shape qwen2.5-0.5b --quantization q4_0 --input 32 --output 32 --rounds 1', ''],
    ['--concurrency 1,16 --svg serve.svg', ''],
  ],
  options: {
    model: { kind: string('MODEL'), fallback: 'tiny-chat', help: 'a model' },
    shape: { kind: oneOf(...Object.keys(SHAPES)), help: 'random weights of a shape instead' },
    quantization: { kind: oneOf('none', ...QUANTIZATIONS), fallback: 'none', help: 'what weights are rounded to' },
    threads: { kind: INTEGER, fallback: '2', help: 'threads of wasm' },
    concurrency: { kind: listOf(INTEGER), fallback: '1,4,16,64', help: 'clients' },
    input: { kind: INTEGER, fallback: '64', help: 'tokens of a prompt' },
    output: { kind: INTEGER, fallback: '64', help: 'tokens of an answer' },
    rounds: { kind: INTEGER, fallback: '3', help: 'requests of a client' },
    repeat: { kind: INTEGER, fallback: '5', help: 'runs of the prefix cache, of which the median counts' },
    svg: { kind: string('FILE'), help: 'draws a plot' },
  },
});
const { shape, threads, concurrency: concurrencies, input, output, rounds, repeat } = options;

/** Tokens of the prompt that a prefix-cache hit is measured with, and those of it that the cache has. */
const [LONG_PROMPT, CACHED] = [528, 512];

interface Level {
  readonly concurrency: number;
  readonly requests: number;
  readonly requestsPerSecond: number;
  readonly tokensPerSecond: number;
  readonly ttftP50: number;
  readonly ttftP99: number;
  readonly tpotP50: number;
  readonly tpotP99: number;
}

const engine = await loadEngine();
let prompts = 0;

await request(randomPrompt(input));
const levels: Level[] = [];
for (const concurrency of concurrencies) levels.push(await measure(concurrency));
const prefix = await measurePrefix();
await engine.close();

const name = shape === undefined ? options.model : `${shape} (random weights)`;
console.log(
  `${name}, ${engine.device}, ${input} tokens in, ${output} out; ${machine().cpu}, Node ${process.version}\n`,
);
printTable(
  ['clients', 'requests/s', 'tokens/s', 'of one client', 'TTFT p50 ms', 'p99', 'TPOT p50 ms', 'p99'],
  levels.map((level) => [
    level.concurrency,
    rounded(level.requestsPerSecond, 3),
    rounded(level.tokensPerSecond),
    `${rounded(level.tokensPerSecond / levels[0].tokensPerSecond, 2)}x`,
    rounded(level.ttftP50),
    rounded(level.ttftP99),
    rounded(level.tpotP50, 2),
    rounded(level.tpotP99, 2),
  ]),
);
console.log(
  `\nTTFT of ${LONG_PROMPT} tokens: ${rounded(prefix.cold)} ms; with ${CACHED} of them in the prefix cache: ` +
    `${rounded(prefix.cached)} ms, ${rounded(100 * (1 - prefix.cached / prefix.cold))}% less`,
);
console.log(`\n${JSON.stringify({ bench: 'serve', ...machine(), name, threads, input, output, levels, prefix })}`);
if (options.svg !== undefined) {
  // Only here, since the package comes without the library.
  const { plotSvg } = await import('./support/plot.ts');
  const x = { name: 'clients', labels: concurrencies };
  const series = (title: string, of: (level: Level) => number) => ({ name: title, values: levels.map(of) });
  const plots = [
    { title: name, x, y: { name: 'tokens/s' }, series: [series('throughput', (level) => level.tokensPerSecond)] },
    {
      title: 'Time to first token, and per output token',
      x,
      y: { name: 'ms', logarithmic: true },
      series: [
        series('TTFT p50', (level) => level.ttftP50),
        series('TTFT p99', (level) => level.ttftP99),
        series('TPOT p50', (level) => level.tpotP50),
        series('TPOT p99', (level) => level.tpotP99),
      ],
    },
  ];
  writeFileSync(options.svg, plotSvg(plots));
}

async function loadEngine(): Promise<Engine> {
  const most = Math.max(...concurrencies);
  const limits = {
    maxModelLen: Math.max(input + output, LONG_PROMPT + 8),
    maxNumSeqs: most,
    maxNumBatchedTokens: Math.max(512, most),
    quantize: options.quantization === 'none' ? undefined : options.quantization,
  };
  if (shape === undefined) return Engine.load(options.model, { device: 'wasm', threads, ...limits });
  const device = await WasmDevice.create({ threads });
  const model = await loadModel(await randomModel(shape), { device, ...limits });
  // Any tokenizer will do: prompts are token ids, and nobody reads the text.
  const { tokenizer, ...small } = await Engine.load('tiny-chat', { device: 'reference' });
  const generation = { ...small.generationDefaults, eosTokenIds: [] };
  return new Engine({
    modelName: shape,
    model,
    tokenizer,
    chatTemplate: null,
    generation,
    device: device.description,
  });
}

function randomPrompt(length: number): number[] {
  let state = ++prompts;
  return Array.from({ length }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return 3 + ((state >>> 8) % (engine.vocabSize - 100));
  });
}

/** Milliseconds to the first token, and from there to the last one for each token. */
async function request(tokens: number[], maxTokens = output): Promise<{ ttft: number; tpot: number }> {
  const start = performance.now();
  let first = 0;
  for await (const _ of engine.generate({ tokens, sampling: { temperature: 0, maxTokens, ignoreEos: true } })) {
    first ||= performance.now();
  }
  return { ttft: first - start, tpot: (performance.now() - first) / Math.max(1, maxTokens - 1) };
}

async function measure(concurrency: number): Promise<Level> {
  const times: { ttft: number; tpot: number }[] = [];
  const client = async () => {
    for (let round = 0; round < rounds; round++) times.push(await request(randomPrompt(input)));
  };
  const start = performance.now();
  await Promise.all(Array.from({ length: concurrency }, client));
  const seconds = (performance.now() - start) / 1000;
  const [ttft, tpot] = [times.map((time) => time.ttft), times.map((time) => time.tpot)];
  return {
    concurrency,
    requests: times.length,
    requestsPerSecond: times.length / seconds,
    tokensPerSecond: (times.length * output) / seconds,
    ttftP50: quantile(ttft, 0.5),
    ttftP99: quantile(ttft, 0.99),
    tpotP50: quantile(tpot, 0.5),
    tpotP99: quantile(tpot, 0.99),
  };
}

async function measurePrefix(): Promise<{ cold: number; cached: number }> {
  const [cold, cached]: [number[], number[]] = [[], []];
  for (let i = 0; i < repeat; i++) {
    const prompt = randomPrompt(LONG_PROMPT);
    cold.push((await request(prompt, 1)).ttft);
    cached.push((await request([...prompt.slice(0, CACHED), ...randomPrompt(LONG_PROMPT - CACHED)], 1)).ttft);
  }
  return { cold: median(cold), cached: median(cached) };
}

/** The smallest of the values that at least this share of them does not exceed. */
function quantile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}
