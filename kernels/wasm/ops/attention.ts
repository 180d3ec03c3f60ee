/**
 * softmax(scale · q·Kᵀ) · V for each row and query head, over paged keys and values, causal, optionally windowed.
 *
 * Every row's positions are cut into splits (`attention-split.ts`), and the splits' results are merged from first to
 * last: m' = max(m, mₛ), l' = l·e^(m−m') + lₛ·e^(mₛ−m'), o likewise; out = o / l. Two ways to share the work, with
 * the same bits:
 *
 * - a task is one K/V head of a block of rows (`../attention-tasks.ts`); it walks the splits and merges as it goes;
 * - where a block is long beside the whole step, a task is one of its splits; a second op, {@link attentionMerge}, merges.
 *
 * Source of the merge: Milakov and Gimelshein, arXiv:1805.02867.
 */

import { $, call, type Func, f32, f32x4, i32, if_, local, memory, v128 } from 'wasmati';
import { KV_BLOCK_SIZE, type KvFormat } from '../../contract.ts';
import { BLOCK_ROWS } from '../attention-tasks.ts';
import { type ArgLocals, type Frame, forEachTask, forRange, type I32, increment, opKernel, routine } from '../emit.ts';
import { ATTENTION_TASK_BYTES } from '../step-buffers.ts';
import { emitExp, f32x4Const } from '../vector-math.ts';
import {
  ATTENTION_ARGS,
  attendSplit,
  clear,
  firstVisible,
  PARTIAL_HEADER_BYTES,
  visibleOf,
  wordOf,
} from './attention-split.ts';
import { SCORE_BYTES, SPLIT } from './attention-tiles.ts';

type Args = ArgLocals<typeof ATTENTION_ARGS>;

/** Bytes of one row's partial results for a K/V head's group. */
export function partialBytes(group: number, headDim: number): number {
  return group * (PARTIAL_HEADER_BYTES + 4 * headDim);
}

/** Bytes of scratch that each thread needs, in the order of {@link taskLocals}. */
export function attentionScratchBytes(group: number, headDim: number): number {
  const row = SCORE_BYTES * group + 4 * headDim * group + 2 * partialBytes(group, headDim);
  return 4 * KV_BLOCK_SIZE * headDim + BLOCK_ROWS * row;
}

/** running = running merged with partial, which comes after it: (running, partial, group, headDim). */
const merge: Func<'i32'[], []> = routine(4, (frame, running, partial, group, headDim) => {
  const [head, at, bytes] = [frame.i32(), frame.i32(), frame.i32()];
  const [old, next, max] = [frame.f32(), frame.f32(), frame.f32()];
  const [factors, oldFactor, nextFactor] = frame.v128s(3);
  const exp = emitExp(frame);
  local.set(bytes, i32.shl(headDim, 2));
  forRange(head, 0, group, 1, () => {
    local.set(old, f32.load({}, running));
    local.set(next, f32.load({}, partial));
    local.set(max, f32.max(old, next));
    f32x4.splat(f32.sub(old, max));
    f32.sub(next, max);
    f32x4.replace_lane(1, $, $);
    local.set(factors, $);
    exp(factors);
    local.set(oldFactor, f32x4.splat(f32x4.extract_lane(0, factors)));
    local.set(nextFactor, f32x4.splat(f32x4.extract_lane(1, factors)));
    f32.store({}, running, max);
    local.get(running);
    f32.mul(f32.load({ offset: 4 }, running), f32x4.extract_lane(0, oldFactor));
    f32.mul(f32.load({ offset: 4 }, partial), f32x4.extract_lane(0, nextFactor));
    f32.add($, $);
    f32.store({ offset: 4 }, $, $);
    increment(running, PARTIAL_HEADER_BYTES);
    increment(partial, PARTIAL_HEADER_BYTES);
    forRange(at, 0, bytes, 16, () => {
      i32.add(running, at);
      f32x4.mul(v128.load({}, i32.add(running, at)), oldFactor);
      f32x4.mul(v128.load({}, i32.add(partial, at)), nextFactor);
      f32x4.add($, $);
      v128.store({}, $, $);
    });
    increment(running, bytes);
    increment(partial, bytes);
  });
});

