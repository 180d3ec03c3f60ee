/**
 * What a row of logits comes to, one task a row: are all logits numbers, the largest of those that count, Σ e^((x - max) · scale),
 * and single ones.
 *
 * logits: f32 `[rows, stride]`; requests and results as in `../reductions.ts`. A word of the mask stands for 32 logits, eight vectors;
 * the last word of a row is read from a copy that is filled up with −∞. Four passes:
 *
 * 1. the lane-wise maximum of each word's vectors that count goes to scratch `[words, 4]`, an eighth of the row, with room for
 *    those of groups behind;
 * 2. a threshold that at least `top` of these maxima reach is found by halving the range of floats; so many logits reach it too;
 * 3. all logits that reach the threshold are listed, from the words where a maximum does;
 * 4. the sum: four lanes over a word's vectors in single precision, the words in double precision, in order.
 *
 * Bound by arithmetic: some 30 vector operations for four logits with a sum, 10 without.
 */

import {
  $,
  block,
  br,
  br_if,
  call,
  type Func,
  f32,
  f32x4,
  f64,
  f64x2,
  i8x16,
  i32,
  i32x4,
  if_,
  local,
  loop,
  memory,
  v128,
} from 'wasmati';
import { type Frame, forEachTask, forRange, type I32, increment, opKernel, routine, type V128 } from '../emit.ts';
import { REQUEST, RESULT, RESULT_CAPACITY } from '../reductions.ts';
import { emitPowerOfTwo, f32x4Const, maxLanes } from '../vector-math.ts';

const VECTORS = 8;
/** Words whose maxima are put together in pass 2. */
const GROUP = 16;
const WORD_BYTES = 16 * VECTORS;
const LOWEST_FINITE = -3.4028234663852886e38;
const LOWEST_KEY = keyOf(LOWEST_FINITE);

/** For a mask word and the address of its 32 logits: pushes one of their vectors, −∞ where a token does not count. */
function maskedVectors(frame: Frame) {
  const [bits, lanes] = frame.v128s(2);
  return {
    /** To be emitted once, and before each word. */
    begin: () => {
      v128.const('i32x4', [1, 2, 4, 8]);
      local.set(lanes, $);
    },
    take: (word: I32) => local.set(bits, i32x4.splat(word)),
    mask: (vector: number, x: V128) => {
      local.get(x);
      f32x4Const(Number.NEGATIVE_INFINITY);
      if (vector > 0) v128.and(i32x4.shr_u(bits, 4 * vector), lanes);
      else v128.and(bits, lanes);
      i32x4.eq($, lanes);
      return v128.bitselect($, $, $);
    },
  };
}

/** at = where the logits of word `index` lie: in the row, or for the last one in the copy. */
function wordAddress(at: I32, index: I32, words: I32, row: I32, tail: I32): void {
  local.set(at, i32.add(row, i32.shl(index, Math.log2(WORD_BYTES))));
  i32.eq(index, i32.sub(words, 1));
  if_(null, () => local.set(at, tail));
}

/** (row, tail, mask, words, maxima, result): pass 1; writes whether all is finite and the greatest logit that counts. */
const findMaxima: Func<'i32'[], []> = routine(6, (frame, row, tail, mask, words, maxima, result) => {
  const [index, at, word] = [frame.i32(), frame.i32(), frame.i32()];
  const [x, all, lane, counted, nan, lowest] = frame.v128s(6);
  const greatest = frame.f32();
  const loadVector = (v: number) => {
    local.set(x, v128.load({ offset: 16 * v }, at));
    local.set(nan, v128.or(nan, f32x4.ne(x, x)));
  };
  const vectors = maskedVectors(frame);
  vectors.begin();
  local.set(lowest, f32x4Const(Number.NEGATIVE_INFINITY));
  for (const max of [all, counted]) local.set(max, lowest);
  local.set(nan, f32x4Const(0));
  forRange(index, 0, words, 1, () => {
    wordAddress(at, index, words, row, tail);
    local.set(word, i32.load({}, mask));
    local.set(lane, lowest);
    i32.eq(word, -1);
    if_(
      null,
      () => {
        for (let v = 0; v < VECTORS; v++) {
          loadVector(v);
          local.set(lane, f32x4.pmax(lane, x));
        }
        local.set(all, f32x4.pmax(all, lane));
      },
      () => {
        vectors.take(word);
        for (let v = 0; v < VECTORS; v++) {
          loadVector(v);
          local.set(all, f32x4.pmax(all, x));
          local.get(lane);
          vectors.mask(v, x);
          local.set(lane, f32x4.pmax($, $));
        }
      },
    );
    v128.store({}, maxima, lane);
    local.set(counted, f32x4.pmax(counted, lane));
    increment(mask, 4);
    increment(maxima, 16);
  });
  maxLanes(greatest, all);
  local.get(result);
  i32.eqz(v128.any_true(nan));
  f32.lt(greatest, f32.const(Number.POSITIVE_INFINITY));
  i32.and($, $);
  f32.gt(greatest, f32.const(Number.NEGATIVE_INFINITY));
  i32.and($, $);
  i32.store({ offset: RESULT.isFinite }, $, $);
  maxLanes(greatest, counted);
  f32.store({ offset: RESULT.max }, result, greatest);
});

