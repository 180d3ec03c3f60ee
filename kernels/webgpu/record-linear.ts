/** Linear as dispatches: one kernel for each range of row counts, of which a step takes the one for its own. */

import type { OpRecorder } from '../contract.ts';
import { isQuantized } from '../formats.ts';
import type { WebGpuConstant, WebGpuTensor, WebGpuWeight } from './buffers.ts';
import { floatTileConstants, floatTiles, takesTile } from './float-tiles.ts';
import { hasMatrixKernel, type Kernel, type KernelConstants, linearKernel, linearMatrixKernel } from './kernels.ts';
import { isAffine, sumShape } from './layout.ts';
import { matrixTile } from './matrix-tile.ts';
import { domainCode, ELEMENT_THREADS, type Recorded, type Recording, rowsOf } from './recording.ts';
import { stackParts, type WeightRun } from './stack.ts';
import { tileKey } from './tuned-tiles.ts';
import type { LinearTile, Variants } from './variants.ts';

type Linear = Parameters<OpRecorder['linear']>[0];

/** Rows of x that share one reading of the weights: each count up to the last takes the least of these that holds it. */
export const FEW_ROWS = [1, 2, 4, 8];
export const MOST_FEW_ROWS = 8;
/** Up to so many rows a tile of 16 does; beyond, the larger one of the variants. */
const NARROW_ROWS = 32;
const NARROW_TILE_ROWS = 16;
/** What every adapter grants a workgroup. */
const WORKGROUP_BYTES = 16384;

export function recordLinear(recording: Recording, op: Linear): void {
  const x = op.x as WebGpuTensor;
  const weights = op.weights as readonly WebGpuWeight[];
  const areQuantized = weights.every(({ format }) => isQuantized(format));
  if (!areQuantized) recording.readFloats(x);
  if (weights.some(({ format }) => isQuantized(format))) recording.quantized(x, areQuantized);
  let column = op.columns?.first ?? 0;
  const out = op.out as WebGpuTensor;
  const few: Recorded[] = [];
  const others: Recorded[] = [];
  const runs = stackParts(recording.gpu, recording.memory, weights);
  for (const run of runs) {
    const kernels = kernelsOfRun(recording, op, run, column);
    few.push(...kernels.few);
    others.push(...kernels.others);
    column += run.rows;
  }
  recording.add([out], ...others, ...few);
  const bias = op.bias as WebGpuConstant | undefined;
  const isAll = runs.length === 1 && runs[0].rows === out.cols;
  if (isAll) recording.noteFewRows(out, few.length, { x, run: runs[0], bias });
}

/** True when the i-th of {@link FEW_ROWS} is the one for so many rows. */
export function isWithin(rows: number, i: number): boolean {
  return rows <= FEW_ROWS[i] && rows > (i === 0 ? 0 : FEW_ROWS[i - 1]);
}

