/**
 * Sampling beside the forward pass: how much of a decode step of a batch goes into choosing its tokens, on the device's
 * threads (the reduction of the logits) and on the main thread (the sampler), and what it takes from whole rows instead.
 *
 * The logits come from a table of rows made up to look like those of a text, or flat ones as a model with random weights
 * has them.
 */

import { type LoadedModel, loadModel } from '../engine/load-model.ts';
import { QUANTIZATIONS } from '../engine/types.ts';
import { KV_BLOCK_SIZE, type LogitReduction, WasmDevice } from '../kernels/index.ts';
import { resolveSampling, Sampler, type SamplingParams } from '../sampling/index.ts';
import { INTEGER, oneOf, readOptions } from './support/options.ts';
import { randomModel, SHAPES } from './support/random-model.ts';
import { machine, median, printTable, rounded } from './support/table.ts';

const options = readOptions({
  about: 'Sampling beside the forward pass: how much of a decode step goes into choosing its tokens.',
  examples: [
    ['', '16 sequences, Qwen2.5-0.5B shape (151,936 tokens), Q4_0, 2 threads'],
    ['--sequences 4 --quantization q8_0 --threads 1', ''],
  ],
  options: {
    shape: { kind: oneOf(...Object.keys(SHAPES)), fallback: 'qwen2.5-0.5b', help: 'of random weights' },
    quantization: { kind: oneOf(...QUANTIZATIONS), fallback: 'q4_0', help: 'what weights are rounded to' },
    threads: { kind: INTEGER, fallback: '2', help: 'threads of wasm' },
    sequences: { kind: INTEGER, fallback: '16', help: 'of a step' },
    repeat: { kind: INTEGER, fallback: '9', help: 'runs, of which the median counts' },
  },
});
const { threads, sequences, repeat } = options;

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
  quantize: options.quantization,
  maxModelLen: 512,
  maxNumSeqs: sequences,
  maxNumBatchedTokens: sequences,
});
const stepMs = await decodeStep(model);
const { vocabSize } = model;
await model.close();

const rows = Array.from({ length: sequences }, (_, i) => likeAText(vocabSize, i + 1));
const flatRows = rows.map((row) => row.map((logit) => logit / 20));
const results = [];
for (const [name, params] of Object.entries(WAYS)) results.push({ name, ...(await measure(rows, params)) });
results.push({ name: 'temperature 1, top_p 0.95, flat logits', ...(await measure(flatRows, { topP: 0.95 })) });
const { cpu } = machine();
console.log(
  `${sequences} sequences, ${vocabSize} tokens, ${PROMPT} + ${OUTPUT} tokens before; ${cpu}, ${process.version}`,
);
console.log(`decode step: ${rounded(stepMs)} ms (${options.shape}, ${options.quantization}, ${threads} threads)\n`);
printTable(
  ['sampling', 'device ms', 'sampler ms', 'of the step', 'rows read', 'from rows ms'],
  results.map(({ name, deviceMs, samplerMs, rowsRead, fromRowsMs }) => [
    name,
    rounded(deviceMs, 2),
    rounded(samplerMs, 2),
    `${rounded((100 * (deviceMs + samplerMs)) / (deviceMs + samplerMs + stepMs))}%`,
    rounded(rowsRead, 1),
    rounded(fromRowsMs, 2),
  ]),
);
console.log(`\n${JSON.stringify({ bench: 'sampler', ...machine(), sequences, vocabSize, stepMs, results })}`);

/** Milliseconds of one decode step of all sequences. */
async function decodeStep(model: LoadedModel): Promise<number> {
  const slots = Array.from({ length: sequences }, (_, i) => i);
  const times: number[] = [];
  for (let position = 0; position < repeat + 2; position++) {
    const start = performance.now();
    await model.forward({
      tokens: slots.map((slot) => (slot * 7919 + position) % model.vocabSize),
      // Each sequence has one block.
      positions: slots.map(() => position % KV_BLOCK_SIZE),
      slots,
      blockTables: slots.map((slot) => [slot]),
      logitRows: slots,
    });
    times.push(performance.now() - start);
  }
  return median(times.slice(2));
}