/**
 * (maxima, words, top, result): pass 2; writes the threshold, and whether everything reaches it. Halving is done first over
 * the maxima of whole groups of words, which are written behind the others: what `top` of these reach is a good beginning.
 */
const findThreshold: Func<'i32'[], []> = routine(4, (frame, maxima, words, top, result) => {
  const [at, end, groups, groupsEnd, count] = Array.from({ length: 5 }, () => frame.i32());
  const [low, high, middle] = Array.from({ length: 3 }, () => frame.i32());
  const [threshold, counts] = frame.v128s(2);

  /** count = maxima from `first` to `last` that reach the float with the key `key`. */
  const countReaching = (key: I32, first: I32, last: I32) => {
    pushFloatOfKey(key);
    local.set(threshold, f32x4.splat($));
    local.set(counts, f32x4Const(0));
    forRange(at, first, last, 16, () => {
      local.get(counts);
      f32x4.ge(v128.load({}, at), threshold);
      local.set(counts, i32x4.sub($, $));
    });
    i32.add(i32x4.extract_lane(0, counts), i32x4.extract_lane(1, counts));
    i32.add(i32x4.extract_lane(2, counts), i32x4.extract_lane(3, counts));
    local.set(count, i32.add($, $));
  };

  const findGroups = () => {
    local.set(groups, end);
    i32.shl(i32.shr_u(words, Math.log2(GROUP)), 4);
    local.set(groupsEnd, i32.add($, groups));
    local.set(at, maxima);
    const group = middle;
    forRange(group, groups, groupsEnd, 16, () => {
      local.get(group);
      v128.load({}, at);
      for (let i = 1; i < GROUP; i++) f32x4.pmax($, v128.load({ offset: 16 * i }, at));
      v128.store({}, $, $);
      increment(at, 16 * GROUP);
    });
  };

  /** Raises `low`, which at least `top` reach, until not more than a share of 2^−shift above `top` do, or it is known. */
  const raiseLow = (first: I32, last: I32, shift: number) => {
    const brIfNear = (found: Parameters<typeof br_if>[0]) => {
      i32.le_s(count, i32.add(top, i32.shr_u(top, shift)));
      br_if(found);
    };
    f32.load({ offset: RESULT.max }, result);
    pushKeyOfFloat(frame, $);
    local.set(high, $);
    block(null, (found) => {
      brIfNear(found);
      loop(null, (again) => {
        i32.ge_s(low, high);
        br_if(found);
        // At least `top` reach `low`, fewer reach what is above `high`.
        i32.shr_u(i32.sub(high, low), 1);
        local.set(middle, $);
        local.set(middle, i32.sub(high, middle));
        countReaching(middle, first, last);
        i32.ge_s(count, top);
        if_(
          null,
          () => {
            local.set(low, middle);
            brIfNear(found);
          },
          () => local.set(high, i32.sub(middle, 1)),
        );
        br(again);
      });
    });
  };

  local.set(end, i32.add(maxima, i32.shl(words, 4)));
  local.set(low, i32.const(LOWEST_KEY));
  i32.store({ offset: RESULT.isComplete }, result, i32.const(1));
  countReaching(low, maxima, end);
  i32.gt_s(count, top);
  if_(null, () => {
    i32.store({ offset: RESULT.isComplete }, result, i32.const(0));
    i32.eq(top, 1);
    if_(
      null,
      () => {
        f32.load({ offset: RESULT.max }, result);
        pushKeyOfFloat(frame, $);
        local.set(low, $);
      },
      () => {
        findGroups();
        countReaching(low, groups, groupsEnd);
        i32.ge_s(count, top);
        if_(null, () => raiseLow(groups, groupsEnd, 4));
        countReaching(low, maxima, end);
        // What is listed in excess is sorted away.
        raiseLow(maxima, end, 2);
      },
    );
  });
  local.get(result);
  pushFloatOfKey(low);
  f32.store({ offset: RESULT.threshold }, $, $);
});

