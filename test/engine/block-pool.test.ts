import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { BlockPool, blocksFor } from '../../engine/block-pool.ts';

const test = suite('block pool');

test('a block holds 16 positions', () => {
  assert.equal([0, 1, 16, 17, 32, 33].map(blocksFor), [0, 1, 1, 2, 2, 3]);
});

test('every block is given out once', () => {
  const pool = new BlockPool(5);
  const blocks = Array.from({ length: 5 }, () => pool.allocate());
  assert.equal([...blocks].sort(), [0, 1, 2, 3, 4]);
  assert.is(pool.free, 0);
  assert.is(pool.used, 5);
  assert.not(pool.canAllocate(1));
  assert.ok(pool.canAllocate(0));
});

test('a shared block is free only when its last holder lets go', () => {
  const pool = new BlockPool(2);
  const block = pool.allocate();
  pool.retain(block);
  assert.is(pool.references(block), 2);
  pool.release(block);
  assert.is(pool.free, 1);
  pool.release(block);
  assert.is(pool.free, 2);
});

test('misuse throws and changes nothing', () => {
  const pool = new BlockPool(2);
  const block = pool.allocate();
  pool.release(block);
  assert.throws(() => pool.release(block), /free already/);
  assert.throws(() => pool.retain(block), /is free/);
  for (const wrong of [-1, 2, 0.5, Number.NaN]) {
    assert.throws(() => pool.release(wrong), /not one of/);
    assert.throws(() => pool.retain(wrong), /not one of/);
    assert.throws(() => pool.references(wrong), /not one of/);
  }
  pool.allocate();
  pool.allocate();
  assert.throws(() => pool.allocate(), /no free block/);
  assert.is(pool.used, 2);
  for (const size of [0, -1, 1.5, Number.NaN]) assert.throws(() => new BlockPool(size), /at least 1/);
});

test('counts agree with a plain list of holders after any calls', () => {
  const call = fc.record({ what: fc.constantFrom('allocate', 'retain', 'release'), which: fc.nat() });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 8 }), fc.array(call, { maxLength: 200 }), (size, calls) => {
      const pool = new BlockPool(size);
      const held: number[] = [];
      for (const { what, which } of calls) {
        const block = held[which % held.length];
        if (what === 'allocate' && pool.canAllocate(1)) {
          const fresh = pool.allocate();
          assert.not(held.includes(fresh), 'a held block was given out');
          held.push(fresh);
        } else if (what === 'retain' && held.length > 0) {
          pool.retain(block);
          held.push(block);
        } else if (what === 'release' && held.length > 0) {
          pool.release(block);
          held.splice(held.indexOf(block), 1);
        }
        assert.is(pool.used, new Set(held).size);
        assert.is(pool.free + pool.used, size);
        for (let i = 0; i < size; i++) assert.is(pool.references(i), held.filter((b) => b === i).length);
      }
    }),
  );
});

test.run();
