import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Scheduler } from '../../engine/scheduler.ts';
import { Sequence } from '../../engine/sequence.ts';
import { type SubmitOptions, Workbench } from './scheduler-workbench.ts';

const test = suite('scheduler');

const roomy = { kvBlocks: 64, maxRows: 32, maxSeqs: 8, maxLogitRows: 16 };

test('a prompt longer than a step is computed in chunks, and only its last row has logits', () => {
  const bench = new Workbench({ ...roomy, maxRows: 10 });
  bench.submit(25, 1);
  const rows: number[][] = [];
  for (let i = 0; i < 3; i++) {
    bench.begin();
    rows.push([bench.step!.input.tokens.length, bench.step!.input.logitRows.length]);
    bench.finish();
  }
  assert.equal(rows, [
    [10, 0],
    [10, 0],
    [5, 1],
  ]);
});

test('decode tokens come before prompt chunks, and a newcomer joins at the next step', () => {
  const bench = new Workbench({ ...roomy, maxRows: 8 });
  const first = bench.submit(4, 10);
  bench.begin();
  const second = bench.submit(20, 10);
  bench.finish();
  bench.begin();
  assert.equal(
    bench.step!.parts.map(({ sequence, rows }) => [sequence === first ? 'first' : 'second', rows]),
    [
      ['first', 1],
      ['second', 7],
    ],
  );
  assert.is(second.state, 'running');
  assert.equal(bench.step!.input.logitRows, [0]);
});

test('several sequences share a step, each with its own positions and blocks', () => {
  const bench = new Workbench(roomy);
  bench.submit(3, 2);
  bench.submit(2, 2);
  bench.begin();
  const { positions, slots, blockTables, logitRows } = bench.step!.input;
  assert.equal(positions, [0, 1, 2, 0, 1]);
  assert.equal(slots, [0, 0, 0, 1, 1]);
  assert.equal(logitRows, [2, 4]);
  assert.is.not(blockTables[0][0], blockTables[1][0]);
});

test('when blocks run out the youngest is preempted, and its text stays the same', () => {
  const bench = new Workbench({ kvBlocks: 4, maxRows: 64, maxSeqs: 4, maxLogitRows: 4 });
  const old = bench.submit(14, 40);
  const young = bench.submit(14, 40);
  bench.begin();
  bench.finish();
  assert.is(young.state, 'running');
  for (let i = 0; young.state === 'running'; i++) {
    assert.ok(i < 100);
    bench.begin();
    bench.finish();
    bench.check();
  }
  assert.is(old.state, 'running');
  assert.is(young.computed, 0);
  assert.ok(bench.scheduler.stats.preemptions >= 1);
  bench.drain();
  bench.checkTexts();
});

test('nobody overtakes a sequence that waits for blocks', () => {
  const bench = new Workbench({ kvBlocks: 4, maxRows: 64, maxSeqs: 4, maxLogitRows: 4 });
  bench.submit(30, 10);
  const large = bench.submit(60, 4);
  const small = bench.submit(1, 1);
  bench.begin();
  bench.finish();
  assert.equal([large.state, small.state], ['waiting', 'waiting']);
  bench.checkOrder();
  bench.drain();
});

test('a preempted sequence comes back before younger ones', () => {
  const bench = new Workbench({ kvBlocks: 4, maxRows: 64, maxSeqs: 2, maxLogitRows: 4 });
  bench.submit(14, 34);
  const young = bench.submit(14, 40);
  const youngest = bench.submit(1, 1);
  while (young.state !== 'running') bench.runStep();
  while (young.state === 'running') bench.runStep();
  assert.equal([young.state, youngest.state], ['waiting', 'waiting']);
  while (young.state === 'waiting') {
    assert.is(youngest.state, 'waiting');
    bench.runStep();
  }
  bench.drain();
});

test('a newcomer does not take the block that a running sequence needs next', () => {
  const bench = new Workbench({ kvBlocks: 3, maxRows: 64, maxSeqs: 2, maxLogitRows: 4 });
  bench.submit(16, 20);
  const newcomer = bench.submit(32, 1);
  for (let i = 0; i < 20; i++) bench.runStep();
  assert.is(newcomer.state, 'waiting');
  bench.drain();
  assert.is(bench.scheduler.stats.preemptions, 0);
});

test('cancelling frees all blocks in every state, also while a step is in flight', () => {
  const bench = new Workbench({ ...roomy, maxRows: 8 });
  const decoding = bench.submit(4, 10);
  bench.begin();
  bench.finish();
  const prefilling = bench.submit(30, 10);
  bench.begin();
  const waiting = bench.submit(5, 5);
  for (const sequence of [decoding, prefilling, waiting]) bench.end(sequence, 'cancelled');
  assert.is(bench.scheduler.stats.freeBlocks, 64);
  bench.finish();
  assert.is(bench.scheduler.stats.freeBlocks, 64);
  assert.is(bench.scheduler.plan(), undefined);
});

