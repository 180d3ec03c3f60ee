/** A choice made from a summary of the row is the choice made from the row, or none at all. */

import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type RowQuery, type RowSummary, resolveSampling, Sampler } from '../../sampling/index.ts';
import { arbitraryParams } from './arbitrary-params.ts';

const test = suite('row summaries');

/** What a device would find out, with a sum that is wrong by up to `sumError`. */
function summarize(
  row: Float32Array,
  { top, mask, scale, picks = [] }: RowQuery,
  sumError = 1e-5,
  skew = 0,
): RowSummary {
  const counts = (id: number) => !mask || ((mask[id >> 5] ?? 0) >>> (id & 31)) & 1;
  const ids = [...row.keys()].filter((id) => counts(id) && row[id] > Number.NEGATIVE_INFINITY);
  ids.sort((a, b) => row[b] - row[a] || a - b);
  const kept = ids.filter((id) => row[id] >= row[ids[Math.min(top, ids.length) - 1]]);
  const sum = scale ? ids.reduce((total, id) => total + Math.exp((row[id] - row[ids[0]]) * scale), 0) : 0;
  return {
    isFinite: row.every((x) => !Number.isNaN(x) && x < Number.POSITIVE_INFINITY) && ids.length + picks.length > 0,
    ids: kept,
    logits: kept.map((id) => row[id]),
    isComplete: kept.length === ids.length,
    sumExp: sum * (1 + skew * sumError),
    sumError,
    picked: picks.map((id) => row[id]),
  };
}

const arbitraryRow = fc
  .record({
    // Few distinct values, for ties; a spread in which the largest logits have most of the weight, or little.
    levels: fc.integer({ min: 2, max: 400 }),
    spread: fc.double({ min: 0.1, max: 60, noNaN: true }),
    size: fc.integer({ min: 1, max: 700 }),
    seed: fc.nat(),
  })
  .map(({ levels, spread, size, seed }) => {
    let state = seed;
    return Float32Array.from({ length: size }, () => {
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
      const level = ((state >>> 8) % levels) / levels;
      return state >>> 27 === 0 ? Number.NEGATIVE_INFINITY : spread * (level * level - 0.5);
    });
  });

const ids = fc.array(fc.nat(), { maxLength: 20 });

const arbitraryCase = fc.record({
  row: arbitraryRow,
  params: fc.record(arbitraryParams, { requiredKeys: [] }),
  bias: fc.array(fc.tuple(fc.nat(), fc.double({ min: -100, max: 100, noNaN: true })), { maxLength: 4 }),
  prompt: ids,
  output: ids,
  banned: fc.array(fc.nat(), { maxLength: 3 }),
  maskBits: fc.option(fc.array(fc.integer(), { minLength: 1, maxLength: 22 })),
  skew: fc.constantFrom(-1, -0.5, 0, 0.5, 1),
  seed: fc.nat(),
});

test('whatever the parameters, a summary leads to the token that the row leads to, or to none', () => {
  let decided = 0;
  let runs = 0;
  fc.assert(
    fc.property(arbitraryCase, ({ row, params, bias, prompt, output, banned, maskBits, skew, seed }) => {
      if (row.every((x) => x === Number.NEGATIVE_INFINITY)) return;
      const inVocabulary = (id: number) => id % row.length;
      const logitBias = Object.fromEntries(bias.map(([id, value]) => [inVocabulary(id), value]));
      const sampling = resolveSampling({ ...params, logitBias, seed }, {}, row.length);
      const history = { promptIds: prompt.map(inVocabulary), outputIds: output.map(inVocabulary) };
      const mask = maskBits ? Uint32Array.from(maskBits) : undefined;
      const bannedIds = banned.map(inVocabulary);
      const options = { vocabSize: row.length, choiceIndex: 0 };

      const expected = new Sampler(sampling, options).sample(row, history, mask, bannedIds);
      const sampler = new Sampler(sampling, options);
      const query = sampler.query(history, mask, bannedIds)!;
      const found = sampler.sampleFrom(summarize(row, query, 1e-5, skew), history, mask, bannedIds);
      runs++;
      if (found === undefined) return;
      decided++;
      assert.equal(found, expected);
    }),
    { numRuns: 3000 },
  );
  assert.ok(decided > runs / 2, `only ${decided} of ${runs} were decided`);
});

test('the queries of a growing text pick each penalised token once, and count the others', () => {
  const sampler = new Sampler(resolveSampling({ repetitionPenalty: 1.5, logitBias: { 3: 1 } }, {}, 64), {
    vocabSize: 64,
    choiceIndex: 0,
  });
  const history = { promptIds: [5, 5, 3], outputIds: [] as number[] };
  assert.equal(sampler.query(history)!.picks, [3, 5]);
  history.outputIds.push(40, 5);
  const { picks, mask } = sampler.query(history, undefined, [63])!;
  assert.equal(picks, [3, 5, 40]);
  assert.equal([...mask!], [~(2 ** 3 + 2 ** 5) >>> 0, ~(2 ** 8 + 2 ** 31) >>> 0]);
});

test('a summary that may not decide is not asked for, or does not decide', () => {
  const queryOf = (params: object) =>
    new Sampler(resolveSampling(params, {}, 5000), { vocabSize: 5000, choiceIndex: 0 }).query({
      promptIds: [],
      outputIds: [],
    });
  assert.is(queryOf({ logprobs: 0 }), null);
  assert.is(queryOf({ topK: 1000 }), null);
  assert.is(queryOf({ temperature: 1e-4 }), null);
  assert.equal(queryOf({ temperature: 0 }), { top: 1 });
  assert.equal(queryOf({ topK: 7, topP: 0.5 }), { top: 7 });
  assert.equal(queryOf({ temperature: 0.5 }), { top: 79, scale: 2 });
  assert.equal(queryOf({ minP: 0.1 }), { top: 79 });

  const flat = new Float32Array(5000);
  const sampler = new Sampler(resolveSampling({ seed: 1, topP: 0.9 }, {}, 5000), { vocabSize: 5000, choiceIndex: 0 });
  const history = { promptIds: [], outputIds: [] };
  const summary = summarize(flat, sampler.query(history)!);
  const few = { ...summary, ids: [...Array(79).keys()], logits: Array(79).fill(0), isComplete: false };
  assert.is(sampler.sampleFrom(few, history), undefined);
  assert.is(sampler.sampleFrom({ ...summary, isFinite: false }, history), undefined);
});

test.run();