/** Choosing the tokens of a step from logits that are on the device already; medians over the steps. */
async function measure(logits: readonly Float32Array[], params: SamplingParams) {
  const sampling = resolveSampling({ seed: 1, ...params }, { maxTokens: 1000 }, vocabSize);
  const samplers = logits.map((_, choiceIndex) => new Sampler(sampling, { vocabSize, choiceIndex }));
  const history = {
    promptIds: Array.from({ length: PROMPT }, (_, i) => (i * 7919) % vocabSize),
    outputIds: Array.from({ length: OUTPUT }, (_, i) => (i * 104_729) % vocabSize),
  };
  const reducer = await reducerOf(logits);
  const slots = logits.map((_, i) => i);
  const [device, sampler, fromRows, read]: [number[], number[], number[], number[]] = [[], [], [], []];
  for (let i = 0; i < repeat + 2; i++) {
    history.outputIds.push((i * 7_368_787) % vocabSize);
    const start = performance.now();
    const reductions = samplers.map((one) => one.query(history));
    const asked = performance.now();
    const idle = await reducer.run(slots.map(() => null));
    const bare = performance.now();
    const reduced = await reducer.run(reductions);
    const found = performance.now();
    const unread = slots.filter((s) => {
      const summary = reduced[s];
      return !summary || samplers[s].sampleFrom(summary, history) === undefined;
    });
    for (const s of unread) samplers[s].sample(await reducer.read(s), history);
    const chosen = performance.now();
    for (const s of slots) samplers[s].sample(logits[s], history);
    const end = performance.now();
    if (idle.length !== sequences) throw new Error('a row is missing');
    device.push(Math.max(0, found - bare - (bare - asked)));
    sampler.push(chosen - found + (asked - start));
    fromRows.push(end - chosen);
    read.push(unread.length);
  }
  await reducer.device.close();
  return {
    deviceMs: median(device.slice(2)),
    samplerMs: median(sampler.slice(2)),
    rowsRead: read.reduce((sum, n) => sum + n, 0) / read.length,
    fromRowsMs: median(fromRows.slice(2)),
  };
}

/** A device whose steps give the rows as logits and reduce them. */
async function reducerOf(rows: readonly Float32Array[]) {
  const device = await WasmDevice.create({ threads });
  const slots = rows.map((_, i) => i);
  const shape = { maxRows: sequences, cols: vocabSize };
  device.setStepLimits({ maxRows: sequences, maxLogitRows: sequences, maxSlots: 1, maxBlocksPerSlot: 1 });
  const table = device.createWeight({ name: 'rows', rows: sequences, cols: vocabSize, format: 'F32' });
  for (const [r, row] of rows.entries()) await device.writeWeight(table, r, new Uint8Array(row.buffer), 'F32');
  const hidden = device.createTensor({ name: 'hidden', ...shape });
  const logits = device.createTensor({ name: 'logits', domain: 'logits', ...shape });
  const reduction = device.createReduction(logits);
  const step = { tokens: slots, positions: slots.map(() => 0), slots: slots.map(() => 0), blockTables: [[0]] };
  const fill = device.record(sequences, (record) => {
    record.embed({ table, out: hidden });
    record.gatherRows({ x: hidden, out: logits });
  });
  await device.run(fill, { ...step, logitRows: slots });
  const plan = device.record(sequences, (record) => record.reduceLogits({ logits, out: reduction }));
  return {
    device,
    async run(reductions: readonly (LogitReduction | null)[]) {
      await device.run(plan, { ...step, logitRows: slots, reductions });
      return device.readReduction(reduction);
    },
    read: (row: number) => device.read(logits, 1, row),
  };
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