test('settling twice is harmless and says so', () => {
  const bench = new Workbench(roomy);
  const sequence = bench.submit(3, 3);
  assert.is(bench.scheduler.settle(sequence), true);
  assert.is(bench.scheduler.settle(sequence), false);
  assert.is(bench.scheduler.stats.freeBlocks, 64);
});

test('misuse throws', () => {
  const bench = new Workbench(roomy);
  const sequence = bench.submit(3, 3);
  assert.throws(() => bench.scheduler.submit(sequence), /waiting sequence/);
  assert.throws(() => bench.scheduler.submit(new Sequence([], 4)), /without tokens/);
  assert.throws(() => bench.scheduler.submit(new Sequence([1], 64 * 16 + 1)), /cannot fit/);
  assert.throws(() => sequence.append(1), /before the logits/);
  bench.begin();
  assert.throws(() => bench.scheduler.plan(), /before the last one ended/);
  const step = bench.step!;
  bench.finish();
  assert.throws(() => bench.scheduler.commit(step), /not the one in flight/);
  assert.throws(() => bench.scheduler.abandon(step), /not the one in flight/);
  assert.throws(() => new Scheduler({ kvBlocks: 1, maxRows: 0, maxSeqs: 1, maxLogitRows: 1 }), /at least one/);
});

test('a prompt finds the full blocks of an earlier one that begins alike; its last token is computed anyhow', () => {
  const bench = new Workbench({ ...roomy, maxRows: 64 });
  const cached = (length: number, options: SubmitOptions = {}) => {
    const sequence = bench.submit(length, 2, { family: 0, ...options });
    bench.drain();
    return sequence.cachedTokens;
  };
  assert.is(cached(40), 0);
  assert.equal(
    [40, 45, 33, 32, 17, 16, 1].map((length) => cached(length)),
    [32, 32, 32, 16, 16, 0, 0],
  );
  assert.is(cached(40, { family: 1 }), 0);
  assert.is(cached(40, { allLogits: true }), 0);
  bench.checkTexts();
});

test('only sequences with the same salt share blocks', () => {
  const bench = new Workbench({ ...roomy, maxRows: 64 });
  const salts = [undefined, 'a', 'b', 'a', undefined, '0'];
  const cached = salts.map((cacheSalt) => {
    const sequence = bench.submit(20, 2, { family: 0, cacheSalt });
    bench.drain();
    return sequence.cachedTokens;
  });
  assert.equal(cached, [0, 0, 0, 16, 16, 0]);
});

test('a running sequence shares its full blocks too', () => {
  const bench = new Workbench({ ...roomy, maxRows: 64 });
  const first = bench.submit(35, 9, { family: 0 });
  bench.runStep();
  const second = bench.submit(38, 9, { family: 0 });
  bench.runStep();
  assert.equal(second.blockTable.slice(0, 2), first.blockTable.slice(0, 2));
  assert.is.not(second.blockTable[2], first.blockTable[2]);
  assert.is(bench.scheduler.stats.freeBlocks, 64 - 4);
  bench.drain();
  bench.checkTexts();
});

test('kept blocks are given out again when no others are left, those that were not used for the longest time first', () => {
  const bench = new Workbench({ kvBlocks: 6, maxRows: 128, maxSeqs: 4, maxLogitRows: 4 });
  const run = (family: number, length = 33) => {
    const sequence = bench.submit(length, 1, { family });
    bench.drain();
    return sequence.cachedTokens;
  };
  assert.equal([run(0), run(1)], [0, 0]);
  assert.is(bench.scheduler.stats.cachedBlocks, 4);
  assert.is(run(0), 32);
  assert.is(run(2), 0);
  assert.equal([run(0), run(2)], [32, 32]);
  // The end of the longest unused one had to go.
  assert.is(run(1), 16);
});

test('forks share all blocks, and whoever writes first to one that has room left copies it', () => {
  const bench = new Workbench(roomy);
  const parent = bench.submit(20, 20, { inLockstep: true });
  bench.runStep();
  const [, child] = bench.sequences;
  assert.equal(child.blockTable, parent.blockTable);
  bench.begin();
  const { copies, blockTables } = bench.step!.input;
  assert.is(copies!.length, 1);
  assert.equal(blockTables[0][0], blockTables[1][0]);
  assert.equal(copies, [{ from: blockTables[1][1], to: blockTables[0][1] }]);
  bench.finish();
  bench.drain();
  bench.checkTexts();
});

test('sequences that wait for each other come to their end although only one fits at a time', () => {
  for (const limits of [
    { kvBlocks: 3, maxRows: 64, maxSeqs: 4, maxLogitRows: 4 },
    { kvBlocks: 64, maxRows: 64, maxSeqs: 1, maxLogitRows: 1 },
  ]) {
    const bench = new Workbench(limits);
    bench.submit(20, 28, { inLockstep: true });
    bench.submit(5, 28, { inLockstep: true });
    bench.drain();
    bench.checkTexts();
    assert.ok(bench.scheduler.stats.preemptions > 0);
  }
});

