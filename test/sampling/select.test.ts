import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { argmax, largest, thresholdOf } from '../../sampling/select.ts';

const test = suite('selection');

// Few distinct values, so that there are ties, and all kinds of floats.
const value = fc.oneof(fc.constantFrom(0, 1, -1, 2.5, Number.NEGATIVE_INFINITY), fc.float({ noNaN: true }));
const values = fc.array(value, { minLength: 1, maxLength: 80 }).map((list) => Float32Array.from(list, (x) => x + 0));

test('the threshold of k values is the k-th largest', () => {
  fc.assert(
    fc.property(values, fc.nat({ max: 79 }), (list, at) => {
      const k = (at % list.length) + 1;
      const sorted = Float32Array.from(list).sort().reverse();
      const threshold = thresholdOf(list, null, k);
      assert.is(threshold.value, sorted[k - 1]);
      assert.is(threshold.above, sorted.filter((x) => x > sorted[k - 1]).length);
    }),
  );
});

test('a weighted threshold is where the sorted sum reaches the target', () => {
  fc.assert(
    fc.property(values, fc.integer({ min: 1, max: 200 }), (list, target) => {
      const weights = Float64Array.from(list, (_, i) => 1 + (i % 5));
      const order = [...list.keys()].sort((a, b) => list[b] - list[a]);
      let mass = 0;
      let expected = list[order.at(-1)!];
      for (const i of order) {
        mass += weights[i];
        if (mass < target) continue;
        expected = list[i];
        break;
      }
      assert.is(thresholdOf(list, weights, target).value, expected);
    }),
  );
});

test('the largest come best first, the lower index first among equals', () => {
  fc.assert(
    fc.property(values, fc.nat({ max: 90 }), (list, k) => {
      const sorted = [...list.keys()].sort((a, b) => compare(list[b], list[a]) || a - b);
      assert.equal(largest(list, k), sorted.slice(0, k));
    }),
  );
});

test('argmax takes the first of equals, and finds nothing in NaN or in -Infinity alone', () => {
  assert.is(argmax(Float32Array.of(1, 3, 3, 2)), 1);
  assert.is(argmax(Float32Array.of(-5, Number.NEGATIVE_INFINITY)), 0);
  assert.is(argmax(new Float32Array(4).fill(Number.NEGATIVE_INFINITY)), -1);
  for (const at of [0, 1, 2]) {
    const list = Float32Array.of(1, 2, 3);
    list[at] = Number.NaN;
    assert.is(argmax(list), -1);
  }
});

function compare(a: number, b: number): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

test.run();
