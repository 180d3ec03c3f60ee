import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  type History,
  type LogprobsMode,
  rankedLogprobs,
  resolveSampling,
  Sampler,
  SamplingError,
  type SamplingParams,
} from '../../sampling/index.ts';
import { arbitraryParams } from './arbitrary-params.ts';

const test = suite('sampler');

const NO_HISTORY: History = { promptIds: [], outputIds: [] };

/** The formulas of the reference, plainly and in float64: probabilities after every stage. */
function expectedProbabilities(
  logits: Float32Array,
  params: SamplingParams,
  { promptIds, outputIds }: History,
  allowed: (id: number) => boolean = () => true,
): number[] {
  const { temperature = 1, topK = 0, topP = 1, minP = 0 } = params;
  const { logitBias = {}, repetitionPenalty = 1, frequencyPenalty = 0, presencePenalty = 0 } = params;
  const z = Array.from(logits, (logit, id) => (allowed(id) ? logit + (logitBias[id] ?? 0) : -Infinity));
  for (let id = 0; id < z.length; id++) {
    const count = Array.from(outputIds).filter((other) => other === id).length;
    if (count > 0 || Array.from(promptIds).includes(id)) {
      z[id] = z[id] > 0 ? z[id] / repetitionPenalty : z[id] * repetitionPenalty;
    }
    z[id] -= frequencyPenalty * count + (count > 0 ? presencePenalty : 0);
  }
  const greedy = temperature < 1e-5;
  if (!greedy) for (let id = 0; id < z.length; id++) z[id] /= temperature;
  if (!greedy && topK > 0 && topK < z.length) {
    const threshold = [...z].sort((a, b) => b - a)[topK - 1];
    for (let id = 0; id < z.length; id++) if (z[id] < threshold) z[id] = -Infinity;
  }
  let p = softmax(z);
  if (!greedy && topP < 1) {
    const ascending = [...p.keys()].sort((a, b) => p[a] - p[b] || b - a);
    let cumulative = 0;
    for (const id of ascending.slice(0, -1)) {
      cumulative += p[id];
      if (cumulative <= 1 - topP) z[id] = -Infinity;
    }
    p = softmax(z);
  }
  if (!greedy && minP > 0) {
    const most = Math.max(...p);
    for (let id = 0; id < z.length; id++) if (p[id] < minP * most) z[id] = -Infinity;
    p = softmax(z);
  }
  return p;
}

function softmax(z: number[]): number[] {
  const max = Math.max(...z);
  const weights = z.map((x) => Math.exp(x - max));
  const total = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / total);
}

function samplerFor(params: SamplingParams, vocabSize: number, choiceIndex = 0): Sampler {
  return new Sampler(resolveSampling(params, {}, vocabSize), { vocabSize, choiceIndex });
}

/** The whole final distribution as the sampler tells it through log-probabilities. */
function toldProbabilities(
  logits: Float32Array,
  params: SamplingParams,
  history: History,
  mask?: Uint32Array,
  bannedIds?: number[],
): number[] {
  const sampler = samplerFor({ ...params, logprobs: logits.length }, logits.length);
  const { top } = sampler.sample(logits, history, mask, bannedIds)!.logprobs!;
  const told = Array<number>(logits.length).fill(Number.NaN);
  for (const { tokenId, logprob } of top) told[tokenId] = Math.exp(logprob);
  return told;
}

function near(actual: number[], expected: number[], tolerance = 2e-6): void {
  assert.is(actual.length, expected.length);
  for (let i = 0; i < actual.length; i++) {
    assert.ok(Math.abs(actual[i] - expected[i]) <= tolerance, `[${i}] is ${actual[i]}, expected ${expected[i]}`);
  }
}

const EXAMPLE = Float32Array.of(2, 1, 0.5, -1, -0.5);
const EXAMPLE_HISTORY: History = { promptIds: [0], outputIds: [1, 1, 3] };
const EXAMPLE_PARAMS: SamplingParams = {
  repetitionPenalty: 1.5,
  frequencyPenalty: 0.3,
  presencePenalty: 0.4,
  temperature: 0.5,
  topK: 3,
  topP: 0.9,
  minP: 0.15,
};