/**
 * out = o / l for each head of a group: (running, out, sinks of the group or 0, group, headDim). A sink s comes in like a
 * split of its own with m = s, l = 1, o = 0: out = o·f / (l·f + e^(s−m')), f = e^(m−m').
 */
const finish: Func<'i32'[], []> = routine(5, (frame, running, out, sinks, group, headDim) => {
  const [head, at, bytes] = [frame.i32(), frame.i32(), frame.i32()];
  const [total, factor, shares] = frame.v128s(3);
  const [greatest, sink, max] = [frame.f32(), frame.f32(), frame.f32()];
  const exp = emitExp(frame);
  const addSink = () => {
    local.set(greatest, f32.load({}, running));
    local.set(sink, f32.load({}, sinks));
    local.set(max, f32.max(greatest, sink));
    f32x4.splat(f32.sub(greatest, max));
    f32.sub(sink, max);
    f32x4.replace_lane(1, $, $);
    local.set(shares, $);
    exp(shares);
    local.set(factor, f32x4.splat(f32x4.extract_lane(0, shares)));
    f32x4.mul(total, factor);
    f32x4.splat(f32x4.extract_lane(1, shares));
    local.set(total, f32x4.add($, $));
    increment(sinks, 4);
  };
  local.set(bytes, i32.shl(headDim, 2));
  forRange(head, 0, group, 1, () => {
    local.set(total, v128.load32_splat({ offset: 4 }, running));
    local.set(factor, f32x4Const(1));
    local.get(sinks);
    if_(null, addSink);
    increment(running, PARTIAL_HEADER_BYTES);
    forRange(at, 0, bytes, 16, () => {
      i32.add(out, at);
      f32x4.mul(v128.load({}, i32.add(running, at)), factor);
      f32x4.div($, total);
      v128.store({}, $, $);
    });
    increment(running, bytes);
    increment(out, bytes);
  });
});

/** What a task is about, and the addresses in a thread's scratch. */
function taskLocals(frame: Frame, a: Args, thread: I32) {
  const [room, scores, q, partial, running, bytes] = Array.from({ length: 6 }, () => frame.i32());
  const [row, rows, split, slot, kvHead] = Array.from({ length: 5 }, () => frame.i32());
  const [entry, first, last, out, position] = Array.from({ length: 5 }, () => frame.i32());
  i32.shl(a.headDim, 2);
  i32.add($, PARTIAL_HEADER_BYTES);
  local.set(bytes, i32.mul($, a.group));
  local.set(room, i32.add(a.scratch, i32.mul(thread, a.scratchStride)));
  local.set(scores, i32.add(room, i32.mul(a.headDim, 4 * KV_BLOCK_SIZE)));
  local.set(q, i32.add(scores, i32.mul(a.group, BLOCK_ROWS * SCORE_BYTES)));
  i32.mul(i32.mul(a.group, a.headDim), 4 * BLOCK_ROWS);
  local.set(partial, i32.add(q, $));
  local.set(running, i32.add(partial, i32.mul(bytes, BLOCK_ROWS)));
  return {
    room,
    scores,
    q,
    partial,
    running,
    bytes,
    row,
    rows,
    split,
    slot,
    kvHead,
    first,
    last,
    out,
    position,
    /** Reads the entry of a table for a task, and finds the first and last split that its rows see and their place in `out`. */
    take(table: I32, task: I32) {
      local.set(entry, i32.add(table, i32.mul(i32.div_u(task, a.kvHeads), ATTENTION_TASK_BYTES)));
      local.set(kvHead, i32.rem_u(task, a.kvHeads));
      [row, rows, split, slot].forEach((word, i) => local.set(word, i32.load({ offset: 4 * i }, entry)));
      local.set(position, wordOf(a.positions, row));
      firstVisible(first, position, a.window);
      local.set(first, i32.shr_u(first, Math.log2(SPLIT)));
      i32.sub(i32.add(position, rows), 1);
      local.set(last, i32.shr_u($, Math.log2(SPLIT)));
      i32.mul(row, a.outStride);
      i32.mul(i32.mul(kvHead, a.group), i32.shl(a.headDim, 2));
      i32.add($, $);
      local.set(out, i32.add($, a.out));
    },
    /** address = where the partial results at `slot` are kept, which moves on by `rows`. */
    takeSlot(address: I32) {
      i32.mul(slot, a.kvHeads);
      i32.add($, i32.mul(kvHead, rows));
      i32.mul($, bytes);
      local.set(address, i32.add($, a.partials));
      increment(slot, rows);
    },
    /** Copies the rows' query heads of the group next to each other. */
    gatherQueries() {
      const [index, from, to, size] = Array.from({ length: 4 }, () => frame.i32());
      local.set(size, i32.shl(i32.mul(a.group, a.headDim), 2));
      i32.mul(row, a.qkvStride);
      i32.add($, i32.mul(kvHead, size));
      local.set(from, i32.add($, a.qkv));
      local.set(to, q);
      forRange(index, 0, rows, 1, () => {
        local.get(to);
        local.get(from);
        local.get(size);
        memory.copy();
        increment(from, a.qkvStride);
        increment(to, size);
      });
    },
  };
}

