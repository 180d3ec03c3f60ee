import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { resolveSampling, SamplingError, type SamplingParams } from '../../sampling/index.ts';

const test = suite('sampling parameters');

const VOCAB = 100;
const resolve = (params: object, defaults: Partial<SamplingParams> = {}) => resolveSampling(params, defaults, VOCAB);

test('with nothing given, nothing changes the distribution and nothing but the model ends the text', () => {
  const { seed, ...rest } = resolve({});
  assert.is(typeof seed, 'bigint');
  assert.equal(rest, {
    n: 1,
    greedy: false,
    temperature: 1,
    topP: 1,
    topK: 0,
    minP: 0,
    maxTokens: Number.POSITIVE_INFINITY,
    minTokens: 0,
    stop: [],
    stopTokenIds: [],
    ignoreEos: false,
    includeStopStrInOutput: false,
    skipSpecialTokens: true,
    spacesBetweenSpecialTokens: true,
    logprobs: null,
    logitBias: new Map(),
    presencePenalty: 0,
    frequencyPenalty: 0,
    repetitionPenalty: 1,
    allowedTokenIds: null,
    badTokens: [],
    repetitionDetection: null,
    logprobsMode: 'processed_logprobs',
  });
});

test('a given value wins over a default, an undefined one does not', () => {
  const defaults = { temperature: 0.6, topK: 20, topP: 0.95 };
  const { temperature, topK, topP } = resolve({ temperature: 0.3, topK: undefined, topP: 1 }, defaults);
  assert.equal({ temperature, topK, topP }, { temperature: 0.3, topK: 20, topP: 1 });
});

const refused: [params: object, param: string, shown: string][] = [
  [{ n: 0 }, 'n', '0'],
  [{ n: 129 }, 'n', '129'],
  [{ n: 1.5 }, 'n', '1.5'],
  [{ presencePenalty: 2.5 }, 'presence_penalty', '2.5'],
  [{ frequencyPenalty: -2.01 }, 'frequency_penalty', '-2.01'],
  [{ repetitionPenalty: 0 }, 'repetition_penalty', '0'],
  [{ temperature: -1 }, 'temperature', '-1'],
  [{ temperature: Number.NaN }, 'temperature', 'NaN'],
  [{ temperature: Number.POSITIVE_INFINITY }, 'temperature', 'Infinity'],
  [{ temperature: '1' }, 'temperature', '"1"'],
  [{ topP: 0 }, 'top_p', '0'],
  [{ topP: 1.01 }, 'top_p', '1.01'],
  [{ topK: -2 }, 'top_k', '-2'],
  [{ topK: 2.5 }, 'top_k', '2.5'],
  [{ minP: 1.5 }, 'min_p', '1.5'],
  [{ minP: -0.1 }, 'min_p', '-0.1'],
  [{ maxTokens: 0 }, 'max_tokens', '0'],
  [{ minTokens: -3 }, 'min_tokens', '-3'],
  [{ minTokens: 11, maxTokens: 10 }, 'min_tokens', '11'],
  [{ logprobs: -1 }, 'logprobs', '-1'],
  [{ stop: '' }, 'stop', '""'],
  [{ stop: ['a', ''] }, 'stop', '""'],
  [{ stop: ['a', 7] }, 'stop', '7'],
  [{ stop: Array(1025).fill('a') }, 'stop', '1025'],
  [{ stop: ['a'.repeat(65_537)] }, 'stop', '65537'],
  [{ temperature: 0, n: 2 }, 'n', '2'],
  [{ seed: 1.5 }, 'seed', '1.5'],
  [{ stopTokenIds: [1.5] }, 'stop_token_ids', '1.5'],
  [{ logitBias: { [VOCAB]: 1 } }, 'logit_bias', '100'],
  [{ logitBias: { '-1': 1 } }, 'logit_bias', '"-1"'],
  [{ logitBias: { '1e1': 1 } }, 'logit_bias', '"1e1"'],
  [{ logitBias: { '3': Number.NaN } }, 'logit_bias', 'NaN'],
  [{ ignoreEos: 1 }, 'ignore_eos', '1'],
  [{ logprobsMode: 'cooked' }, 'logprobs_mode', '"cooked"'],
];

for (const [params, param, shown] of refused) {
  test(`${JSON.stringify(params).slice(0, 60)} is refused, with ${param} and ${shown} in the message`, () => {
    const error = refusal(() => resolve(params));
    assert.is(error.param, param);
    assert.ok(error.message.startsWith(param), error.message);
    assert.ok(error.message.includes(shown), error.message);
  });
}