test('the worked example of the API reference comes out, stage by stage', () => {
  const stage = (params: SamplingParams) => toldProbabilities(EXAMPLE, params, EXAMPLE_HISTORY);
  const { topK, topP, minP, ...processors } = EXAMPLE_PARAMS;
  near(stage(processors), [0.799383, 0.028517, 0.150984, 0.000682, 0.020433], 1e-6);
  near(stage({ ...processors, topK }), [0.816627, 0.029132, 0.154241, 0, 0], 1e-6);
  near(stage({ ...processors, topK, topP }), [0.841131, 0, 0.158869, 0, 0], 1e-6);
  near(stage({ ...processors, topK, topP, minP }), [0.841131, 0, 0.158869, 0, 0], 1e-6);
  near(stage({ ...processors, topK, topP, minP: 0.2 }), [1, 0, 0, 0, 0], 1e-6);
});

test('log-probabilities are those of the final distribution, and -Infinity for what was removed', () => {
  const sampler = samplerFor({ ...EXAMPLE_PARAMS, logprobs: 5 }, 5);
  const { top } = sampler.sample(EXAMPLE, EXAMPLE_HISTORY)!.logprobs!;
  assert.equal(
    top.map(({ tokenId }) => tokenId),
    [0, 2, 1, 4, 3],
  );
  near(
    top.slice(0, 2).map(({ logprob }) => logprob),
    [-0.173008, -1.839675],
    1e-6,
  );
  assert.equal(
    top.slice(2).map(({ logprob }) => logprob),
    [-Infinity, -Infinity, -Infinity],
  );
});

test('log-probabilities may be those of the model itself, under a mask, and logits instead', () => {
  const mask = Uint32Array.of(0b10111);
  const told = (logprobsMode: LogprobsMode, params: SamplingParams = EXAMPLE_PARAMS) => {
    const sampler = samplerFor({ ...params, seed: 1, logprobs: 5, logprobsMode }, 5);
    const { tokenId, logprob, top } = sampler.sample(EXAMPLE, EXAMPLE_HISTORY, mask)!.logprobs!;
    assert.is(logprob, top.find((other) => other.tokenId === tokenId)!.logprob);
    return top;
  };
  const raw = Array.from(EXAMPLE, (logit, id) => (id === 3 ? -Infinity : logit));
  const expected = softmax(raw);
  const byRaw = [0, 1, 2, 4, 3];
  for (const mode of ['raw_logprobs', 'raw_logits'] as const) {
    const top = told(mode);
    assert.equal(
      top.map(({ tokenId }) => tokenId),
      byRaw,
    );
    assert.is(top[4].logprob, -Infinity);
    near(
      top.slice(0, 4).map(({ logprob }) => logprob),
      byRaw.slice(0, 4).map((id) => (mode === 'raw_logits' ? raw[id] : Math.log(expected[id]))),
    );
  }
  const processed = told('processed_logits');
  assert.equal(
    processed.slice(0, 2).map(({ tokenId }) => tokenId),
    [0, 2],
  );
  near(
    processed.slice(0, 2).map(({ logprob }) => logprob),
    [2.666667, 1],
    1e-6,
  );
  assert.ok(processed.slice(2).every(({ logprob }) => logprob === -Infinity));
});

const arbitraryCase = fc.record({
  logits: fc
    .uniqueArray(fc.integer({ min: -1200, max: 1200 }), { minLength: 2, maxLength: 70 })
    .map((list) => Float32Array.from(list, (hundredths) => hundredths / 100)),
  params: fc.record(
    {
      ...arbitraryParams,
      logitBias: fc.dictionary(fc.constantFrom('0', '1'), fc.double({ min: -100, max: 100, noNaN: true })),
    },
    { requiredKeys: [] },
  ),
  prompt: fc.array(fc.nat({ max: 1000 }), { maxLength: 9 }),
  output: fc.array(fc.nat({ max: 1000 }), { maxLength: 9 }),
});