type TaskLocals = ReturnType<typeof taskLocals>;

/**
 * Merges the splits of a task's rows from first to last and writes the results. `makePartial` emits what makes a split's
 * partial results, and gives their address.
 */
function mergeSplits(frame: Frame, a: Args, t: TaskLocals, makePartial: (split: I32) => I32): void {
  const [index, split, splitsEnd, sinks, begin, end] = Array.from({ length: 6 }, () => frame.i32());
  const [position, running, heads] = Array.from({ length: 3 }, () => frame.i32());
  const partial = frame.i32();
  local.set(heads, i32.mul(t.rows, a.group));
  call(clear, [t.running, heads, a.headDim]);
  local.set(splitsEnd, i32.add(t.last, 1));
  forRange(split, t.first, splitsEnd, 1, () => {
    local.set(partial, makePartial(split));
    local.set(position, t.position);
    local.set(running, t.running);
    forRange(index, 0, t.rows, 1, () => {
      visibleOf(begin, end, split, position, a.window);
      i32.lt_s(begin, end);
      if_(null, () => call(merge, [running, partial, a.group, a.headDim]));
      increment(position, 1);
      increment(running, t.bytes);
      increment(partial, t.bytes);
    });
  });
  local.set(sinks, a.sinks);
  local.get(sinks);
  if_(null, () => increment(sinks, i32.shl(i32.mul(t.kvHead, a.group), 2)));
  local.set(running, t.running);
  forRange(index, 0, t.rows, 1, () => {
    call(finish, [running, t.out, sinks, a.group, a.headDim]);
    increment(running, t.bytes);
    increment(t.out, a.outStride);
  });
}

/** @param format  of the cache */
export function attention(format: KvFormat) {
  const attend = attendSplit(format);
  return opKernel(`attention ${format}`, ATTENTION_ARGS, (frame, a, thread, args) => {
    const t = taskLocals(frame, a, thread);
    const [task, tasks, target] = Array.from({ length: 3 }, () => frame.i32());
    const attendTo = (split: I32, partial: I32) =>
      call(attend, [args, t.row, t.rows, t.kvHead, split, t.q, partial, t.scores, t.room]);

    local.set(tasks, i32.mul(a.taskCount, a.kvHeads));
    forEachTask(task, tasks, () => {
      t.take(a.tasks, task);
      t.gatherQueries();
      i32.lt_s(t.split, 0);
      if_(
        null,
        () => {
          mergeSplits(frame, a, t, (split) => {
            attendTo(split, t.partial);
            return t.partial;
          });
        },
        () => {
          t.takeSlot(target);
          i32.ge_s(t.split, t.first);
          i32.le_s(t.split, t.last);
          i32.and($, $);
          if_(null, () => attendTo(t.split, target));
        },
      );
    });
  });
}

export const attentionMerge = opKernel('attentionMerge', ATTENTION_ARGS, (frame, a, thread) => {
  const t = taskLocals(frame, a, thread);
  const [task, tasks, source] = Array.from({ length: 3 }, () => frame.i32());
  local.set(tasks, i32.mul(a.spreadCount, a.kvHeads));
  forEachTask(task, tasks, () => {
    t.take(a.spread, task);
    // What a window hides of the splits has its slots nevertheless.
    increment(t.slot, i32.mul(t.first, t.rows));
    mergeSplits(frame, a, t, () => {
      t.takeSlot(source);
      return source;
    });
  });
});