/** (row, tail, mask, words, maxima, result): pass 3; lists ids and logits, and counts those beyond the room too. */
const list: Func<'i32'[], []> = routine(6, (frame, row, tail, mask, words, maxima, result) => {
  const [index, at, word, hits, bit, count, to] = Array.from({ length: 7 }, () => frame.i32());
  const [x, threshold] = frame.v128s(2);
  const vectors = maskedVectors(frame);
  vectors.begin();
  local.set(threshold, v128.load32_splat({ offset: RESULT.threshold }, result));
  local.set(count, i32.const(0));
  forRange(index, 0, words, 1, () => {
    v128.any_true(f32x4.ge(v128.load({}, maxima), threshold));
    if_(null, () => {
      wordAddress(at, index, words, row, tail);
      local.set(word, i32.load({}, mask));
      vectors.take(word);
      for (let v = 0; v < VECTORS; v++) {
        local.set(x, v128.load({ offset: 16 * v }, at));
        vectors.mask(v, x);
        f32x4.ge($, threshold);
        local.set(hits, i32x4.bitmask($));
        block(null, (done) => {
          loop(null, (again) => {
            i32.eqz(hits);
            br_if(done);
            local.set(bit, i32.ctz(hits));
            local.set(hits, i32.and(hits, i32.sub(hits, 1)));
            i32.lt_u(count, RESULT_CAPACITY);
            if_(null, () => {
              local.set(to, i32.add(result, i32.shl(count, 2)));
              local.get(to);
              i32.add(i32.shl(index, 5), bit);
              i32.add($, 4 * v);
              i32.store({ offset: RESULT.ids }, $, $);
              local.get(to);
              i32.load({ offset: 16 * v }, i32.add(at, i32.shl(bit, 2)));
              i32.store({ offset: RESULT.logits }, $, $);
            });
            increment(count, 1);
            br(again);
          });
        });
      }
    });
    increment(mask, 4);
    increment(maxima, 16);
  });
  i32.store({ offset: RESULT.count }, result, count);
});

/**
 * (row, tail, mask, words, request, result): pass 4. e^((x - max) · scale) is 2^t with t = (x - max) · scale · log2 e.
 */
const sum: Func<'i32'[], []> = routine(6, (frame, row, tail, mask, words, request, result) => {
  const [index, at, word] = [frame.i32(), frame.i32(), frame.i32()];
  const [x, max, scale, part, total] = frame.v128s(5);
  const powerOfTwo = emitPowerOfTwo(frame);
  const vectors = maskedVectors(frame);
  vectors.begin();
  // Where no token counts, the difference of two infinities would be no number.
  f32x4.max(v128.load32_splat({ offset: RESULT.max }, result), f32x4Const(LOWEST_FINITE));
  local.set(max, $);
  f32x4.mul(v128.load32_splat({ offset: REQUEST.scale }, request), f32x4Const(Math.LOG2E));
  local.set(scale, $);
  local.set(total, f32x4Const(0));

  const addVector = (v: number, isMasked: boolean) => {
    local.set(x, v128.load({ offset: 16 * v }, at));
    if (isMasked) vectors.mask(v, x);
    else local.get(x);
    f32x4.sub($, max);
    local.set(x, f32x4.mul($, scale));
    powerOfTwo(x);
    local.set(part, f32x4.add(x, part));
  };

  forRange(index, 0, words, 1, () => {
    local.set(word, i32.load({}, mask));
    local.get(word);
    if_(null, () => {
      wordAddress(at, index, words, row, tail);
      local.set(part, f32x4Const(0));
      i32.eq(word, -1);
      if_(
        null,
        () => {
          for (let v = 0; v < VECTORS; v++) addVector(v, false);
        },
        () => {
          vectors.take(word);
          for (let v = 0; v < VECTORS; v++) addVector(v, true);
        },
      );
      f64x2.promote_low_f32x4(part);
      i8x16.shuffle([8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7], part, part);
      f64x2.promote_low_f32x4($);
      f64x2.add($, $);
      local.set(total, f64x2.add($, total));
    });
    increment(mask, 4);
  });
  local.get(result);
  f64.add(f64x2.extract_lane(0, total), f64x2.extract_lane(1, total));
  f64.store({ offset: RESULT.sumExp }, $, $);
});

