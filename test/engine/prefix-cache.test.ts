import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BlockPool } from '../../engine/block-pool.ts';
import { PrefixCache, rootName } from '../../engine/prefix-cache.ts';

const test = suite('prefix cache');

/** Blocks with the tokens 0 to 15, 100 to 115 and so on. */
const tokensOf = (...firsts: number[]) => firsts.flatMap((first) => Array.from({ length: 16 }, (_, i) => first + i));
const root = rootName(undefined);

test('a block is found by its tokens and all tokens before them', () => {
  const cache = new PrefixCache();
  const tokens = tokensOf(0, 100, 0);
  const first = cache.add(root, tokens, 0, 7);
  const second = cache.add(first, tokens, 1, 8);
  const third = cache.add(second, tokens, 2, 9);
  assert.equal(cache.find(root, tokens, 0), { name: first, block: 7 });
  assert.equal(cache.find(second, tokens, 2), { name: third, block: 9 });
  assert.is(cache.find(root, tokens, 1), undefined);
  assert.is(cache.find(first, tokensOf(0, 101), 1), undefined);
  assert.is(cache.find(first, [...tokens.slice(0, 31), 5], 1), undefined);
});

test('of two equal blocks the first is found, and both lead to the same ones', () => {
  const cache = new PrefixCache();
  const tokens = tokensOf(0, 100);
  const name = cache.add(root, tokens, 0, 1);
  assert.is(cache.add(root, tokens, 0, 2), name);
  assert.is(cache.find(root, tokens, 0)!.block, 1);
  assert.not(cache.has(2));
});

test('what followed a block that was forgotten is not found when an equal one comes', () => {
  const cache = new PrefixCache();
  const tokens = tokensOf(0, 100);
  const before = cache.add(root, tokens, 0, 1);
  cache.add(before, tokens, 1, 2);
  cache.forget(1);
  assert.is(cache.find(root, tokens, 0), undefined);
  const after = cache.add(root, tokens, 0, 3);
  assert.is(cache.find(after, tokens, 1), undefined);
  cache.forget(1);
});

test('a salt is no other salt, no name and no lack of one', () => {
  const cache = new PrefixCache();
  const tokens = tokensOf(0);
  const salts = [undefined, '', '0', '1', 'salt ', '0:0,1', '1:2:3'];
  for (const [block, salt] of salts.entries()) {
    assert.is(cache.find(rootName(salt), tokens, 0), undefined);
    cache.add(rootName(salt), tokens, 0, block);
  }
  assert.equal(
    salts.map((salt) => cache.find(rootName(salt), tokens, 0)!.block),
    salts.map((_, block) => block),
  );
});

test('a block has one name at a time', () => {
  const cache = new PrefixCache();
  cache.add(root, tokensOf(0), 0, 1);
  assert.throws(() => cache.add(root, tokensOf(100), 0, 1), /has a name already/);
});

test('a free block with a name is kept until no other is left, and comes back when it is found before', () => {
  const cache = new PrefixCache();
  const pool = new BlockPool(3, cache);
  const [a, b, c] = [pool.allocate(), pool.allocate(), pool.allocate()];
  cache.add(root, tokensOf(0), 0, a);
  cache.add(root, tokensOf(100), 0, b);
  for (const block of [a, b, c]) pool.release(block);
  assert.equal([pool.free, pool.kept], [3, 2]);
  pool.retain(a);
  assert.equal([pool.free, pool.kept, pool.references(a)], [2, 1, 1]);
  pool.release(a);
  assert.equal([pool.allocate(), pool.allocate()], [c, b]);
  assert.equal([cache.has(b), cache.has(a)], [false, true]);
  assert.is(pool.allocate(), a);
  assert.is(pool.free, 0);
  assert.throws(() => pool.allocate(), /no free block/);
});

test('whatever is found is what was added, with all its tokens', () => {
  const text = fc.array(fc.constantFrom(0, 100), { minLength: 1, maxLength: 4 });
  fc.assert(
    fc.property(fc.array(fc.tuple(text, fc.nat({ max: 9 })), { maxLength: 40 }), (texts) => {
      const cache = new PrefixCache();
      const contents = new Map<number, string>();
      let block = 0;
      for (const [firsts, forget] of texts) {
        const tokens = tokensOf(...firsts);
        let name = root;
        for (const [index] of firsts.entries()) {
          const wanted = firsts.slice(0, index + 1).join();
          const found = cache.find(name, tokens, index);
          if (found) assert.is(contents.get(found.block), wanted);
          else contents.set(++block, wanted);
          name = found?.name ?? cache.add(name, tokens, index, block);
        }
        if (forget < block) cache.forget(block - forget);
      }
    }),
  );
});

test.run();
