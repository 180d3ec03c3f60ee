/**
 * Attention of a block of query rows over one split: {@link SPLIT} consecutive positions, cut by absolute position, or what
 * of them a row may see. The rows follow one another in one sequence. For each row and each query head h of one K/V head's
 * group: m = max s, l = Σ e^(s−m), o = Σ e^(s−m)·v with s = scale · q·k, perhaps capped.
 *
 * Each page is read from memory once for all rows and query heads: first the keys of all pages, then the values. Pages lie
 * anywhere, and the products (`attention-tiles.ts`) would wait for one line of them after the other; so they are preceded
 * by a load of every line, with many under way at a time. l adds up in four lanes (position mod 4) and then
 * (0 + 1) + (2 + 3), o in the order of the positions: nothing depends on which rows share a block.
 *
 * Bound by arithmetic while a split's pages are in a cache, else by memory for less than some four query heads.
 */

import { $, call, type Func, f32, f32x4, i32, if_, local, v128 } from 'wasmati';
import { KV_BLOCK_SIZE, type KvFormat } from '../../contract.ts';
import { type ArgKinds, forRange, type I32, increment, loadArgs, routine } from '../emit.ts';
import { KV_ELEMENT_BYTES, KV_PAGE_HEADER } from '../layout.ts';
import { emitPowerOfTwo, f32x4Const, maxLanes, sumLanes } from '../vector-math.ts';
import {
  forTiles,
  SCORE_BYTES,
  SPLIT,
  scaleScores,
  scoreTile,
  TILE_QUERIES,
  TOUCHED_PAGES,
  touch,
  weighTile,
  widenPage,
} from './attention-tiles.ts';
import { emitSoftcap } from './elementwise.ts';

const SPLIT_SHIFT = Math.log2(SPLIT);
const BLOCK_SHIFT = Math.log2(KV_BLOCK_SIZE);

/** A partial result of one head: m, l, two words of padding, then o `[headDim]`. */
export const PARTIAL_HEADER_BYTES = 16;

/** Stands for −∞ without its NaNs. */
export const LOWEST = -3e38;

/** Arguments that all attention ops share. */
export const ATTENTION_ARGS = {
  qkv: 'i32',
  qkvStride: 'i32',
  kvHeads: 'i32',
  group: 'i32',
  headDim: 'i32',
  scale: 'f32',
  window: 'i32',
  /** 0 for none. */
  softcap: 'f32',
  sinks: 'i32',
  keys: 'i32',
  values: 'i32',
  positions: 'i32',
  slots: 'i32',
  blockTables: 'i32',
  blockTableStride: 'i32',
  out: 'i32',
  outStride: 'i32',
  scratch: 'i32',
  scratchStride: 'i32',
  partials: 'i32',
  /** Tables of tasks and of blocks of rows that are spread over tasks, see `../attention-tasks.ts`. */
  tasks: 'i32',
  taskCount: 'step',
  spread: 'i32',
  spreadCount: 'step',
} as const satisfies ArgKinds;

/** Pushes the word at `index` of an array of words. */
export function wordOf(array: I32, index: I32) {
  return i32.load({}, i32.add(array, i32.shl(index, 2)));
}

/** first = the first position that a row at `position` sees: 0, or the last `window` ones. */
export function firstVisible(first: I32, position: I32, window: I32): void {
  local.set(first, i32.const(0));
  local.get(window);
  if_(null, () => {
    i32.sub(position, window);
    local.set(first, i32.add($, 1));
    i32.lt_s(first, 0);
    if_(null, () => local.set(first, i32.const(0)));
  });
}

/** begin, end = the positions that a row at `position` sees of a split: none where end ≤ begin. */
export function visibleOf(begin: I32, end: I32, split: I32, position: I32, window: I32): void {
  firstVisible(begin, position, window);
  local.set(end, i32.shl(split, SPLIT_SHIFT));
  atLeast(begin, end);
  increment(end, SPLIT);
  i32.gt_s(end, position);
  if_(null, () => local.set(end, i32.add(position, 1)));
}

