import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { endsInLoop, resolveSampling, SamplingError } from '../../sampling/index.ts';

const test = suite('repetition');

/** The rule in plain words: the last `size * minCount` tokens are the last `size`, so many times. */
function loops(ids: readonly number[], size: number, minCount: number): boolean {
  const pattern = ids.slice(-size);
  const wanted = Array.from({ length: minCount }, () => pattern).flat();
  return ids.length >= size * minCount && ids.slice(-wanted.length).join() === wanted.join();
}

test('a loop is a pattern that stands at the end often enough', () => {
  fc.assert(
    fc.property(
      fc.array(fc.nat(2), { maxLength: 30 }),
      fc.integer({ min: 1, max: 6 }),
      fc.integer({ min: 1, max: 6 }),
      fc.integer({ min: 2, max: 4 }),
      (ids, a, b, minCount) => {
        const [minPatternSize, maxPatternSize] = [Math.min(a, b), Math.max(a, b)];
        const sizes = Array.from({ length: maxPatternSize - minPatternSize + 1 }, (_, i) => minPatternSize + i);
        const expected = sizes.some((size) => loops(ids, size, minCount));
        assert.is(endsInLoop(ids, { minPatternSize, maxPatternSize, minCount }), expected);
      },
    ),
    { numRuns: 2000 },
  );
  assert.is(endsInLoop([1, 2, 1, 2], { maxPatternSize: 2, minCount: 2 }), true);
  assert.is(endsInLoop([1, 1, 1], { minPatternSize: 2, maxPatternSize: 4, minCount: 2 }), false);
  assert.is(endsInLoop([1, 1], { minCount: 2 }), false);
});

test('a rule has sizes in order, a count of at least two, and a bound on the work', () => {
  const resolve = (rule: object) => resolveSampling({ repetitionDetection: rule }, {}, 10).repetitionDetection;
  for (const rule of [
    { maxPatternSize: -1 },
    { maxPatternSize: 1.5, minCount: 2 },
    { maxPatternSize: 2, minPatternSize: 3, minCount: 2 },
    { maxPatternSize: 2 },
    { maxPatternSize: 2, minCount: 1 },
    { maxPatternSize: 1025, minCount: 2 },
    { maxPatternSize: 1000, minCount: 100 },
  ]) {
    assert.throws(
      () => resolve(rule),
      (error: SamplingError) => error instanceof SamplingError && error.param === 'repetition_detection',
    );
  }
  assert.is(resolve({}), null);
  assert.equal(resolve({ maxPatternSize: 4, minCount: 3 }), { maxPatternSize: 4, minCount: 3 });
});

test.run();
