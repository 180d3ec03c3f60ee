import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { cosSin, ln, power } from '../../engine/elementary.ts';
import { Random } from '../random.ts';

const test = suite('elementary functions');
const random = new Random(5);

test('cosine and sine are within two units in the last place of 1, in every quadrant and for angles beyond a million', () => {
  const angles = [0, Math.PI / 4, Math.PI / 2, -Math.PI, 1e-300, ...random.floats(20_000).map((x) => x * 1.5e6)];
  for (const angle of angles) {
    const [cos, sin] = cosSin(angle);
    assert.ok(Math.abs(cos - Math.cos(angle)) < 4.5e-16 && Math.abs(sin - Math.sin(angle)) < 4.5e-16, `at ${angle}`);
  }
});

test('logarithms and powers agree with the engine’s own', () => {
  for (const x of random.floats(5000)) {
    const base = Math.abs(x) * 1e6 + 1e-6;
    assert.ok(Math.abs(ln(base) - Math.log(base)) <= 1e-15 * Math.max(1, Math.abs(Math.log(base))), `ln ${base}`);
    assert.ok(Math.abs(power(base, x) / base ** x - 1) < 1e-14, `${base} ** ${x}`);
  }
});

test.run();
