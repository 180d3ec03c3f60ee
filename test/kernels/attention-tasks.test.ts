import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { attentionTasks, BLOCK_ROWS, slotsFor } from '../../kernels/wasm/attention-tasks.ts';

const test = suite('how attention is dealt out to threads');

const SPLIT = 256;
const MAX_SPLITS = 64;

/** A step of sequences, each with some rows from a position on. */
function stepOf(sequences: readonly { rows: number; position: number }[]) {
  const [positions, slots]: [number[], number[]] = [[], []];
  for (const [slot, { rows, position }] of sequences.entries()) {
    for (let i = 0; i < rows; i++) {
      positions.push(position + i);
      slots.push(slot);
    }
  }
  return { positions, slots };
}

function deal(sequences: readonly { rows: number; position: number }[], threads: number, kvHeads: number) {
  const slots = slotsFor(threads, kvHeads, MAX_SPLITS);
  return attentionTasks(stepOf(sequences), { threads, kvHeads, split: SPLIT, slots });
}

const sequences = fc.array(
  fc.record({ rows: fc.integer({ min: 1, max: 30 }), position: fc.integer({ min: 0, max: SPLIT * MAX_SPLITS - 30 }) }),
  { minLength: 1, maxLength: 20 },
);

test('every row is attended to once, whole or split by split', () => {
  fc.assert(
    fc.property(
      sequences,
      fc.integer({ min: 1, max: 32 }),
      fc.integer({ min: 1, max: 16 }),
      (all, threads, kvHeads) => {
        const step = stepOf(all);
        const { tasks, spread } = deal(all, threads, kvHeads);
        const splitsSeen = step.positions.map(() => [] as number[]);
        for (const { row, rows, split } of tasks) {
          assert.ok(rows >= 1 && rows <= BLOCK_ROWS);
          for (let r = row; r < row + rows; r++) {
            assert.is(step.slots[r], step.slots[row]);
            assert.is(step.positions[r], step.positions[row] + r - row);
            splitsSeen[r].push(split);
          }
        }
        const spreadRows = new Set(spread.flatMap(({ row, rows }) => Array.from({ length: rows }, (_, i) => row + i)));
        for (const [row, seen] of splitsSeen.entries()) {
          if (!spreadRows.has(row)) assert.equal(seen, [-1]);
          else for (let s = 0; s <= Math.floor(step.positions[row] / SPLIT); s++) assert.ok(seen.includes(s));
        }
      },
    ),
  );
});

test('partial results do not overlap and fit the room for them, in the order of their splits', () => {
  fc.assert(
    fc.property(
      sequences,
      fc.integer({ min: 2, max: 32 }),
      fc.integer({ min: 1, max: 16 }),
      (all, threads, kvHeads) => {
        const { tasks, spread } = deal(all, threads, kvHeads);
        const used = new Set<number>();
        for (const { row, rows, split, slot } of tasks.filter(({ split }) => split >= 0)) {
          assert.is(slot, spread.find((block) => block.row === row)!.slot + rows * split);
          for (let i = slot; i < slot + rows; i++) {
            assert.not.ok(used.has(i) || i >= slotsFor(threads, kvHeads, MAX_SPLITS));
            used.add(i);
          }
        }
      },
    ),
  );
});

test('a sequence that is long beside the others is cut, equal ones are not, and the longest come first', () => {
  const short = Array.from({ length: 15 }, () => ({ rows: 1, position: 300 }));
  const { tasks, spread } = deal([...short, { rows: 1, position: 16_000 }], 8, 2);
  assert.equal(spread, [{ row: 15, rows: 1, slot: 0 }]);
  assert.is(tasks.length, 15 + 63);
  assert.is(tasks[0].row, 15);
  assert.equal(
    deal(
      Array.from({ length: 16 }, () => ({ rows: 1, position: 16_000 })),
      8,
      2,
    ).spread,
    [],
  );
  assert.equal(deal([{ rows: 1, position: 16_000 }], 1, 2).spread, []);
  const lengths = deal(
    [
      { rows: 1, position: 10 },
      { rows: 1, position: 900 },
      { rows: 4, position: 500 },
    ],
    1,
    2,
  );
  assert.equal(
    lengths.tasks.map(({ row }) => row),
    [2, 1, 0],
  );
});

test.run();