test('of several faults the first in the reference order is told', () => {
  const faults = { topP: 2, temperature: -1, n: 0, stop: '', minP: 9 };
  assert.is(refusal(() => resolve(faults)).param, 'n');
  assert.is(refusal(() => resolve({ ...faults, n: 1 })).param, 'temperature');
  assert.is(refusal(() => resolve({ ...faults, n: 1, temperature: 1 })).param, 'top_p');
  assert.is(refusal(() => resolve({ ...faults, n: 1, temperature: 1, topP: 1 })).param, 'min_p');
  assert.is(refusal(() => resolve({ ...faults, n: 1, temperature: 1, topP: 1, minP: 1 })).param, 'stop');
});

test('greedy turns truncation off, but checks its range first', () => {
  const { greedy, temperature, topP, topK, minP } = resolve({ temperature: 1e-6, topP: 0.5, topK: 3, minP: 0.2 });
  assert.equal({ greedy, temperature, topP, topK, minP }, { greedy: true, temperature: 1, topP: 1, topK: 0, minP: 0 });
  assert.is(refusal(() => resolve({ temperature: 0, topP: 0 })).param, 'top_p');
});

test('top_k is off when it is -1, 0, or at least the vocabulary', () => {
  for (const topK of [-1, 0, VOCAB, VOCAB + 1]) assert.is(resolve({ topK }).topK, 0);
  assert.is(resolve({ topK: VOCAB - 1 }).topK, VOCAB - 1);
});

test('a temperature above 2 and a repetition penalty above 2 are accepted', () => {
  assert.is(resolve({ temperature: 100 }).temperature, 100);
  assert.is(resolve({ repetitionPenalty: 5 }).repetitionPenalty, 5);
});

test('the seed is a 64-bit integer, -1 draws a random one, 0 is a seed', () => {
  assert.is(resolve({ seed: 0 }).seed, 0n);
  assert.is(resolve({ seed: -2 }).seed, 2n ** 64n - 2n);
  assert.is(resolve({ seed: 2n ** 63n - 1n }).seed, 2n ** 63n - 1n);
  assert.is.not(resolve({ seed: -1 }).seed, resolve({ seed: -1n }).seed);
  assert.match(refusal(() => resolve({ seed: 2n ** 63n })).message, 'less_than_equal');
  assert.match(refusal(() => resolve({ seed: -(2n ** 63n) - 1n })).message, 'greater_than_equal');
});

test('logit_bias values are clamped, and a bad id is told with the size of the vocabulary', () => {
  assert.equal([...resolve({ logitBias: { 3: 250, 7: -101, 8: 0.5 } }).logitBias].sort(), [
    [3, 100],
    [7, -100],
    [8, 0.5],
  ]);
  const { message } = refusal(() => resolve({ logitBias: { 250: 1 } }));
  assert.match(message, '250');
  assert.match(message, '100');
});

test('stop token ids outside the vocabulary are left out', () => {
  assert.equal(resolve({ stopTokenIds: [5, -1, VOCAB, 99] }).stopTokenIds, [5, 99]);
});

test('allowed_token_ids are token ids, at least one', () => {
  assert.equal(resolve({ allowedTokenIds: [3, 3, 0] }).allowedTokenIds, [3, 0]);
  assert.is(resolve({}).allowedTokenIds, null);
  for (const ids of [[], [-1], [VOCAB], [1.5]]) {
    assert.is(refusal(() => resolve({ allowedTokenIds: ids })).param, 'allowed_token_ids');
  }
});

test('bad_words come to a bounded number of bounded sequences', () => {
  assert.is(refusal(() => resolve({ badTokens: Array(2049).fill([1]) })).param, 'bad_words');
  assert.is(refusal(() => resolve({ badTokens: [Array(257).fill(1)] })).param, 'bad_words');
});

test('a long value is cut in the message', () => {
  const { message } = refusal(() => resolve({ logitBias: { ['9'.repeat(5000)]: 1 } }));
  assert.ok(message.length < 250, message);
});

function refusal(run: () => unknown): SamplingError {
  try {
    run();
  } catch (error) {
    assert.instance(error, SamplingError);
    return error as SamplingError;
  }
  throw new Error('nothing was refused');
}

test.run();