export const reduceLogits = opKernel(
  'reduceLogits',
  {
    logits: 'i32',
    stride: 'i32',
    words: 'i32',
    /** Bytes of the row's last, perhaps partial word. */
    tailBytes: 'i32',
    requests: 'i32',
    requestStride: 'i32',
    results: 'i32',
    resultStride: 'i32',
    scratch: 'i32',
    scratchStride: 'i32',
    rows: 'step',
  },
  (frame, a, thread) => {
    const [row, logits, request, result, mask, tail, maxima] = Array.from({ length: 7 }, () => frame.i32());
    const [pick, picks, end, to] = Array.from({ length: 4 }, () => frame.i32());
    forEachTask(row, a.rows, () => {
      local.set(request, i32.add(a.requests, i32.mul(row, a.requestStride)));
      i32.load({ offset: REQUEST.top }, request);
      if_(null, () => {
        local.set(logits, i32.add(a.logits, i32.mul(row, a.stride)));
        local.set(result, i32.add(a.results, i32.mul(row, a.resultStride)));
        local.set(mask, i32.add(request, REQUEST.mask));
        local.set(tail, i32.add(a.scratch, i32.mul(thread, a.scratchStride)));
        local.set(maxima, i32.add(tail, WORD_BYTES));
        copyTail();
        call(findMaxima, [logits, tail, mask, a.words, maxima, result]);
        local.get(maxima);
        local.get(a.words);
        i32.load({ offset: REQUEST.top }, request);
        local.get(result);
        call(findThreshold);
        call(list, [logits, tail, mask, a.words, maxima, result]);
        f32.ne(f32.load({ offset: REQUEST.scale }, request), f32.const(0));
        if_(null, () => call(sum, [logits, tail, mask, a.words, request, result]));
        copyPicks();
      });
    });

    function copyTail(): void {
      for (let v = 0; v < VECTORS; v++) v128.store({ offset: 16 * v }, tail, f32x4Const(Number.NEGATIVE_INFINITY));
      local.get(tail);
      i32.add(logits, i32.shl(i32.sub(a.words, 1), Math.log2(WORD_BYTES)));
      local.get(a.tailBytes);
      memory.copy();
    }

    function copyPicks(): void {
      local.set(picks, i32.add(mask, i32.shl(a.words, 2)));
      i32.load({ offset: REQUEST.picks }, request);
      local.set(end, i32.add(i32.shl($, 2), picks));
      local.set(to, result);
      forRange(pick, picks, end, 4, () => {
        local.get(to);
        i32.add(logits, i32.shl(i32.load({}, pick), 2));
        i32.load({}, $);
        i32.store({ offset: RESULT.picked }, $, $);
        increment(to, 4);
      });
    }
  },
);

/** A signed integer that orders as the floats do. */
function keyOf(value: number): number {
  const bits = new Int32Array(Float32Array.of(value).buffer)[0];
  return bits ^ ((bits >> 31) & 0x7fff_ffff);
}

function pushFloatOfKey(key: I32): void {
  i32.and(i32.shr_s(key, 31), 0x7fff_ffff);
  f32.reinterpret_i32(i32.xor($, key));
}

/** From the float on the stack to its key. */
function pushKeyOfFloat(frame: Frame, value: typeof $): void {
  const bits = frame.i32();
  local.set(bits, i32.reinterpret_f32(value));
  i32.xor(i32.and(i32.shr_s(bits, 31), 0x7fff_ffff), bits);
}
