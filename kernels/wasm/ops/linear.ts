/**
 * out[r] = x[r] · weightᵀ + bias over weight panels: the walk that every weight format shares.
 *
 * The rows of x come in groups, each with a matrix of its own: one group of all rows, or one for each expert in use. A task
 * is a few panels of eight weight rows, taken against all rows of a group: a panel is read from memory once and stays in L1/L2 while four rows at a time run over it ({@link TILE_ROWS}, the most whose sums fit the 16 vector
 * registers of x86-64). Fewer rows take the same code with a smaller tile. Within a tile each (row, weight row) pair has
 * its own lane, which adds up its products in the order of the columns: the tile a row falls into, and so the batch,
 * cannot change its bits.
 *
 * Bound by memory for one row (decode), by arithmetic from about eight rows on (prefill).
 */

import { $, call, type Func, f32x4, i32, if_, local, v128 } from 'wasmati';
import { type Frame, forEachTask, forRange, type I32, increment, opKernel, routine, type V128 } from '../emit.ts';
import { PANEL_ROWS } from '../layout.ts';
import { f32x4Const } from '../vector-math.ts';

export const TILE_ROWS = 4;

/** The inner loop of one format: adds panel · x into `sums[2·row + group]`, group 0 for panel rows 0–3, 1 for 4–7. */
export interface TileLoop {
  readonly name: string;
  /** Bytes from one unit of x to the next, and of the panel. */
  emit(frame: Frame, x: readonly I32[], panel: I32, units: I32, sums: readonly V128[]): void;
}

/**
 * Bytes of a group: matrix, first row, rows. A table of groups begins with a word that says how many there are.
 */
export const GROUP_BYTES = 12;

/** The op for one inner loop. `units` is the length of a panel in columns (float) or blocks. */
export function linear(loop: TileLoop) {
  const tiles = Array.from({ length: TILE_ROWS }, (_, i) => tile(loop, i + 1));
  return opKernel(
    `linear ${loop.name}`,
    {
      x: 'i32',
      xStride: 'i32',
      weight: 'i32',
      matrixBytes: 'i32',
      panelBytes: 'i32',
      panels: 'i32',
      panelsPerTask: 'i32',
      units: 'i32',
      tailRows: 'i32',
      bias: 'i32',
      biasBytes: 'i32',
      out: 'i32',
      outStride: 'i32',
      groups: 'i32',
    },
    (frame, a) => {
      const [task, tasks, panel, end, row, weight, x, out, bias, used, left] = Array.from({ length: 11 }, () =>
        frame.i32(),
      );
      const [chunks, group, rows, matrix, firstBias, firstX, firstOut] = Array.from({ length: 7 }, () => frame.i32());

      /** From the task's group: its rows, and where its matrix, its bias and its rows of x and out begin. */
      const findGroup = () => {
        i32.mul(i32.div_u(task, chunks), GROUP_BYTES);
        local.set(group, i32.add(i32.add($, a.groups), 4));
        local.set(rows, i32.load({ offset: 8 }, group));
        i32.mul(i32.load({}, group), a.matrixBytes);
        local.set(matrix, i32.add($, a.weight));
        local.set(firstBias, a.bias);
        local.get(firstBias);
        if_(null, () => increment(firstBias, i32.mul(i32.load({}, group), a.biasBytes)));
        i32.mul(i32.load({ offset: 4 }, group), a.xStride);
        local.set(firstX, i32.add($, a.x));
        i32.mul(i32.load({ offset: 4 }, group), a.outStride);
        local.set(firstOut, i32.add($, a.out));
      };

      const callTile = (count: number) =>
        call(tiles[count - 1], [x, a.xStride, weight, a.units, bias, used, out, a.outStride]);

      i32.add(i32.sub(a.panels, 1), a.panelsPerTask);
      local.set(chunks, i32.div_u($, a.panelsPerTask));
      local.set(tasks, i32.mul(i32.load({}, a.groups), chunks));
      forEachTask(task, tasks, () => {
        findGroup();
        local.set(panel, i32.mul(i32.rem_u(task, chunks), a.panelsPerTask));
        local.set(end, i32.add(panel, a.panelsPerTask));
        i32.gt_s(end, a.panels);
        if_(null, () => local.set(end, a.panels));
        forRange(panel, panel, end, 1, () => {
          local.set(weight, i32.add(matrix, i32.mul(panel, a.panelBytes)));
          local.set(out, i32.add(firstOut, i32.shl(panel, Math.log2(4 * PANEL_ROWS))));
          local.set(bias, firstBias);
          local.get(bias);
          if_(null, () => increment(bias, i32.shl(panel, Math.log2(4 * PANEL_ROWS))));
          local.set(used, i32.const(PANEL_ROWS));
          i32.eq(panel, i32.sub(a.panels, 1));
          if_(null, () => local.set(used, a.tailRows));
          local.set(x, firstX);
          local.set(left, i32.sub(rows, i32.rem_u(rows, TILE_ROWS)));
          forRange(row, 0, left, TILE_ROWS, () => {
            callTile(TILE_ROWS);
            increment(x, i32.shl(a.xStride, Math.log2(TILE_ROWS)));
            increment(out, i32.shl(a.outStride, Math.log2(TILE_ROWS)));
          });
          local.set(left, i32.rem_u(rows, TILE_ROWS));
          for (let count = 1; count < TILE_ROWS; count++) {
            i32.eq(left, count);
            if_(null, () => callTile(count));
          }
        });
      });
    },
  );
}

/** `rows` rows of x against one panel: (x, xStride, panel, units, bias or 0, panel rows in use, out, outStride). */
function tile(loop: TileLoop, rows: number): Func<'i32'[], []> {
  return routine(8, (frame, x, xStride, panel, units, bias, used, out, outStride) => {
    const sums = frame.v128s(2 * rows);
    const pointers = Array.from({ length: rows }, () => frame.i32());
    pointers.forEach((pointer, r) => {
      if (r === 0) local.set(pointer, x);
      else local.set(pointer, i32.add(pointers[r - 1], xStride));
    });
    for (const sum of sums) local.set(sum, f32x4Const(0));
    loop.emit(frame, pointers, panel, units, sums);

    local.get(bias);
    if_(null, () => {
      sums.forEach((sum, i) => {
        v128.load({ offset: 16 * (i % 2) }, bias);
        local.set(sum, f32x4.add(sum, $));
      });
    });
    for (let r = 0; r < rows; r++) {
      i32.eq(used, PANEL_ROWS);
      if_(
        null,
        () => {
          v128.store({}, out, sums[2 * r]);
          v128.store({ offset: 16 }, out, sums[2 * r + 1]);
        },
        () => {
          for (let lane = 0; lane < PANEL_ROWS - 1; lane++) {
            i32.gt_u(used, lane);
            if_(null, () => v128.store32_lane({ offset: 4 * lane }, lane % 4, out, sums[2 * r + (lane >> 2)]));
          }
        },
      );
      if (r < rows - 1) increment(out, outStride);
    }
  });
}