test('every combination of parameters gives the distribution of the plain formulas', () => {
  fc.assert(
    fc.property(arbitraryCase, ({ logits, params, prompt, output }) => {
      const inVocabulary = (id: number) => id % logits.length;
      const history = { promptIds: prompt.map(inVocabulary), outputIds: output.map(inVocabulary) };
      const expected = expectedProbabilities(logits, params, history);
      const told = toldProbabilities(logits, params, history);
      // Where float32 and float64 disagree about a token at the very edge of a truncation, neither is wrong.
      const atEdge = [0.9999, 1.0001].some((scale) => {
        const topP = Math.min(1, (params.topP ?? 1) * scale);
        const minP = Math.min(1, (params.minP ?? 0) * scale);
        const shifted = expectedProbabilities(logits, { ...params, topP, minP }, history);
        return shifted.some((p, id) => (p === 0) !== (expected[id] === 0));
      });
      fc.pre(!atEdge);
      near(told, expected, 3e-5);
    }),
    { numRuns: 400, seed: 1 },
  );
});

test('a token always survives and is an allowed one', () => {
  fc.assert(
    fc.property(arbitraryCase, fc.integer(), fc.bigInt({ min: 0n, max: 2n ** 63n - 1n }), (given, bits, seed) => {
      const { logits, params } = given;
      const mask = Uint32Array.of(bits, ~bits, bits);
      mask[0] |= 1;
      const result = samplerFor({ ...params, seed }, logits.length).sample(logits, NO_HISTORY, mask)!;
      assert.ok((mask[result.tokenId >> 5] >>> (result.tokenId & 31)) & 1, `token ${result.tokenId}`);
    }),
  );
});

test('ties with the k-th largest logit survive top_k', () => {
  near(toldProbabilities(Float32Array.of(1, 3, 1, 0, 3), { topK: 3 }, NO_HISTORY), softmax([1, 3, 1, -Infinity, 3]));
});

test('top_p takes the lower id first among equally likely tokens', () => {
  near(toldProbabilities(Float32Array.of(0, 0, 0, 0), { topP: 0.5 }, NO_HISTORY), [0.5, 0.5, 0, 0]);
  near(toldProbabilities(Float32Array.of(0, 0, 0, 0), { topP: 0.51 }, NO_HISTORY), [1 / 3, 1 / 3, 1 / 3, 0]);
});

test('presence and frequency look at the output alone, repetition at the prompt too', () => {
  const logits = Float32Array.of(1, 1, 1);
  const prompt = { promptIds: [1, 1], outputIds: [] };
  near(toldProbabilities(logits, { presencePenalty: 2, frequencyPenalty: 2 }, prompt), [1 / 3, 1 / 3, 1 / 3]);
  near(toldProbabilities(logits, { repetitionPenalty: 2 }, prompt), softmax([1, 0.5, 1]));
});

test('penalties follow the output as it grows', () => {
  const logits = Float32Array.of(3, 2, 1);
  const sampler = samplerFor({ temperature: 0, frequencyPenalty: 2 }, 3);
  const outputIds: number[] = [];
  for (let i = 0; i < 5; i++) outputIds.push(sampler.sample(logits, { promptIds: [], outputIds })!.tokenId);
  assert.equal(outputIds, [0, 1, 0, 2, 1]);
});

test('bias comes before the repetition penalty', () => {
  const biased = { logitBias: { 0: 4 }, repetitionPenalty: 2 };
  near(toldProbabilities(Float32Array.of(-1, 1), biased, { promptIds: [0], outputIds: [] }), softmax([1.5, 1]));
});

test('neither bias nor penalty brings back a masked or banned token', () => {
  const params = { logitBias: { 0: 100, 1: 100 }, repetitionPenalty: 0.5, presencePenalty: -2 };
  const history = { promptIds: [0], outputIds: [1] };
  near(toldProbabilities(Float32Array.of(1, 1, 1, 0), params, history, Uint32Array.of(0b1110), [1]), [
    0,
    0,
    ...softmax([1, 0]),
  ]);
});

test('greedy takes the lowest id among equals, after penalties, and tells log-probabilities at temperature 1', () => {
  const sampler = samplerFor({ temperature: 0, logprobs: 1 }, 3);
  const { tokenId, logprobs } = sampler.sample(Float32Array.of(1, 2, 2), NO_HISTORY)!;
  assert.is(tokenId, 1);
  near([logprobs!.logprob], [Math.log(softmax([1, 2, 2])[1])]);
  const penalised = samplerFor({ temperature: 0, repetitionPenalty: 4 }, 3);
  assert.is(penalised.sample(Float32Array.of(1, 2, 1.5), { promptIds: [1], outputIds: [] })!.tokenId, 2);
});

