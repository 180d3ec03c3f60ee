import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { sortedReduction } from '../../kernels/sorted-reduction.ts';

const test = suite('listed logits in order');

const logit = fc.oneof(fc.float({ noNaN: true }), fc.constantFrom(0, -0, 1, -1, Infinity, -Infinity, 1e-40, -1e-40));

test('largest first, the lower id among equals, with all that equal the last', () => {
  fc.assert(
    fc.property(
      fc.uniqueArray(fc.tuple(fc.nat(200_000), logit), { selector: ([id]) => id, maxLength: 40 }),
      fc.integer({ min: 1, max: 45 }),
      (listed, top) => {
        const { ids, logits } = sortedReduction(
          Int32Array.from(listed, ([id]) => id),
          Float32Array.from(listed, ([, x]) => x),
          top,
        );
        const wanted = listed.map(([id, x]) => [id, Math.fround(x) + 0]).sort((a, b) => b[1] - a[1] || a[0] - b[0]);
        const last = wanted[Math.min(top, wanted.length) - 1]?.[1];
        const kept = wanted.filter(([, x], i) => i < top || x === last);
        assert.equal(
          Array.from(ids, (id, i) => [id, logits[i]]),
          kept,
        );
      },
    ),
  );
});

test.run();
