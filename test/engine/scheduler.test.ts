import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Scheduler, type Step } from '../../engine/scheduler.ts';
import { Sequence } from '../../engine/sequence.ts';
import { argmax, FakeModel, greedyAlone, hashLogits } from './fake-model.ts';

const VOCABULARY = 23;
const test = suite('scheduler');

/** A scheduler with a fake model, and every sequence that it was ever given. */
class Workbench {
  readonly model: FakeModel;
  readonly scheduler: Scheduler;
  readonly sequences: Sequence[] = [];
  /** How each sequence ended; set once. */
  readonly ends = new Map<Sequence, 'length' | 'cancelled' | 'failed'>();
  /** What the logits of each position said comes next. */
  readonly predictions = new Map<Sequence, Map<number, number>>();
  step: Step | undefined;

  constructor(limits: { kvBlocks: number; maxRows: number; maxSeqs: number; maxLogitRows: number }) {
    this.model = new FakeModel({ vocabSize: VOCABULARY, maxModelLen: 1024, ...limits });
    this.scheduler = new Scheduler(this.model);
  }

  submit(promptLength: number, newTokens: number, allLogits = false): Sequence {
    const room = this.scheduler.capacity;
    const prompt = Array.from(
      { length: Math.min(promptLength, room) },
      (_, i) => (this.sequences.length * 7 + i * 3) % VOCABULARY,
    );
    const maxLength = allLogits ? prompt.length : Math.min(prompt.length + newTokens, room);
    const sequence = new Sequence(prompt, maxLength, allLogits ? 0 : undefined);
    this.scheduler.submit(sequence);
    this.sequences.push(sequence);
    this.predictions.set(sequence, new Map());
    return sequence;
  }

  begin(): void {
    this.step ??= this.scheduler.plan();
  }

  finish(): void {
    const step = this.step;
    if (!step) return;
    this.step = undefined;
    const logits = this.model.forwardSync(step.input);
    this.scheduler.commit(step);
    for (const { sequence, firstLogitRow, logitRows } of step.parts) {
      if (sequence.state !== 'running') continue;
      for (let i = 0; i < logitRows; i++) {
        const row = logits.subarray((firstLogitRow + i) * VOCABULARY, (firstLogitRow + i + 1) * VOCABULARY);
        const position = sequence.computed - logitRows + i;
        assert.not(this.predictions.get(sequence)!.has(position), 'the logits of a position came twice');
        this.predictions.get(sequence)!.set(position, argmax(row));
      }
      if (logitRows === 0 || sequence.pending > 0) continue;
      if (sequence.tokens.length === sequence.maxLength) this.end(sequence, 'length');
      else sequence.append(this.predictions.get(sequence)!.get(sequence.computed - 1)!);
    }
  }

  runStep(): void {
    this.begin();
    this.finish();
  }

  fail(): void {
    const step = this.step;
    if (!step) return;
    this.step = undefined;
    this.scheduler.abandon(step);
    for (const { sequence } of step.parts) this.end(sequence, 'failed');
  }

  end(sequence: Sequence, how: 'length' | 'cancelled' | 'failed'): void {
    const first = this.scheduler.settle(sequence);
    assert.is(first, !this.ends.has(sequence), 'a sequence ended twice, or not at all');
    if (first) this.ends.set(sequence, how);
  }

  /** Blocks that no sequence holds lose their content, so that reading one by mistake shows. */
  poisonFreeBlocks(): void {
    const held = new Set(this.sequences.flatMap((sequence) => sequence.blockTable));
    for (let block = 0; block < this.model.kvBlocks; block++) {
      if (!held.has(block)) this.model.cache.fill(-1, block * 16, block * 16 + 16);
    }
  }