test('the logits are left as they are', () => {
  const logits = Float32Array.from(EXAMPLE);
  samplerFor({ ...EXAMPLE_PARAMS, logitBias: { 0: 1 } }, 5).sample(logits, EXAMPLE_HISTORY, Uint32Array.of(3), [0]);
  assert.equal(logits, EXAMPLE);
});

test('tokens are drawn as often as they are likely', () => {
  const logits = Float32Array.of(1, 0, 2, -1, 0.5, -Infinity);
  for (const params of [{ seed: 1 }, { seed: 2, temperature: 2 }, { seed: 3, topK: 3 }, { seed: 4, topP: 0.8 }]) {
    const expected = expectedProbabilities(logits, params, NO_HISTORY);
    const counts = Array<number>(logits.length).fill(0);
    const draws = 20_000;
    const sampler = samplerFor(params, logits.length);
    for (let i = 0; i < draws; i++) counts[sampler.sample(logits, historyOf(i))!.tokenId]++;
    let chiSquare = 0;
    for (const [id, p] of expected.entries()) {
      if (p === 0) assert.is(counts[id], 0);
      else chiSquare += (counts[id] - draws * p) ** 2 / (draws * p);
    }
    assert.ok(chiSquare < 18.5, `chi-square ${chiSquare} with ${JSON.stringify(params)}`);
  }
});

test('the same seed draws the same at the same position, whatever was sampled in between', () => {
  const logits = Float32Array.from({ length: 50 }, (_, i) => Math.sin(i));
  const draw = (sampler: Sampler, position: number) => sampler.sample(logits, historyOf(position))!.tokenId;
  const positions = Array.from({ length: 40 }, (_, i) => i);
  const forward = samplerFor({ seed: 9 }, 50);
  const backward = samplerFor({ seed: 9 }, 50);
  const tokens = positions.map((position) => draw(forward, position));
  assert.equal(
    positions.toReversed().map((position) => draw(backward, position)),
    tokens.toReversed(),
  );
  const other = samplerFor({ seed: 10 }, 50);
  assert.not.equal(
    positions.map((position) => draw(other, position)),
    tokens,
  );
});

test('choice i draws like a request of its own with seed + i; without a seed nothing repeats', () => {
  const logits = new Float32Array(1000);
  const draws = (sampler: Sampler) =>
    Array.from({ length: 10 }, (_, i) => sampler.sample(logits, historyOf(i))!.tokenId);
  assert.equal(draws(samplerFor({ seed: 5 }, 1000, 2)), draws(samplerFor({ seed: 7 }, 1000)));
  assert.not.equal(draws(samplerFor({}, 1000)), draws(samplerFor({}, 1000)));
});

test('log-probabilities and masks that remove nothing do not change the draw', () => {
  const logits = Float32Array.from({ length: 64 }, (_, i) => Math.cos(i * i));
  for (let i = 0; i < 50; i++) {
    const plain = samplerFor({ seed: 3 }, 64).sample(logits, historyOf(i))!.tokenId;
    assert.is(samplerFor({ seed: 3, logprobs: 4 }, 64).sample(logits, historyOf(i))!.tokenId, plain);
    const all = new Uint32Array(2).fill(0xffff_ffff);
    assert.is(samplerFor({ seed: 3 }, 64).sample(logits, historyOf(i), all)!.tokenId, plain);
  }
});

test('logits that are NaN, +Infinity or all -Infinity are an error, never a token', () => {
  const rows = [
    Float32Array.of(1, Number.NaN, 2),
    Float32Array.of(1, Infinity, 2),
    new Float32Array(3).fill(-Infinity),
  ];
  for (const logits of rows) {
    for (const params of [{}, { temperature: 0 }, { topK: 1, logprobs: 1 }]) {
      assert.throws(
        () => samplerFor(params, 3).sample(logits, NO_HISTORY),
        (error: Error) => error instanceof SamplingError && error.message === 'non-finite logits',
      );
    }
  }
});

test('when mask and ban leave nothing, there is no token', () => {
  const logits = Float32Array.of(1, 2, 3);
  assert.is(samplerFor({}, 3).sample(logits, NO_HISTORY, Uint32Array.of(0b100), [2]), null);
  assert.is(samplerFor({ temperature: 0 }, 3).sample(logits, NO_HISTORY, Uint32Array.of(0)), null);
});