/** One buffer's share of a linear op: the kernels for few rows, and the others. */
function kernelsOfRun(
  recording: Recording,
  op: Linear,
  run: WeightRun,
  column: number,
): { few: Recorded[]; others: Recorded[] } {
  const [x, out] = [op.x as WebGpuTensor, op.out as WebGpuTensor];
  const bias = op.bias as WebGpuConstant | undefined;
  const { format, buffer } = run;
  const { variants, unused } = recording;
  const quantized = isQuantized(format) ? recording.quantized(x, true) : undefined;
  const { blocks, segments } = sumShape(format, x.cols);
  const args = [
    blocks,
    segments,
    run.vectors,
    run.base,
    run.rows,
    column,
    out.stride,
    x.stride,
    domainCode(x),
    bias ? 1 : 0,
    { float: 0 },
  ];
  const buffers = [
    buffer,
    buffer,
    quantized?.codes ?? x.buffer,
    quantized?.scales ?? unused.read,
    bias?.buffer ?? unused.read,
    out.buffer,
  ];
  const kernel = (
    which: 'any' | 'few' | 'many' | Kernel,
    workgroups: (rows: number) => [count: number, times: number],
    constants?: KernelConstants,
  ): Recorded => ({
    kernel: typeof which === 'string' ? linearKernel(format, which, variants) : which,
    args,
    buffers,
    workgroups: (counts) => workgroups(rowsOf(x, counts)),
    constants,
  });
  if (variants.plainLinear) {
    return { few: [], others: [kernel('any', (rows) => [Math.ceil(run.rows / ELEMENT_THREADS), rows])] };
  }

  const few = FEW_ROWS.map((most, i) => {
    const { threads, outs, loads } = tileOf(variants, most, run, x.cols, segments);
    const groups = Math.ceil(run.rows / ((outs * threads) / segments));
    return kernel('few', (rows) => [isWithin(rows, i) ? groups : 0, 1], {
      THREADS: threads,
      ROWS: most,
      OUTS: outs,
      SEGMENTS: segments,
      STEPS: Math.max(1, Math.min(Math.floor(loads / outs), Math.ceil(blocks / segments))),
      // A CPU compiles each width anew for longer than it runs.
      BLOCKS: recording.gpu.features.software ? 0 : blocks,
    });
  });
  if (!quantized) {
    const tiles = floatTiles(variants).map((tile, i) =>
      kernel(
        'many',
        (rows) => [
          rows > MOST_FEW_ROWS && takesTile(variants, run.rows, rows, i) ? Math.ceil(run.rows / tile.outs) : 0,
          Math.ceil(rows / tile.rows),
        ],
        { ...floatTileConstants(tile), HALVES: format !== 'F32' },
      ),
    );
    return { few, others: tiles };
  }
  const units = hasMatrixKernel(format) ? variants.matrices : undefined;
  // A thread holds half as many outputs where a block has two scales and a min, and workgroup memory where it holds products.
  const outs = isAffine(format) || units ? variants.tileOuts / 2 : variants.tileOuts;
  const tiled = (least: number, most: number, tileRows: number) => {
    const constants = units ? matrixTile(units, tileRows, outs) : { TILE_ROWS: tileRows, TILE_OUTS: outs };
    return kernel(
      units ? linearMatrixKernel(format, units.k, variants) : 'many',
      (rows) => [rows < least || rows > most ? 0 : Math.ceil(run.rows / outs), Math.ceil(rows / constants.TILE_ROWS)],
      constants,
    );
  };
  return {
    few,
    others: [
      tiled(MOST_FEW_ROWS + 1, NARROW_ROWS, NARROW_TILE_ROWS),
      tiled(NARROW_ROWS + 1, Number.POSITIVE_INFINITY, variants.tileRows),
    ],
  };
}

/**
 * The tile of the kernel for so many rows of x. More weight rows a thread mean more loads in flight and fewer readings of x,
 * as long as the matrix has rows enough to keep the GPU busy, and registers and workgroup memory hold them.
 */
function tileOf(variants: Variants, rows: number, run: WeightRun, cols: number, segments: number): LinearTile {
  const quantized = isQuantized(run.format);
  const suggested: LinearTile = {
    threads: 128,
    outs: run.rows >= 16_384 || (!quantized && rows >= 4) ? 4 : run.rows >= 2048 ? 2 : 1,
    // Fewer where rows of x take registers too.
    loads: rows <= 2 ? 8 : 4,
  };
  const measured = rows === 1 ? variants.linearTiles[tileKey(run.format, run.rows, cols)] : undefined;
  const { threads, outs, loads } = { ...suggested, ...measured, ...variants.linearTile };
  const bytes = (perThread: number) => 4 * (threads / segments) * perThread * rows * (segments + 1);
  let most = outs;
  while (most > 1 && (bytes(most) > WORKGROUP_BYTES || most * rows > 32)) most /= 2;
  return { threads, outs: most, loads };
}
