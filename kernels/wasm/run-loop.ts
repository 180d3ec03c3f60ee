/**
 * How threads run a plan: every worker walks the same op table in linear memory and meets the others at a barrier after
 * each op.
 *
 * The table is a run of records: index of the op in the module's function table, bytes of the record, argument words;
 * an index of −1 ends it. A barrier spins for a while (normal skew between workers is a few microseconds; waking a
 * sleeper costs tens) and then sleeps, so that an oversubscribed machine is not burnt by spinning.
 */

import { $, block, br, br_if, call, call_indirect, type Func, i32, i64, if_, local, loop, memory } from 'wasmati';
import { type I32, routine } from './emit.ts';
import {
  BARRIER_ARRIVED,
  BARRIER_GENERATION,
  BARRIER_SLEEPERS,
  RUN_EPOCH,
  RUN_SLEEPERS,
  RUN_TABLE,
  TASK_COUNTER,
  THREADS,
} from './memory-map.ts';

/** Bytes of a record in front of the argument words. */
export const RECORD_HEADER_BYTES = 8;

/** Rounds of spinning at a barrier before going to sleep; some 20 to 60 µs. */
const BARRIER_SPINS = 20_000;
/** Rounds of spinning for the next run; short, since the thread that prepares it wants the core. */
const RUN_SPINS = 2_000;

const EVERYONE = 0x7fffffff;
const WITHOUT_LIMIT = -1n;

type Table = Parameters<typeof call_indirect>[0];

/**
 * Waits until the word at `address` is no longer `seen`: spins, then sleeps; `sleepers` counts who must be woken.
 * The upper half of the 64-bit cell stays zero: wasmati types the timeout of `wait32` wrongly, `wait64` it has right.
 */
function waitForChange(address: number, sleepers: number, seen: I32, spins: number, counter: I32): void {
  block(null, (changed) => {
    local.set(counter, i32.const(spins));
    loop(null, (again) => {
      i32.ne(i32.atomic.load({ offset: address }, 0), seen);
      br_if(changed);
      local.set(counter, i32.sub(counter, 1));
      local.get(counter);
      br_if(again);
    });
    i32.atomic.rmw.add({ offset: sleepers }, 0, 1);
    local.set(counter, $);
    loop(null, (again) => {
      i32.const(0);
      i64.extend_i32_u(seen);
      i64.const(WITHOUT_LIMIT);
      memory.atomic.wait64({ offset: address }, $, $, $);
      local.set(counter, $);
      i32.eq(i32.atomic.load({ offset: address }, 0), seen);
      br_if(again);
    });
    i32.atomic.rmw.sub({ offset: sleepers }, 0, 1);
    local.set(counter, $);
  });
}

/** Returns once all threads have called it; everything written before is then visible to all. */
const barrier: Func<'i32'[], []> = routine(0, (frame) => {
  const [generation, counter] = [frame.i32(), frame.i32()];
  local.set(generation, i32.atomic.load({ offset: BARRIER_GENERATION }, 0));
  i32.add(i32.atomic.rmw.add({ offset: BARRIER_ARRIVED }, 0, 1), 1);
  i32.load({ offset: THREADS }, 0);
  i32.eq($, $);
  if_(
    null,
    () => {
      i32.atomic.store({ offset: BARRIER_ARRIVED }, 0, 0);
      i32.atomic.store({ offset: TASK_COUNTER }, 0, 0);
      i32.const(0);
      i32.add(generation, 1);
      i32.atomic.store({ offset: BARRIER_GENERATION }, $, $);
      i32.atomic.load({ offset: BARRIER_SLEEPERS }, 0);
      if_(null, () => {
        memory.atomic.notify({ offset: BARRIER_GENERATION }, 0, EVERYONE);
        local.set(counter, $);
      });
    },
    () => waitForChange(BARRIER_GENERATION, BARRIER_SLEEPERS, generation, BARRIER_SPINS, counter),
  );
});

/** (thread): walks the op table whose address is at {@link RUN_TABLE}. */
export function runFunction(table: Table): Func<'i32'[], []> {
  return routine(1, (frame, thread) => {
    const record = frame.i32();
    local.set(record, i32.load({ offset: RUN_TABLE }, 0));
    block(null, (done) => {
      loop(null, (again) => {
        i32.lt_s(i32.load({}, record), 0);
        br_if(done);
        i32.add(record, RECORD_HEADER_BYTES);
        local.get(thread);
        i32.load({}, record);
        call_indirect(table, { in: [i32, i32], out: [] });
        call(barrier);
        i32.load({ offset: 4 }, record);
        local.set(record, i32.add($, record));
        br(again);
      });
    });
  });
}

/** (epoch): returns once the run epoch is no longer `epoch`. */
export const awaitRun: Func<'i32'[], []> = routine(1, (frame, epoch) => {
  const counter = frame.i32();
  waitForChange(RUN_EPOCH, RUN_SLEEPERS, epoch, RUN_SPINS, counter);
});