  check(): void {
    const { running, waiting, freeBlocks, totalBlocks } = this.scheduler.stats;
    const held = this.sequences.flatMap((sequence) => sequence.blockTable);
    assert.is(new Set(held).size, held.length, 'two sequences hold the same block');
    assert.is(freeBlocks + held.length, totalBlocks, 'a block leaked');
    assert.is(running, this.sequences.filter(({ state }) => state === 'running').length);
    assert.is(waiting, this.sequences.filter(({ state }) => state === 'waiting').length);
    const states = this.sequences.map(({ state }) => state).filter((state) => state !== 'settled');
    assert.not(states.slice(states.indexOf('waiting') + 1 || states.length).includes('running'), 'somebody overtook');
    for (const sequence of this.sequences) {
      if (sequence.state !== 'running') assert.is(sequence.blockTable.length, 0);
      else assert.ok(sequence.blockTable.length * 16 >= sequence.computed);
      assert.is(sequence.state === 'settled', this.ends.has(sequence));
    }
  }

  drain(): void {
    for (let steps = 0; this.scheduler.stats.running + this.scheduler.stats.waiting > 0; steps++) {
      assert.ok(steps < 20_000, 'the sequences do not come to an end');
      this.begin();
      assert.ok(this.step, 'there is work, but no step');
      this.finish();
      this.check();
    }
  }

  checkTexts(): void {
    for (const sequence of this.sequences) {
      const { tokens, promptLength, maxLength } = sequence;
      const alone = greedyAlone(tokens.slice(0, promptLength), maxLength, VOCABULARY);
      assert.equal(tokens, alone.slice(0, tokens.length));
      if (this.ends.get(sequence) === 'length') assert.is(tokens.length, maxLength);
      for (const [position, token] of this.predictions.get(sequence)!) {
        assert.is(token, argmax(hashLogits(tokens.slice(0, position + 1), VOCABULARY)));
      }
    }
  }
}

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
  assert.throws(() => sequence.append(1), /not computed/);
  bench.begin();
  assert.throws(() => bench.scheduler.plan(), /before the last one ended/);
  const step = bench.step!;
  bench.finish();
  assert.throws(() => bench.scheduler.commit(step), /not the one in flight/);
  assert.throws(() => bench.scheduler.abandon(step), /not the one in flight/);
  assert.throws(() => new Scheduler({ kvBlocks: 1, maxRows: 0, maxSeqs: 1, maxLogitRows: 1 }), /at least one/);
});

const limitsArbitrary = fc.record({
  kvBlocks: fc.integer({ min: 1, max: 9 }),
  maxRows: fc.integer({ min: 1, max: 24 }),
  maxSeqs: fc.integer({ min: 1, max: 5 }),
  maxLogitRows: fc.integer({ min: 1, max: 12 }),
});

const eventArbitrary = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      what: fc.constant('submit' as const),
      promptLength: fc.integer({ min: 1, max: 50 }),
      newTokens: fc.integer({ min: 1, max: 50 }),
      allLogits: fc.boolean(),
    }),
  },
  { weight: 12, arbitrary: fc.record({ what: fc.constant('begin' as const) }) },
  { weight: 12, arbitrary: fc.record({ what: fc.constant('finish' as const) }) },
  { weight: 2, arbitrary: fc.record({ what: fc.constant('cancel' as const), which: fc.nat({ max: 30 }) }) },
  { weight: 1, arbitrary: fc.record({ what: fc.constant('fail' as const) }) },
);

test('any schedule: accounts right after every event, every sequence ends once, with the text it gives alone', () => {
  let preemptions = 0;
  fc.assert(
    fc.property(limitsArbitrary, fc.array(eventArbitrary, { maxLength: 80 }), (limits, events) => {
      const bench = new Workbench(limits);
      for (const event of events) {
        if (event.what === 'submit') bench.submit(event.promptLength, event.newTokens, event.allLogits);
        else if (event.what === 'begin') bench.begin();
        else if (event.what === 'finish') bench.finish();
        else if (event.what === 'fail') bench.fail();
        else if (bench.sequences.length > 0)
          bench.end(bench.sequences[event.which % bench.sequences.length], 'cancelled');
        bench.check();
        bench.poisonFreeBlocks();
      }
      bench.finish();
      bench.drain();
      bench.checkTexts();
      assert.is(bench.ends.size, bench.sequences.length);
      assert.is(bench.scheduler.stats.freeBlocks, limits.kvBlocks);
      preemptions += bench.scheduler.stats.preemptions;
    }),
    { numRuns: 300 },
  );
  assert.ok(preemptions > 0, 'no schedule ran out of blocks');
});

test.run();