test('a lower priority number goes first, and gives up its blocks last', () => {
  const bench = new Workbench({ kvBlocks: 4, maxRows: 64, maxSeqs: 1, maxLogitRows: 4 });
  const order: number[] = [];
  const priorities = [1, 1, 0, -1, 2];
  const sequences = priorities.map((priority) => bench.submit(5, 3, { priority }));
  while (bench.scheduler.stats.running + bench.scheduler.stats.waiting > 0) {
    bench.runStep();
    for (const [i, { state }] of sequences.entries()) if (state === 'settled' && !order.includes(i)) order.push(i);
  }
  assert.equal(order, [3, 2, 0, 1, 4]);

  const full = new Workbench({ kvBlocks: 4, maxRows: 64, maxSeqs: 2, maxLogitRows: 4 });
  const minor = full.submit(14, 40, { priority: 1 });
  full.runStep();
  const major = full.submit(14, 40);
  while (full.scheduler.stats.preemptions === 0) full.runStep();
  assert.equal([minor.state, major.state], ['waiting', 'running']);
  full.drain();
  full.checkTexts();
});

test('drafted tokens that are right need no step of their own, wrong ones cost nothing but rows', () => {
  const steps = [undefined, 0, 1, 3].map((rightDrafts) => {
    const bench = new Workbench(roomy);
    bench.submit(4, 40, { family: 0, rightDrafts });
    bench.drain();
    bench.checkTexts();
    return bench.model.steps;
  });
  assert.equal(steps, [41, 41, 22, 12]);
});

test('drafts leave every decoding sequence its row, and take no blocks from others', () => {
  const bench = new Workbench({ kvBlocks: 8, maxRows: 5, maxSeqs: 3, maxLogitRows: 5 });
  for (let family = 0; family < 3; family++) bench.submit(1, 20, { family, rightDrafts: 3 });
  for (let i = 0; i < 3; i++) bench.runStep();
  bench.begin();
  assert.equal(
    bench.step!.parts.map(({ rows, draft }) => [rows, draft.length]),
    [
      [1, 2],
      [1, 0],
      [1, 0],
    ],
  );
  bench.finish();
  bench.drain();
  bench.checkTexts();
  assert.is(bench.scheduler.stats.preemptions, 0);
});

test('a fork needs a parent whose logits have come', () => {
  const bench = new Workbench(roomy);
  const parent = bench.submit(3, 3);
  assert.throws(() => bench.scheduler.fork(parent), /before the logits/);
  bench.end(parent, 'cancelled');
  assert.throws(() => bench.scheduler.fork(parent), /settled sequence/);
});

const limitsArbitrary = fc.record({
  kvBlocks: fc.integer({ min: 1, max: 14 }),
  maxRows: fc.integer({ min: 1, max: 24 }),
  maxSeqs: fc.integer({ min: 1, max: 5 }),
  maxLogitRows: fc.integer({ min: 1, max: 12 }),
});

const eventArbitrary = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      what: fc.constant('submit' as const),
      promptLength: fc.integer({ min: 1, max: 60 }),
      newTokens: fc.integer({ min: 1, max: 50 }),
      options: fc.record(
        {
          allLogits: fc.boolean(),
          family: fc.nat({ max: 1 }),
          priority: fc.integer({ min: -1, max: 1 }),
          cacheSalt: fc.constantFrom('a', 'b'),
          inLockstep: fc.boolean(),
          rightDrafts: fc.nat({ max: 3 }),
        },
        { requiredKeys: ['family'] },
      ),
    }),
  },
  { weight: 12, arbitrary: fc.record({ what: fc.constant('begin' as const) }) },
  { weight: 12, arbitrary: fc.record({ what: fc.constant('finish' as const) }) },
  { weight: 2, arbitrary: fc.record({ what: fc.constant('cancel' as const), which: fc.nat({ max: 30 }) }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('fail' as const) }) },
);

test('any schedule: accounts right after every event, every sequence ends once, with the text it gives alone', () => {
  const seen = { preemptions: 0, copies: 0, acceptedDrafts: 0 };
  fc.assert(
    fc.property(limitsArbitrary, fc.array(eventArbitrary, { maxLength: 80 }), (limits, events) => {
      const bench = new Workbench(limits);
      for (const event of events) {
        if (event.what === 'submit') bench.submit(event.promptLength, event.newTokens, event.options);
        else if (event.what === 'begin') bench.begin();
        else if (event.what === 'finish') bench.finish();
        else if (event.what === 'fail') bench.fail();
        else if (bench.sequences.length > 0)
          bench.end(bench.sequences[event.which % bench.sequences.length], 'cancelled');
        bench.check();
      }
      bench.finish();
      bench.drain();
      bench.checkTexts();
      assert.is(bench.ends.size, bench.sequences.length);
      assert.is(bench.scheduler.stats.freeBlocks, limits.kvBlocks);
      seen.preemptions += bench.scheduler.stats.preemptions;
      seen.copies += bench.copies;
      seen.acceptedDrafts += bench.acceptedDrafts;
    }),
    { numRuns: 500 },
  );
  for (const [what, count] of Object.entries(seen)) assert.ok(count > 0, `no schedule had ${what}`);
});

test.run();
