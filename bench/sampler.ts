/**
 * The sampler beside the forward pass: how much of a decode step of a batch goes into choosing its tokens.
 *
 *   npm run bench -- sampler                     16 sequences, Qwen2.5-0.5B shape (151,936 tokens), Q4_0, 2 threads
 *   npm run bench -- sampler --sequences 4 --quantization q8_0 --threads 1
 */

import { parseArgs } from 'node:util';
import { type LoadedModel, loadModel } from '../engine/load-model.ts';
import { WasmDevice } from '../kernels/index.ts';
import { resolveSampling, Sampler, type SamplingParams } from '../sampling/index.ts';
import { randomModel } from './support/random-model.ts';
import { machine, median, printTable, rounded } from './support/table.ts';

const { values: options } = parseArgs({
  options: {
    shape: { type: 'string', default: 'qwen2.5-0.5b' },
    quantization: { type: 'string', default: 'q4_0' },
    threads: { type: 'string', default: '2' },
    sequences: { type: 'string', default: '16' },
    repeat: { type: 'string', default: '9' },
  },
});
const [threads, sequences, repeat] = [options.threads, options.sequences, options.repeat].map(Number);

/** Tokens of prompt and of output that the penalties look at. */
const [PROMPT, OUTPUT] = [256, 256];

const WAYS: Readonly<Record<string, SamplingParams>> = {
  'temperature 1, top_p 0.95, penalties': {
    topP: 0.95,
    repetitionPenalty: 1.1,
    frequencyPenalty: 0.2,
    presencePenalty: 0.1,
  },
  'temperature 1, top_p 0.95': { topP: 0.95 },
  'temperature 1, top_k 50, top_p 0.95': { topK: 50, topP: 0.95 },
  'temperature 1': {},
  greedy: { temperature: 0 },
  'greedy, 5 log-probabilities': { temperature: 0, logprobs: 5 },
};

const device = await WasmDevice.create({ threads });
const model = await loadModel(await randomModel(options.shape), {
  device,
  quantize: options.quantization as 'q8_0' | 'q4_0',
  maxModelLen: 512,
  maxNumSeqs: sequences,
  maxNumBatchedTokens: sequences,
});
const stepMs = await decodeStep(model);
const { vocabSize } = model;
await model.close();

const logits = Array.from({ length: sequences }, (_, i) => likeAText(vocabSize, i + 1));
const results = Object.entries(WAYS).map(([name, params]) => ({ name, ms: samplingMs(params) }));
const { cpu } = machine();
console.log(
  `${sequences} sequences, ${vocabSize} tokens, ${PROMPT} + ${OUTPUT} tokens before; ${cpu}, ${process.version}`,
);
console.log(`decode step: ${rounded(stepMs)} ms (${options.shape}, ${options.quantization}, ${threads} threads)\n`);
printTable(
  ['sampling', 'ms a step', 'of the step'],
  results.map(({ name, ms }) => [name, rounded(ms, 2), `${rounded((100 * ms) / (ms + stepMs))}%`]),
);
console.log(`\n${JSON.stringify({ bench: 'sampler', ...machine(), sequences, vocabSize, stepMs, results })}`);

/** Milliseconds of one decode step of all sequences, logits read. */
async function decodeStep(model: LoadedModel): Promise<number> {
  const slots = Array.from({ length: sequences }, (_, i) => i);
  const times: number[] = [];
  for (let position = 0; position < repeat + 2; position++) {
    const start = performance.now();
    await model.forward({
      tokens: slots.map((slot) => (slot * 7919 + position) % model.vocabSize),
      positions: slots.map(() => position),
      slots,
      blockTables: slots.map((slot) => [slot]),
      logitRows: slots,
    });
    times.push(performance.now() - start);
  }
  return median(times.slice(2));
}

function samplingMs(params: SamplingParams): number {
  const sampling = resolveSampling({ seed: 1, ...params }, { maxTokens: 1000 }, vocabSize);
  const samplers = logits.map((_, choiceIndex) => new Sampler(sampling, { vocabSize, choiceIndex }));
  const history = {
    promptIds: Array.from({ length: PROMPT }, (_, i) => (i * 7919) % vocabSize),
    outputIds: Array.from({ length: OUTPUT }, (_, i) => (i * 104_729) % vocabSize),
  };
  const times: number[] = [];
  for (let i = 0; i < repeat + 2; i++) {
    const start = performance.now();
    for (const [s, sampler] of samplers.entries()) sampler.sample(logits[s], history);
    times.push(performance.now() - start);
  }
  return median(times.slice(2));
}

/** Logits as a language model has them: a normal crowd of the unlikely, and some dozens that stand out. */
function likeAText(size: number, seed: number): Float32Array {
  let state = seed;
  const uniform = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state + 0.5) / 2 ** 32;
  };
  const values = Float32Array.from({ length: size }, () => 2.2 * (uniform() + uniform() + uniform() + uniform() - 2));
  for (let rank = 1; rank <= 60; rank++) values[Math.floor(uniform() * size)] = 16 - 2 * Math.log(rank) + uniform();
  return values;
}
