/**
 * The products of attention over one page of sixteen positions, for up to {@link TILE_QUERIES} query heads that share each
 * load of K and V. A page is read as floats: one of halves or bytes is widened first, once for all query heads.
 *
 * Keys of a page lie `[headDim, 16]`, so scores need no sum across lanes; values `[16, headDim]`. A dot product adds up in
 * the order of the head's dimensions and Σ p·v in the order of the positions, each in a lane of its own: the tile that a
 * query falls into cannot change its bits.
 *
 * Bound by arithmetic. A tile's eight sums hide the latency of an addition; with two vectors of K or V and the splat they
 * fit the 16 vector registers of x86-64.
 */

import { $, type Func, f32x4, i32, i32x4, if_, local, v128 } from 'wasmati';
import { KV_BLOCK_SIZE, type KvFormat } from '../../contract.ts';
import { type Frame, forRange, type I32, increment, routine, type V128 } from '../emit.ts';
import { KV_ELEMENT_BYTES, KV_PAGE_HEADER } from '../layout.ts';
import { emitWidenShiftedHalves, f32x4Const } from '../vector-math.ts';

/** Positions of a split, {@link SCORE_BYTES} of scores for each query head. */
export const SPLIT = 256;

/** Bytes from one query head's scores to the next; not a power of two, which would put them all in a few sets of the L1 cache. */
export const SCORE_BYTES = 4 * SPLIT + 64;

export const TILE_QUERIES = 4;

/** Vectors of K or V that a tile of so many queries takes at a time: eight sums, six for three. */
function vectorsOf(queries: number): number {
  return queries > 2 ? 2 : 4;
}

/** What of `count` queries goes to which tile: `each` is emitted for every size of tile. */
export function forTiles(first: I32, count: I32, left: I32, each: (queries: number) => void): void {
  local.set(left, i32.and(count, -TILE_QUERIES));
  forRange(first, 0, left, TILE_QUERIES, () => each(TILE_QUERIES));
  local.set(left, i32.sub(count, left));
  for (let queries = 1; queries < TILE_QUERIES; queries++) {
    i32.eq(left, queries);
    if_(null, () => each(queries));
  }
}

/** Dot products of consecutive query heads with the keys of a page: (q `[queries, headDim]`, headDim, page, scores). */
export function scoreTile(queries: number): Func<'i32'[], []> {
  const UNROLL = 4;
  const vectors = vectorsOf(queries);
  return routine(4, (frame, q, headDim, page, scores) => {
    const sums = frame.v128s(queries * vectors);
    const keys = frame.v128s(vectors);
    const element = frame.v128();
    const pointers = Array.from({ length: queries }, () => frame.i32());
    const [d, key] = [frame.i32(), frame.i32()];
    for (let from = 0; from < KV_BLOCK_SIZE; from += 4 * vectors) {
      pointers.forEach((pointer, h) => {
        local.set(pointer, h === 0 ? q : i32.add(pointers[h - 1], i32.shl(headDim, 2)));
      });
      local.set(key, page);
      for (const sum of sums) local.set(sum, f32x4Const(0));
      forRange(d, 0, headDim, UNROLL, () => {
        for (let k = 0; k < UNROLL; k++) {
          keys.forEach((vector, i) => {
            local.set(vector, v128.load({ offset: 4 * (KV_BLOCK_SIZE * k + from + 4 * i) }, key));
          });
          pointers.forEach((pointer, h) => {
            local.set(element, v128.load32_splat({ offset: 4 * k }, pointer));
            keys.forEach((vector, i) => addProduct(sums[h * vectors + i], element, vector));
          });
        }
        increment(key, 4 * KV_BLOCK_SIZE * UNROLL);
        for (const pointer of pointers) increment(pointer, 4 * UNROLL);
      });
      sums.forEach((sum, i) => {
        const [h, vector] = [Math.floor(i / vectors), i % vectors];
        v128.store({ offset: SCORE_BYTES * h + 4 * from + 16 * vector }, scores, sum);
      });
    }
  });
}

/**
 * o += Σ p·v for consecutive query heads over some positions of a page:
 * (weights of the first position, positions, its values, headDim, o of the first head, bytes from one head's o to the next).
 */