function atLeast(value: I32, bound: I32): void {
  i32.lt_s(value, bound);
  if_(null, () => local.set(value, bound));
}

function atMost(value: I32, bound: I32): void {
  i32.gt_s(value, bound);
  if_(null, () => local.set(value, bound));
}

/** Scores that are taken together in {@link softmax}: two vectors. */
const SCORES_AT_ONCE = 8;

/**
 * For each head of a group m and l, and e^(s−m) in place of the products q·k. Scores that are not seen, up to whole
 * vectors, count as the lowest: (args, scores, partial, begin and end from the start of the split).
 */
const softmax: Func<'i32'[], []> = routine(5, (frame, args, scores, partial, begin, end) => {
  const a = loadArgs(ATTENTION_ARGS, ['group', 'headDim', 'scale', 'softcap'], frame, args);
  const [head, at, from, to, edge] = Array.from({ length: 5 }, () => frame.i32());
  const [value, max, sum, scale, log2e] = frame.v128s(5);
  const [greatest, total] = [frame.f32(), frame.f32()];
  const powerOfTwo = emitPowerOfTwo(frame);
  const capScores = emitSoftcap(frame);
  const forVectors = (each: (offset: number) => void) =>
    forRange(at, from, to, 4 * SCORES_AT_ONCE, () => {
      for (let i = 0; i < SCORES_AT_ONCE; i += 4) each(4 * i);
    });
  /** value = the four scores at an offset. */
  const loadScores = (offset: number) => local.set(value, f32x4.mul(v128.load({ offset }, at), scale));
  const hide = (first: I32, last: I32) => forRange(at, first, last, 4, () => f32.store({}, at, f32.const(LOWEST)));

  local.set(log2e, f32x4Const(Math.LOG2E));
  local.set(scale, f32x4.splat(a.scale));
  forRange(head, 0, a.group, 1, () => {
    local.set(from, i32.add(scores, i32.shl(i32.and(begin, -SCORES_AT_ONCE), 2)));
    local.set(to, i32.add(scores, i32.shl(i32.and(i32.add(end, SCORES_AT_ONCE - 1), -SCORES_AT_ONCE), 2)));
    f32.ne(a.softcap, 0);
    if_(null, () => {
      local.set(scale, f32x4.splat(a.scale));
      forVectors((offset) => {
        loadScores(offset);
        capScores(value, a.softcap);
        v128.store({ offset }, at, value);
      });
      local.set(scale, f32x4Const(1));
    });
    local.set(edge, i32.add(scores, i32.shl(begin, 2)));
    hide(from, edge);
    local.set(edge, i32.add(scores, i32.shl(end, 2)));
    hide(edge, to);
    local.set(max, f32x4Const(LOWEST));
    forVectors((offset) => {
      loadScores(offset);
      local.set(max, f32x4.pmax(max, value));
    });
    maxLanes(greatest, max);
    local.set(max, f32x4.splat(greatest));
    local.set(sum, f32x4Const(0));
    forVectors((offset) => {
      loadScores(offset);
      local.set(value, f32x4.mul(f32x4.sub(value, max), log2e));
      powerOfTwo(value);
      local.set(sum, f32x4.add(sum, value));
      v128.store({ offset }, at, value);
    });
    sumLanes(total, sum);
    f32.store({}, partial, greatest);
    f32.store({ offset: 4 }, partial, total);
    increment(scores, SCORE_BYTES);
    increment(partial, i32.add(i32.shl(a.headDim, 2), PARTIAL_HEADER_BYTES));
  });
});

