/**
 * Reads a stretch of memory and does nothing with it: the yardstick for kernels that are bound by memory. A task is
 * {@link CHUNK} bytes; eight vectors a round, so that only the memory limits it.
 */

import { $, i32, i32x4, local, v128 } from 'wasmati';
import { forEachTask, forRange, increment, opKernel } from '../emit.ts';
import { i32x4Const } from '../vector-math.ts';

export const CHUNK = 64 * 1024;

export const readMemory = opKernel('readMemory', { address: 'i32', tasks: 'i32', sink: 'i32' }, (frame, a) => {
  const [task, at, round] = [frame.i32(), frame.i32(), frame.i32()];
  const sums = frame.v128s(4);
  for (const sum of sums) local.set(sum, i32x4Const(0));
  forEachTask(task, a.tasks, () => {
    local.set(at, i32.add(a.address, i32.shl(task, Math.log2(CHUNK))));
    forRange(round, 0, CHUNK / 128, 1, () => {
      for (let i = 0; i < 8; i++) {
        const sum = sums[i % 4];
        local.set(sum, i32x4.add(sum, v128.load({ offset: 16 * i }, at)));
      }
      increment(at, 128);
    });
  });
  // Stored so that the loads are not optimised away.
  local.get(a.sink);
  i32x4.add(i32x4.add(sums[0], sums[1]), i32x4.add(sums[2], sums[3]));
  v128.store({}, $, $);
});
