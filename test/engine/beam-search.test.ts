import { readdirSync, readFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createSearch } from '../../engine/create-search.ts';
import { Generation } from '../../engine/generation.ts';
import { loadModel } from '../../engine/load-model.ts';
import type { Model } from '../../engine/model.ts';
import { openDirectory } from '../../engine/node/directory-source.ts';
import { StepLoop } from '../../engine/step-loop.ts';
import type { GenerateOutput, GenerateRequest } from '../../engine/types.ts';
import { type Grammar, GrammarError } from '../../grammar/index.ts';
import { WasmDevice } from '../../kernels/index.ts';
import type { SamplingParams } from '../../sampling/index.ts';
import { FakeModel, hashLogits } from './fake-model.ts';

const test = suite('beam search');

const EOS = 0;

interface Outcome {
  readonly outputs: readonly GenerateOutput[];
  readonly loop: StepLoop;
}

/** Token i of the text is the letter with number i; the end token has no text. */
async function search(
  model: Model,
  prompt: readonly number[],
  request: Pick<GenerateRequest, 'beam' | 'bestOf' | 'grammar'>,
  sampling: SamplingParams,
): Promise<Outcome> {
  const loop = new StepLoop(model);
  const tools = {
    tokenizer: { streamDecoder: () => ({ push: (id: number) => (id === EOS ? '' : String.fromCharCode(96 + id)) }) },
    vocabSize: model.vocabSize,
    eosTokenIds: [EOS],
    draftLength: 0,
  };
  const generation = new Generation(
    loop,
    createSearch(request, prompt, sampling, { temperature: 0.7, topP: 0.9 }, tools as never),
  );
  const outputs: GenerateOutput[] = [];
  for await (const output of generation) outputs.push(output);
  const { running, waiting, freeBlocks, totalBlocks } = loop.stats;
  assert.equal([running, waiting, freeBlocks], [0, 0, totalBlocks]);
  return { outputs, loop };
}

for (const name of readdirSync(new URL('../oracle/models', import.meta.url)).filter(
  (file) => !file.endsWith('.json'),
)) {
  test(`${name} on wasm: the beams are those of the reference`, async () => {
    const folder = new URL(`../oracle/models/${name}`, import.meta.url).pathname;
    const { beam } = JSON.parse(readFileSync(`${folder}/reference.json`, 'utf8'));
    const source = await openDirectory(folder);
    const device = await WasmDevice.create({ threads: 2 });
    const model = await loadModel(source, { device, maxNumSeqs: 8, maxModelLen: 128 });
    try {
      const { outputs } = await search(
        model,
        beam.ids,
        { beam: { width: beam.num_beams, lengthPenalty: beam.length_penalty } },
        { n: beam.num_beams, maxTokens: beam.new_tokens, ignoreEos: true, logprobs: 0 },
      );
      for (const [i, { index, tokenIds, logprobs }] of outputs.entries()) {
        assert.is(index, i);
        assert.equal(tokenIds, beam.sequences[i].new);
        const score = logprobs!.reduce((sum, { logprob }) => sum + logprob, 0) / beam.new_tokens ** beam.length_penalty;
        assert.ok(Math.abs(score - beam.sequences[i].score) < 1e-3, `${score}, not ${beam.sequences[i].score}`);
      }
      assert.is(outputs.length, beam.sequences.length);
    } finally {
      await source.close();
      await model.close();
    }
  });
}

// Five tokens: everything that a search could find can be tried.
const VOCABULARY = 5;
const limits = { vocabSize: VOCABULARY, maxModelLen: 64, kvBlocks: 32, maxRows: 64, maxSeqs: 32, maxLogitRows: 32 };
const PROMPT = [3, 1, 4];

interface Text {
  readonly tokens: number[];
  readonly logprob: number;
}

/** Every text of at most `length` tokens, with its log-probability. */
function allTexts(length: number): Text[] {
  const ended: Text[] = [];
  let open: Text[] = [{ tokens: [], logprob: 0 }];
  for (let i = 1; i <= length; i++) {
    const longer = open.flatMap(({ tokens, logprob }) => {
      const logits = hashLogits([...PROMPT, ...tokens], VOCABULARY);
      const total = Math.log(logits.reduce((sum, x) => sum + Math.exp(x), 0));
      return Array.from(logits, (x, id) => ({ tokens: [...tokens, id], logprob: logprob + x - total }));
    });
    ended.push(...longer.filter(({ tokens }) => tokens.at(-1) === EOS || i === length));
    open = longer.filter(({ tokens }) => tokens.at(-1) !== EOS);
  }
  return ended;
}