test('tokens beyond the end of the mask are not allowed', () => {
  const logits = Float32Array.from({ length: 70 }, (_, i) => i);
  assert.is(samplerFor({ temperature: 0 }, 70).sample(logits, NO_HISTORY, Uint32Array.of(-1, -1))!.tokenId, 63);
});

test('extreme logits, penalties and temperatures give a token and finite log-probabilities', () => {
  const logits = Float32Array.of(3e38, 1e38, -3e38);
  const history = { promptIds: [0, 1, 2], outputIds: [] };
  for (const params of [
    { repetitionPenalty: 1e-30 },
    { repetitionPenalty: 1e30 },
    { temperature: 1e300 },
    { temperature: 1e-5 },
  ]) {
    const { logprobs } = samplerFor({ ...params, logprobs: 3 }, 3).sample(logits, history)!;
    assert.ok(Number.isFinite(logprobs!.logprob), JSON.stringify(params));
    assert.not(logprobs!.top.some(({ logprob }) => Number.isNaN(logprob)));
  }
});

test('a row of another length than the vocabulary is refused', () => {
  assert.throws(() => samplerFor({}, 4).sample(new Float32Array(3), NO_HISTORY), /3 logits, expected 4/);
});

test('only allowed token ids are chosen, on top of a mask', () => {
  const logits = Float32Array.of(5, 4, 3, 2);
  const sampler = samplerFor({ temperature: 0, allowedTokenIds: [3, 1, 1] }, 4);
  assert.is(sampler.sample(logits, NO_HISTORY)!.tokenId, 1);
  assert.is(sampler.sample(logits, NO_HISTORY, Uint32Array.of(0b1001))!.tokenId, 3);
  assert.is(sampler.sample(logits, NO_HISTORY, Uint32Array.of(0b0101)), null);
});

test('logits of allowed tokens keep their distribution; a bias brings no other token back', () => {
  const logits = Float32Array.from({ length: 8 }, (_, i) => Math.sin(i));
  const params = { allowedTokenIds: [1, 2, 6], logitBias: { 0: 100 }, temperature: 0.7, logprobs: 8 };
  const { top } = samplerFor(params, 8).sample(logits, NO_HISTORY)!.logprobs!;
  const expected = expectedProbabilities(logits, { temperature: 0.7 }, NO_HISTORY, (id) => [1, 2, 6].includes(id));
  for (const { tokenId, logprob } of top) {
    assert.ok(Math.abs(Math.exp(logprob) - expected[tokenId]) < 1e-6, `${tokenId}: ${logprob}`);
  }
});

test('a bad sequence may begin but not be completed, wherever it is in the output', () => {
  const logits = Float32Array.of(3, 2, 1);
  const sampler = samplerFor({ temperature: 0, badTokens: [[0, 0, 0], [1, 0], [2]] }, 3);
  const after = (...outputIds: number[]) => sampler.sample(logits, { promptIds: [0, 0, 0], outputIds })!.tokenId;
  assert.is(after(), 0);
  assert.is(after(0), 0);
  assert.is(after(0, 0), 1);
  assert.is(after(0, 0, 1), 1);
  assert.is(samplerFor({ temperature: 0, badTokens: [[0]] }, 3).sample(logits, NO_HISTORY)!.tokenId, 1);
});

test('ranked log-probabilities are the softmax of the row as it is', () => {
  const logits = Float32Array.of(1, -2, 3, 0.5, -Infinity);
  const { logprob, rank, top } = rankedLogprobs(logits, 3, 2);
  const total = Math.log([1, -2, 3, 0.5].reduce((sum, x) => sum + Math.exp(x), 0));
  assert.ok(Math.abs(logprob - (0.5 - total)) < 1e-12);
  assert.is(rank, 3);
  assert.equal(
    top.map(({ tokenId, rank }) => [tokenId, rank]),
    [
      [2, 1],
      [0, 2],
    ],
  );
  assert.ok(Math.abs(top[0].logprob - (3 - total)) < 1e-12);
  assert.throws(() => rankedLogprobs(Float32Array.of(1, Number.NaN), 0, 1), /non-finite/);
});

function historyOf(position: number): History {
  return { promptIds: [], outputIds: Array(position).fill(0) };
}

test.run();
