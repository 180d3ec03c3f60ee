/** Which of an adapter's matrix units linear takes, and how a workgroup shares out a tile's products among them. */

import type { AdapterFeatures, MatrixShape } from './adapter.ts';
import type { KernelConstants } from './kernels.ts';
import { BLOCK } from './layout.ts';

/** Threads of a workgroup: a multiple of every size that a subgroup has. */
const THREADS = 128;
/** Matrices that a subgroup keeps the results of at a time, at most: they take registers. */
const MOST_IN_STRIP = 8;

/** Matrix units for products of signed bytes, and the most threads that one subgroup has. */
export interface MatrixUnits extends MatrixShape {
  readonly subgroupThreads: number;
}

/**
 * The adapter's units for products of signed bytes with 32-bit results, whole in a block of 32 columns and in the tiles. Of
 * several the one with most columns, since it takes the fewest instructions; then the narrowest, whose results are stored
 * without conflicts of banks, see `linear-many-rows-matrices.wgsl`.
 */
export function chooseMatrixUnits({ matrixShapes, subgroupThreads }: AdapterFeatures): MatrixUnits | undefined {
  if (!subgroupThreads || THREADS % subgroupThreads.most !== 0) return undefined;
  const [best] = matrixShapes
    .filter(({ component, result }) => component === 'i8' && result === 'i32')
    .filter(({ m, n, k }) => 64 % m === 0 && n >= 4 && 32 % n === 0 && k >= 8 && BLOCK % k === 0)
    .sort((a, b) => b.k - a.k || a.n - b.n || b.m - a.m);
  return best && { ...best, subgroupThreads: subgroupThreads.most };
}

/** Constants of the kernel for a tile of about so many rows, a multiple of the unit's, and of so many outputs. */
export function matrixTile({ m, n, k, subgroupThreads }: MatrixUnits, rows: number, outs: number) {
  const tileRows = Math.max(rows, m);
  const matrices = (tileRows / m) * (outs / n);
  // As many beside each other as leave work for every subgroup.
  const strip = Math.max(1, Math.min(outs / n, MOST_IN_STRIP, Math.floor(matrices / (THREADS / subgroupThreads))));
  return {
    M: m,
    N: n,
    K: k,
    TILE_ROWS: tileRows,
    TILE_OUTS: outs,
    THREADS,
    STRIP: 2 ** Math.floor(Math.log2(strip)),
  } satisfies KernelConstants;
}