export function weighTile(queries: number): Func<'i32'[], []> {
  const UNROLL = 4;
  return routine(6, (frame, weights, positions, values, headDim, out, outStride) => {
    const allSums = frame.v128s(queries * vectorsOf(queries));
    const allRows = frame.v128s(vectorsOf(queries));
    const element = frame.v128();
    const [weight, unrolledEnd, end, value, target] = Array.from({ length: 5 }, () => frame.i32());
    const [at, whole, rowBytes] = Array.from({ length: 3 }, () => frame.i32());

    const weighDimensions = (vectors: number) => {
      const sums = allSums.slice(0, queries * vectors);
      const rows = allRows.slice(0, vectors);
      const forSums = (each: (sum: V128, offset: number) => void) => {
        local.set(target, i32.add(out, at));
        sums.forEach((sum, i) => {
          if (i > 0 && i % vectors === 0) increment(target, outStride);
          each(sum, 16 * (i % vectors));
        });
      };
      const addPosition = (k: number) => {
        rows.forEach((row, i) => local.set(row, v128.load({ offset: 16 * i }, value)));
        for (let h = 0; h < queries; h++) {
          local.set(element, v128.load32_splat({ offset: SCORE_BYTES * h + 4 * k }, weight));
          rows.forEach((row, i) => addProduct(sums[h * vectors + i], element, row));
        }
        increment(value, rowBytes);
      };
      forSums((sum, offset) => local.set(sum, v128.load({ offset }, target)));
      local.set(value, i32.add(values, at));
      forRange(weight, weights, unrolledEnd, 4 * UNROLL, () => {
        for (let k = 0; k < UNROLL; k++) addPosition(k);
      });
      forRange(weight, unrolledEnd, end, 4, () => addPosition(0));
      forSums((sum, offset) => v128.store({ offset }, target, sum));
    };

    local.set(rowBytes, i32.shl(headDim, 2));
    local.set(unrolledEnd, i32.add(weights, i32.shl(i32.and(positions, -UNROLL), 2)));
    local.set(end, i32.add(weights, i32.shl(positions, 2)));
    const step = 16 * vectorsOf(queries);
    local.set(whole, i32.and(rowBytes, -step));
    forRange(at, 0, whole, step, () => weighDimensions(vectorsOf(queries)));
    forRange(at, whole, rowBytes, 16, () => weighDimensions(1));
  });
}

/** Widens a page to floats: (page with its header, headDim, target). None for floats. */
export function widenPage(format: Exclude<KvFormat, 'F32'>): Func<'i32'[], []> {
  return routine(3, (frame, page, headDim, target) => {
    const [at, end] = [frame.i32(), frame.i32()];
    const widenEight = emitWidenEight(frame, format);
    i32.mul(headDim, KV_BLOCK_SIZE * KV_ELEMENT_BYTES[format]);
    local.set(end, i32.add($, page));
    forRange(at, page, end, 8 * KV_ELEMENT_BYTES[format], () => {
      widenEight(KV_PAGE_HEADER[format], at, target);
      increment(target, 32);
    });
  });
}

function emitWidenEight(frame: Frame, format: 'F16' | 'I8') {
  if (format === 'F16') {
    const widen = emitWidenShiftedHalves(frame);
    return (offset: number, from: I32, to: I32) => {
      for (const half of [0, 1]) {
        local.get(to);
        i32x4.shl(v128.load16x4_s({ offset: offset + 8 * half }, from), 13);
        widen();
        v128.store({ offset: 16 * half }, $, $);
      }
    };
  }
  const words = frame.v128();
  return (offset: number, from: I32, to: I32) => {
    local.set(words, v128.load8x8_s({ offset }, from));
    v128.store({}, to, f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(words)));
    v128.store({ offset: 16 }, to, f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(words)));
  };
}

/** Multiplies the sixteen scores of each query head by the scales of their positions: (scores, queries, scales). */
export const scaleScores: Func<'i32'[], []> = routine(3, (frame, scores, queries, scales) => {
  const query = frame.i32();
  const factors = frame.v128s(KV_BLOCK_SIZE / 4);
  factors.forEach((factor, i) => local.set(factor, v128.load({ offset: 16 * i }, scales)));
  forRange(query, 0, queries, 1, () => {
    factors.forEach((factor, i) => {
      local.get(scores);
      f32x4.mul(v128.load({ offset: 16 * i }, scores), factor);
      v128.store({ offset: 16 * i }, $, $);
    });
    increment(scores, SCORE_BYTES);
  });
});

function addProduct(sum: V128, a: V128, b: V128): void {
  local.set(sum, f32x4.add(sum, f32x4.mul(a, b)));
}

/** Pages that {@link touch} reads side by side. */
export const TOUCHED_PAGES = 8;

/**
 * Reads a word of each cache line of some pages, from all of them in turn: (pages…, bytes of a page, where the words put
 * together go, without which they would not be read). Pages lie anywhere, and each new one has its address looked up
 * first: one after the other they come at 13 GB/s, four or eight side by side at 27, which is the most of this thread.
 */
export const touch: Func<'i32'[], []> = routine(TOUCHED_PAGES + 2, (frame, ...parameters) => {
  const pages = parameters.slice(0, TOUCHED_PAGES);
  const [bytes, sink] = parameters.slice(TOUCHED_PAGES);
  const [at, words] = [frame.i32(), frame.i32()];
  const LINE = 64;
  local.set(words, i32.const(0));
  forRange(at, 0, bytes, LINE, () => {
    for (const page of pages) local.set(words, i32.or(words, i32.load({}, i32.add(page, at))));
  });
  i32.store({}, sink, words);
});