function score({ tokens, logprob }: Text, lengthPenalty: number): number {
  const length = PROMPT.length + tokens.length - (tokens.at(-1) === EOS ? 1 : 0);
  return logprob / length ** lengthPenalty;
}

const sumOf = ({ logprobs }: GenerateOutput) => logprobs!.reduce((sum, { logprob }) => sum + logprob, 0);

test('a search as wide as the choice finds the best texts of all', async () => {
  for (const lengthPenalty of [1, 0, -1, 2.5]) {
    const expected = allTexts(3).sort((a, b) => score(b, lengthPenalty) - score(a, lengthPenalty));
    const beam = { width: 200, lengthPenalty, earlyStopping: 'never' as const };
    const { outputs } = await search(new FakeModel(limits), PROMPT, { beam }, { n: 5, maxTokens: 3, logprobs: 1 });
    for (const [i, output] of outputs.entries()) {
      assert.equal(output.tokenIds, expected[i].tokens, `penalty ${lengthPenalty}, text ${i}`);
      assert.ok(Math.abs(sumOf(output) - expected[i].logprob) < 1e-4);
      const ends = output.tokenIds.at(-1) === EOS;
      assert.equal([output.finishReason, output.stopReason], [ends ? 'stop' : 'length', null]);
      assert.is(output.text, output.tokenIds.map((id) => (id === EOS ? '' : 'xabcd'[id])).join(''));
      assert.is(output.logprobs![0].top.length, 1);
    }
  }
});

test('the texts are the same in a cache and a batch that hold one of them at a time', async () => {
  const params = { n: 4, maxTokens: 40, ignoreEos: true };
  const beam = { width: 4, lengthPenalty: 1 };
  const { outputs } = await search(new FakeModel(limits), PROMPT, { beam }, params);
  for (const less of [{ kvBlocks: 3 }, { maxSeqs: 1, maxLogitRows: 1 }, { maxSeqs: 3, kvBlocks: 5, maxRows: 7 }]) {
    const small = await search(new FakeModel({ ...limits, ...less }), PROMPT, { beam }, params);
    assert.equal(small.outputs, outputs);
    assert.ok(small.loop.stats.preemptions > 0);
  }
  assert.equal(outputs[0].logprobs, undefined);
});

test('early stopping ends the search when as many texts have ended as are followed', async () => {
  const steps: number[] = [];
  for (const earlyStopping of [true, false, 'never'] as const) {
    const model = new FakeModel(limits);
    const { outputs } = await search(
      model,
      PROMPT,
      { beam: { width: 2, lengthPenalty: 2, earlyStopping } },
      { n: 2, maxTokens: 30, logitBias: { [EOS]: 2 }, logprobs: 0 },
    );
    assert.is(outputs.length, 2);
    assert.ok(score(textOf(outputs[0]), 2) >= score(textOf(outputs[1]), 2));
    steps.push(model.steps);
  }
  assert.ok(steps[0] < steps[1] && steps[1] < steps[2], `${steps} steps`);
});

const textOf = (output: GenerateOutput): Text => ({ tokens: [...output.tokenIds], logprob: sumOf(output) });

test('stop strings, stop tokens and min_tokens hold for every text', async () => {
  const beam = { width: 3 };
  const params = { n: 3, maxTokens: 12, ignoreEos: true };
  const { outputs: stopped } = await search(new FakeModel(limits), PROMPT, { beam }, { ...params, stop: 'ab' });
  for (const { text, finishReason, stopReason } of stopped) {
    assert.not(text.includes('ab'));
    assert.equal([finishReason, stopReason], finishReason === 'stop' ? ['stop', 'ab'] : ['length', null]);
  }
  assert.ok(stopped.some(({ finishReason }) => finishReason === 'stop'));
  const stopTokens = { ...params, stopTokenIds: [2], minTokens: 3 };
  const { outputs } = await search(new FakeModel(limits), PROMPT, { beam }, stopTokens);
  for (const { tokenIds } of outputs) assert.ok(tokenIds.length > 3 && tokenIds.slice(0, -1).every((id) => id !== 2));
});

/** The words, each of which may be followed by nothing. */
function words(list: readonly (readonly number[])[]): Grammar {
  return {
    matcher: () => {
      const taken: number[] = [];
      const fitting = () => list.filter((word) => taken.every((id, i) => word[i] === id));
      return {
        fillMask: (mask) => {
          mask.fill(0);
          for (const word of fitting()) if (word.length > taken.length) mask[0] |= 1 << word[taken.length];
        },
        accept: (id) => {
          if (!fitting().some((word) => word[taken.length] === id)) return false;
          taken.push(id);
          return true;
        },
        canFinish: () => fitting().some((word) => word.length === taken.length),
        rollback: () => {},
        forcedTokens: () => [],
        reset: () => {},
      };
    },
  };
}

