/** out[j] = x[logitRows[j]]; one task a row, plain copies. */

import { $, i32, local, memory } from 'wasmati';
import { forEachTask, opKernel } from '../emit.ts';

export const gatherRows = opKernel(
  'gatherRows',
  { x: 'i32', out: 'i32', xStride: 'i32', outStride: 'i32', rowBytes: 'i32', logitRows: 'i32', rows: 'step' },
  (frame, a) => {
    const row = frame.i32();
    const source = frame.i32();
    forEachTask(row, a.rows, () => {
      i32.load({}, i32.add(a.logitRows, i32.shl(row, 2)));
      local.set(source, i32.add(i32.mul($, a.xStride), a.x));
      i32.add(a.out, i32.mul(row, a.outStride));
      local.get(source);
      local.get(a.rowBytes);
      memory.copy();
    });
  },
);