/** Sets partial results to those of no positions: (partial, heads, headDim). */
export const clear: Func<'i32'[], []> = routine(3, (frame, partial, heads, headDim) => {
  const [head, at, bytes] = [frame.i32(), frame.i32(), frame.i32()];
  local.set(bytes, i32.shl(headDim, 2));
  forRange(head, 0, heads, 1, () => {
    f32.store({}, partial, f32.const(LOWEST));
    f32.store({ offset: 4 }, partial, f32.const(0));
    increment(partial, PARTIAL_HEADER_BYTES);
    forRange(at, 0, bytes, 16, () => {
      i32.add(partial, at);
      f32x4Const(0);
      v128.store({}, $, $);
    });
    increment(partial, bytes);
  });
});

/**
 * (args, row, rows, kvHead, split, q `[rows, group, headDim]`, partial, scores, room for a page of floats): partial results
 * `[rows, group][header, headDim]`.
 */
export function attendSplit(format: KvFormat): Func<'i32'[], []> {
  const sizes = Array.from({ length: TILE_QUERIES }, (_, i) => i + 1);
  const tiles = { score: sizes.map(scoreTile), weigh: sizes.map(weighTile) };
  const widen = format === 'F32' ? undefined : widenPage(format);

  return routine(9, (frame, args, row, rows, kvHead, split, q, partial, scores, room) => {
    const a = loadArgs(
      ATTENTION_ARGS,
      [
        'kvHeads',
        'group',
        'headDim',
        'window',
        'keys',
        'values',
        'positions',
        'slots',
        'blockTables',
        'blockTableStride',
      ],
      frame,
      args,
    );
    const [position, base, begin, end, table, queries] = Array.from({ length: 6 }, () => frame.i32());
    const [block, firstBlock, blockEnd, page, floats, at] = Array.from({ length: 6 }, () => frame.i32());
    const [current, last, first, left, lastBlock] = Array.from({ length: 5 }, () => frame.i32());
    const [headBytes, partialBytes, pageBytes] = Array.from({ length: 3 }, () => frame.i32());

    /** begin, end = what a row of the block sees. */
    const see = (index: I32) => {
      local.set(current, i32.add(position, index));
      visibleOf(begin, end, split, current, a.window);
    };

    local.set(position, wordOf(a.positions, row));
    local.set(base, i32.shl(split, SPLIT_SHIFT));
    i32.mul(wordOf(a.slots, row), a.blockTableStride);
    local.set(table, i32.add($, a.blockTables));
    local.set(queries, i32.mul(rows, a.group));
    local.set(headBytes, i32.shl(a.headDim, 2));
    local.set(partialBytes, i32.add(headBytes, PARTIAL_HEADER_BYTES));
    i32.mul(a.headDim, KV_ELEMENT_BYTES[format] * KV_BLOCK_SIZE);
    local.set(pageBytes, i32.add($, KV_PAGE_HEADER[format]));
    local.set(last, i32.sub(rows, 1));
    see(last);
    local.set(blockEnd, i32.shr_u(i32.add(end, KV_BLOCK_SIZE - 1), BLOCK_SHIFT));
    visibleOf(begin, end, split, position, a.window);
    local.set(firstBlock, i32.shr_u(begin, BLOCK_SHIFT));

    call(clear, [partial, queries, a.headDim]);
    scoreKeys();
    takeExponentials();
    weighValues();

    /** page = that of a block, at this head. */
    function findPage(pages: I32, index: I32): void {
      i32.add(i32.mul(wordOf(table, index), a.kvHeads), kvHead);
      i32.mul($, pageBytes);
      local.set(page, i32.add($, pages));
    }

    /** Brings all pages that a row sees near; those beyond the last are the last again. */
    function touchPages(pages: I32): void {
      const index = first;
      local.set(lastBlock, i32.sub(blockEnd, 1));
      forRange(block, firstBlock, blockEnd, TOUCHED_PAGES, () => {
        for (let i = 0; i < TOUCHED_PAGES; i++) {
          local.set(index, i32.add(block, i));
          atMost(index, lastBlock);
          findPage(pages, index);
          local.get(page);
        }
        local.get(pageBytes);
        local.get(room);
        call(touch);
      });
    }

    /** For each page that a row sees: `page` as it lies in memory, `floats`, and in `at` the first query's scores. */
    function forEachPage(pages: I32, each: () => void): void {
      touchPages(pages);
      forRange(block, firstBlock, blockEnd, 1, () => {
        findPage(pages, block);
        local.set(floats, widen ? room : page);
        if (widen) call(widen, [page, a.headDim, room]);
        i32.shl(i32.sub(i32.shl(block, BLOCK_SHIFT), base), 2);
        local.set(at, i32.add($, scores));
        each();
      });
    }

    function scoreKeys(): void {
      forEachPage(a.keys, () => {
        forTiles(first, queries, left, (count) => {
          i32.add(q, i32.mul(first, headBytes));
          local.get(a.headDim);
          local.get(floats);
          i32.add(at, i32.mul(first, SCORE_BYTES));
          call(tiles.score[count - 1]);
        });
        if (format === 'I8') call(scaleScores, [at, queries, page]);
      });
    }

    function takeExponentials(): void {
      const [index, rowScores, rowPartial] = Array.from({ length: 3 }, () => frame.i32());
      local.set(rowScores, scores);
      local.set(rowPartial, partial);
      forRange(index, 0, rows, 1, () => {
        see(index);
        i32.lt_s(begin, end);
        if_(null, () => {
          local.set(begin, i32.sub(begin, base));
          local.set(end, i32.sub(end, base));
          call(softmax, [args, rowScores, rowPartial, begin, end]);
        });
        increment(rowScores, i32.mul(a.group, SCORE_BYTES));
        increment(rowPartial, i32.mul(a.group, partialBytes));
      });
    }

    /** Rows share a page that all of them see whole; of others each takes what it sees. */
    function weighValues(): void {
      const [index, rowsAtOnce, count, wholeBegin, wholeEnd] = Array.from({ length: 5 }, () => frame.i32());
      const [pageBegin, pageEnd, weights, values, out] = Array.from({ length: 5 }, () => frame.i32());
      see(last);
      local.set(wholeBegin, begin);
      local.set(index, i32.const(0));
      see(index);
      local.set(wholeEnd, end);
      forEachPage(a.values, () => {
        if (format === 'I8') call(scaleScores, [at, queries, page]);
        local.set(pageBegin, i32.shl(block, BLOCK_SHIFT));
        local.set(pageEnd, i32.add(pageBegin, KV_BLOCK_SIZE));
        local.set(rowsAtOnce, i32.const(1));
        i32.ge_s(pageBegin, wholeBegin);
        i32.le_s(pageEnd, wholeEnd);
        i32.and($, $);
        if_(null, () => local.set(rowsAtOnce, rows));
        forRange(index, 0, rows, 0, () => {
          see(index);
          atLeast(begin, pageBegin);
          atMost(end, pageEnd);
          i32.lt_s(begin, end);
          if_(null, weighSeen);
          increment(index, rowsAtOnce);
        });
      });

      function weighSeen(): void {
        local.set(count, i32.mul(index, a.group));
        local.set(weights, i32.add(at, i32.shl(i32.sub(begin, pageBegin), 2)));
        increment(weights, i32.mul(count, SCORE_BYTES));
        i32.mul(i32.sub(begin, pageBegin), headBytes);
        local.set(values, i32.add($, floats));
        i32.mul(count, partialBytes);
        i32.add($, PARTIAL_HEADER_BYTES);
        local.set(out, i32.add($, partial));
        local.set(count, i32.mul(rowsAtOnce, a.group));
        forTiles(first, count, left, (size) => {
          i32.add(weights, i32.mul(first, SCORE_BYTES));
          i32.sub(end, begin);
          local.get(values);
          local.get(a.headDim);
          i32.add(out, i32.mul(first, partialBytes));
          local.get(partialBytes);
          call(tiles.weigh[size - 1]);
        });
      }
    }
  });
}
