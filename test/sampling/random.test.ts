import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { exp, log } from '../../sampling/exponential.ts';
import { choiceKey, philox4x32, uniform } from '../../sampling/random.ts';

const test = suite('random numbers');

// The known answers of Philox4x32-10 that its authors publish: counter, key, result.
const KNOWN_ANSWERS = [
  [
    [0, 0, 0, 0],
    [0, 0],
    [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
  ],
  [Array(4).fill(0xffffffff), Array(2).fill(0xffffffff), [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]],
  [
    [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
    [0xa4093822, 0x299f31d0],
    [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
  ],
] as const;

for (const [counter, [key0, key1], result] of KNOWN_ANSWERS) {
  test(`philox of ${counter[0].toString(16)}… gives the published words`, () => {
    const words = Uint32Array.from(counter);
    philox4x32(words, key0, key1);
    assert.equal([...words], [...result]);
  });
}

test('a draw depends on key and position alone and lies in [0, 1)', () => {
  assert.is(uniform(42n, 7), uniform(42n, 7));
  assert.is.not(uniform(42n, 7), uniform(42n, 8));
  assert.is.not(uniform(42n, 7), uniform(43n, 7));
  assert.is.not(uniform(42n, 7), uniform(42n + (1n << 32n), 7));
  assert.is.not(uniform(42n, 7), uniform(42n, 7 + 2 ** 32));
  for (let i = 0; i < 1000; i++) assert.ok(uniform(1n, i) >= 0 && uniform(1n, i) < 1);
});

test('draws of neighbouring positions and keys spread evenly and do not go together', () => {
  const count = 20_000;
  for (const draw of [(i: number) => uniform(5n, i), (i: number) => uniform(BigInt(i), 3)]) {
    const cells = new Float64Array(16);
    let product = 0;
    for (let i = 0; i < count; i++) {
      cells[Math.floor(draw(i) * 16)]++;
      product += (draw(i) - 0.5) * (draw(i + 1) - 0.5);
    }
    const chiSquare = cells.reduce((sum, cell) => sum + (cell - count / 16) ** 2 / (count / 16), 0);
    assert.ok(chiSquare < 37.7, `chi-square ${chiSquare}, one in a thousand is above 37.7`);
    assert.ok(Math.abs(product / count) < 3.3 / 12 / Math.sqrt(count), `correlation ${product}`);
  }
});

test('choice i of a seed has the key of a request with seed + i, around the 64-bit corner too', () => {
  assert.is(choiceKey(10n, 3), choiceKey(13n, 0));
  assert.is(choiceKey(2n ** 64n - 1n, 1), 0n);
});

test('exp and log agree with those of the machine', () => {
  for (let x = 0; x > -700; x -= 0.0837) {
    assert.ok(Math.abs(exp(x) / Math.exp(x) - 1) < 5e-16, `exp(${x})`);
    const y = Math.exp(-x / 3);
    assert.ok(Math.abs(log(y) - Math.log(y)) <= 4e-16 * Math.max(1, Math.abs(Math.log(y))), `log(${y})`);
  }
  assert.is(exp(0), 1);
  assert.is(exp(-709), 0);
  assert.is(exp(Number.NEGATIVE_INFINITY), 0);
  assert.is(log(1), 0);
});

test.run();