test('a grammar holds for every text, and a text that cannot go on and may not end is dropped', async () => {
  const beam = { width: 4 };
  const list = [[1], [1, 2, 3], [4, 4], [2, 1, 2, 1]];
  const { outputs } = await search(
    new FakeModel(limits),
    PROMPT,
    { beam, grammar: words(list) },
    { n: 4, maxTokens: 9 },
  );
  assert.equal(
    outputs.map(({ tokenIds }) => tokenIds.slice(0, -1)).sort((a, b) => a.length - b.length),
    list.sort((a, b) => a.length - b.length),
  );
  // The end token is not allowed before the tenth token, but a text that may end ends without it.
  const without = await search(
    new FakeModel(limits),
    PROMPT,
    { beam, grammar: words([[1, 2]]) },
    { maxTokens: 12, minTokens: 10 },
  );
  assert.equal(
    without.outputs.map(({ tokenIds, finishReason }) => [tokenIds, finishReason]),
    [[[1, 2], 'stop']],
  );
  const nothing: Grammar = { matcher: () => ({ ...words([]).matcher(), canFinish: () => false }) };
  try {
    await search(new FakeModel(limits), PROMPT, { beam, grammar: nothing }, { maxTokens: 9 });
    assert.unreachable();
  } catch (error) {
    assert.instance(error, GrammarError);
  }
});

test('what beam search cannot take is refused', async () => {
  const model = new FakeModel(limits);
  const refusals: [GenerateRequest['beam'], SamplingParams, RegExp][] = [
    [{ width: 1 }, {}, /^best_of must be an integer from 2/],
    [{ width: 1000 }, {}, /^best_of/],
    [{ width: 2 }, { n: 3 }, /^n must be an integer from 1 to best_of=2/],
    [{ width: 2 }, { temperature: 0.5 }, /^temperature must be 0/],
    [{ width: 2 }, { topP: 0.5 }, /^top_p/],
    [{ width: 2 }, { topK: 5 }, /^top_k/],
    [{ width: 2, lengthPenalty: Number.NaN }, {}, /^length_penalty/],
    [{ width: 2, earlyStopping: 'often' as never }, {}, /^early_stopping/],
  ];
  for (const [beam, sampling, message] of refusals) {
    const error = await search(model, PROMPT, { beam }, { maxTokens: 5, ...sampling }).catch((reason) => reason);
    assert.is(error.name, 'RequestError');
    assert.match(error.message, message);
  }
});

test('best_of samples more texts than are given, and gives the likeliest', async () => {
  const params = { seed: 5, temperature: 1, topP: 1, maxTokens: 10 };
  const all = (await search(new FakeModel(limits), PROMPT, {}, { ...params, n: 8, logprobs: 0 })).outputs;
  const merged = Array.from({ length: 8 }, (_, index) => all.filter((output) => output.index === index));
  const ranked = merged
    .map((outputs) => ({
      tokenIds: outputs.flatMap(({ tokenIds }) => tokenIds),
      sum: outputs.reduce((sum, output) => sum + sumOf(output), 0),
    }))
    .sort((a, b) => b.sum - a.sum);
  const { outputs } = await search(new FakeModel(limits), PROMPT, { bestOf: 8 }, { ...params, n: 3 });
  assert.equal(
    outputs.map(({ index, tokenIds, logprobs }) => [index, tokenIds, logprobs]),
    ranked.slice(0, 3).map(({ tokenIds }, index) => [index, tokenIds, undefined]),
  );
  const withLogprobs = await search(new FakeModel(limits), PROMPT, { bestOf: 8 }, { ...params, logprobs: 2 });
  assert.is(withLogprobs.outputs[0].logprobs![0].top.length, 2);
  assert.is(withLogprobs.outputs.length, 1);
});

test('best_of below n, above the limit, or with greedy sampling is refused', async () => {
  const model = new FakeModel(limits);
  for (const [bestOf, sampling] of [
    [2, { n: 3 }],
    [257, {}],
    [1.5, {}],
    [2, { temperature: 0 }],
  ] as const) {
    const error = await search(model, PROMPT, { bestOf }, { maxTokens: 5, ...sampling }).catch((reason) => reason);
    assert.match(error.message, /^best_of must be/);
  }
});

test.run();
