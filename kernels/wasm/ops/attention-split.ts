/**
 * Attention of one query row over one split: {@link SPLIT} consecutive positions, cut by absolute position, or what of
 * them the row may see. For each query head h of one K/V head's group:
 * m = max s, l = Σ e^(s−m), o = Σ e^(s−m)·v with s = scale · q·k, perhaps capped.
 *
 * Keys lie sixteen positions side by side, floats, halves or bytes (whose scales come in last), so scores need no sum across lanes; values lie a position a row. Two query
 * heads share each load of K and V. The dot product adds up in the order of the head's dimensions, o in the order of the
 * positions, l in four lanes (position mod 4) and then (0 + 1) + (2 + 3): nothing depends on the batch.
 *
 * Bound by arithmetic while a split's keys and values stay in L2 (256 positions · 64 dimensions: 128 KiB).
 */

import { $, call, type Func, f32, f32x4, i32, if_, local, v128 } from 'wasmati';
import { KV_BLOCK_SIZE, type KvFormat } from '../../contract.ts';
import { type ArgKinds, forRange, type I32, increment, loadArgs, routine } from '../emit.ts';
import { KV_ELEMENT_BYTES, KV_PAGE_HEADER } from '../layout.ts';
import { emitExp, emitLoadFour, f32x4Const, maxLanes, sumLanes } from '../vector-math.ts';
import { emitSoftcap } from './elementwise.ts';

/** Positions in a split. */
export const SPLIT = 256;
const SPLIT_SHIFT = Math.log2(SPLIT);
const BLOCK_SHIFT = Math.log2(KV_BLOCK_SIZE);

/** Bytes of one head's scores. */
export const SCORE_BYTES = 4 * SPLIT;

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
  spread: 'step',
  splits: 'step',
  rows: 'step',
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

/** Dot products of `heads` query heads with the sixteen keys of a page: (q, headDim, page, scores). */
function scoreTile(heads: 1 | 2, format: KvFormat): Func<'i32'[], []> {
  return routine(4, (frame, q, headDim, page, scores) => {
    const sums = frame.v128s(4 * heads);
    const keys = frame.v128s(4);
    const element = frame.v128();
    const loadFour = emitLoadFour(frame, format);
    const [d, second] = [frame.i32(), frame.i32()];
    local.set(second, i32.add(q, i32.shl(headDim, 2)));
    for (const sum of sums) local.set(sum, f32x4Const(0));
    const queries = [q, second].slice(0, heads);
    const UNROLL = 4;
    const elementBytes = KV_ELEMENT_BYTES[format];
    const header = KV_PAGE_HEADER[format];
    const scales = frame.i32();
    local.set(scales, page);
    forRange(d, 0, headDim, UNROLL, () => {
      for (let k = 0; k < UNROLL; k++) {
        keys.forEach((key, i) => local.set(key, loadFour(header + elementBytes * (16 * k + 4 * i), page)));
        queries.forEach((query, h) => {
          local.set(element, v128.load32_splat({ offset: 4 * k }, query));
          keys.forEach((key, i) => {
            local.set(sums[4 * h + i], f32x4.add(sums[4 * h + i], f32x4.mul(element, key)));
          });
        });
      }
      increment(page, elementBytes * 16 * UNROLL);
      for (const query of queries) increment(query, 4 * UNROLL);
    });
    sums.forEach((sum, i) => {
      if (format === 'I8') local.set(sum, f32x4.mul(sum, v128.load({ offset: 16 * (i % 4) }, scales)));
      v128.store({ offset: SCORE_BYTES * (i >> 2) + 16 * (i % 4) }, scores, sum);
    });
  });
}

/**
 * o = Σ p·v for `heads` heads and 4·`vectors` dimensions, position after position:
 * (table, begin, end, weights of position `begin`, pages of the layer at this head, from there to this dimension, bytes of
 * a block, bytes of a position, out, bytes from one head's out to the next).
 */
function weighTile(heads: 1 | 2, vectors: 1 | 4, format: KvFormat): Func<'i32'[], []> {
  return routine(10, (frame, table, begin, end, weights, pages, chunk, blockBytes, rowBytes, out, outStride) => {
    const sums = frame.v128s(heads * vectors);
    const rows = frame.v128s(vectors);
    const [weight, scale] = frame.v128s(2);
    const loadFour = emitLoadFour(frame, format);
    const [position, inBlock, last, value, scales] = Array.from({ length: 5 }, () => frame.i32());
    const header = KV_PAGE_HEADER[format];
    for (const sum of sums) local.set(sum, f32x4Const(0));
    forRange(position, begin, end, 0, () => {
      i32.mul(wordOf(table, shiftedPosition()), blockBytes);
      local.set(value, i32.add($, pages));
      if (format === 'I8') local.set(scales, i32.add(value, i32.shl(i32.and(position, KV_BLOCK_SIZE - 1), 2)));
      i32.mul(i32.and(position, KV_BLOCK_SIZE - 1), rowBytes);
      i32.add($, chunk);
      local.set(value, i32.add($, value));
      local.set(last, i32.add(i32.or(position, KV_BLOCK_SIZE - 1), 1));
      i32.gt_s(last, end);
      if_(null, () => local.set(last, end));
      forRange(inBlock, position, last, 1, () => {
        rows.forEach((row, i) => local.set(row, loadFour(header + 4 * KV_ELEMENT_BYTES[format] * i, value)));
        if (format === 'I8') {
          local.set(scale, v128.load32_splat({}, scales));
          increment(scales, 4);
        }
        for (let h = 0; h < heads; h++) {
          local.set(weight, v128.load32_splat({ offset: SCORE_BYTES * h }, weights));
          if (format === 'I8') local.set(weight, f32x4.mul(weight, scale));
          rows.forEach((row, i) => {
            const sum = sums[h * vectors + i];
            local.set(sum, f32x4.add(sum, f32x4.mul(weight, row)));
          });
        }
        increment(weights, 4);
        increment(value, rowBytes);
      });
      local.set(position, last);
    });
    for (let h = 0; h < heads; h++) {
      for (let i = 0; i < vectors; i++) v128.store({ offset: 16 * i }, out, sums[h * vectors + i]);
      if (h < heads - 1) increment(out, outStride);
    }

    function shiftedPosition(): I32 {
      local.set(value, i32.shr_u(position, BLOCK_SHIFT));
      return value;
    }
  });
}

/** (args, row, kvHead, split, partial, scores): the whole group's partial results `[group][header, headDim]`. */
export function attendSplit(format: KvFormat): Func<'i32'[], []> {
  const elementBytes = KV_ELEMENT_BYTES[format];
  return routine(6, (frame, args, row, kvHead, split, partial, scores) => {
    const a = loadArgs(
      ATTENTION_ARGS,
      [
        'qkv',
        'qkvStride',
        'kvHeads',
        'group',
        'headDim',
        'scale',
        'window',
        'softcap',
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
    const [position, begin, end, table, base, head, pairs] = Array.from({ length: 7 }, () => frame.i32());
    const [block, blockEnd, page, q, at, from, to, blockBytes, headBytes] = Array.from({ length: 9 }, () =>
      frame.i32(),
    );
    const [partialBytes, chunk, pageBytes, rowBytes] = Array.from({ length: 4 }, () => frame.i32());

    const tiles = { score: [scoreTile(1, format), scoreTile(2, format)], weigh: new Map<string, Func<'i32'[], []>>() };
    for (const heads of [1, 2] as const) {
      for (const vectors of [1, 4] as const) tiles.weigh.set(`${heads} ${vectors}`, weighTile(heads, vectors, format));
    }

    /** Runs `two` for each pair of heads and `one` for the odd one out; `head` is the first of them. */
    const forHeads = (each: (heads: 1 | 2) => void) => {
      local.set(pairs, i32.and(a.group, -2));
      forRange(head, 0, pairs, 2, () => each(2));
      i32.and(a.group, 1);
      if_(null, () => {
        local.set(head, pairs);
        each(1);
      });
    };

    local.set(position, wordOf(a.positions, row));
    firstVisible(begin, position, a.window);
    local.set(base, i32.shl(split, SPLIT_SHIFT));
    i32.lt_s(begin, base);
    if_(null, () => local.set(begin, base));
    local.set(end, i32.add(base, SPLIT));
    i32.gt_s(end, position);
    if_(null, () => local.set(end, i32.add(position, 1)));
    i32.mul(wordOf(a.slots, row), a.blockTableStride);
    local.set(table, i32.add($, a.blockTables));
    local.set(headBytes, i32.shl(a.headDim, 2));
    local.set(partialBytes, i32.add(headBytes, PARTIAL_HEADER_BYTES));
    local.set(rowBytes, i32.mul(a.headDim, elementBytes));
    local.set(pageBytes, i32.add(i32.mul(rowBytes, KV_BLOCK_SIZE), KV_PAGE_HEADER[format]));
    local.set(blockBytes, i32.mul(a.kvHeads, pageBytes));
    i32.mul(row, a.qkvStride);
    i32.mul(i32.mul(kvHead, a.group), headBytes);
    i32.add($, $);
    local.set(q, i32.add($, a.qkv));
    local.set(blockEnd, i32.shr_u(i32.add(end, KV_BLOCK_SIZE - 1), BLOCK_SHIFT));

    scoresOfAllBlocks();
    softmaxOfAllHeads();
    weighValues();

    function scoresOfAllBlocks(): void {
      local.set(block, i32.shr_u(begin, BLOCK_SHIFT));
      forRange(block, block, blockEnd, 1, () => {
        i32.mul(wordOf(table, block), blockBytes);
        i32.mul(kvHead, pageBytes);
        i32.add($, $);
        local.set(page, i32.add($, a.keys));
        forHeads((heads) => {
          i32.add(q, i32.mul(head, headBytes));
          local.get(a.headDim);
          local.get(page);
          i32.shl(i32.sub(i32.shl(block, BLOCK_SHIFT), base), 2);
          i32.add($, i32.shl(head, Math.log2(SCORE_BYTES)));
          i32.add($, scores);
          call(tiles.score[heads - 1]);
        });
      });
    }

    function softmaxOfAllHeads(): void {
      const [value, max, sum] = frame.v128s(3);
      const [greatest, total, scale] = [frame.f32(), frame.f32(), frame.f32()];
      const exp = emitExp(frame);
      const capScores = emitSoftcap(frame);
      const row = frame.i32();
      const target = frame.i32();
      local.set(row, scores);
      local.set(target, partial);
      local.set(from, i32.shl(i32.sub(i32.and(begin, -KV_BLOCK_SIZE), base), 2));
      local.set(to, i32.shl(i32.sub(i32.shl(blockEnd, BLOCK_SHIFT), base), 2));
      forRange(head, 0, a.group, 1, () => {
        local.set(scale, a.scale);
        f32.ne(a.softcap, 0);
        if_(null, () => {
          forRange(at, from, to, 16, () => {
            local.set(value, f32x4.mul(v128.load({}, i32.add(row, at)), f32x4.splat(scale)));
            capScores(value, a.softcap);
            v128.store({}, i32.add(row, at), value);
          });
          local.set(scale, f32.const(1));
        });
        maskOutside(row);
        local.set(max, f32x4Const(LOWEST));
        forRange(at, from, to, 16, () => {
          i32.add(row, at);
          f32x4.splat(scale);
          v128.load({}, i32.add(row, at));
          f32x4.mul($, $);
          local.set(value, $);
          f32x4.max(value, f32x4Const(LOWEST));
          local.set(value, $);
          local.set(max, f32x4.max(max, value));
          v128.store({}, $, value);
        });
        maxLanes(greatest, max);
        local.set(max, f32x4.splat(greatest));
        local.set(sum, f32x4Const(0));
        forRange(at, from, to, 16, () => {
          local.set(value, f32x4.sub(v128.load({}, i32.add(row, at)), max));
          exp(value);
          local.set(sum, f32x4.add(sum, value));
          v128.store({}, i32.add(row, at), value);
        });
        sumLanes(total, sum);
        f32.store({}, target, greatest);
        f32.store({ offset: 4 }, target, total);
        increment(row, SCORE_BYTES);
        increment(target, partialBytes);
      });
    }

    /** Positions of the outermost blocks that the row does not see get the lowest score. */
    function maskOutside(row: I32): void {
      const edge = chunk;
      const fill = (first: I32, last: I32) =>
        forRange(at, first, last, 4, () => f32.store({}, i32.add(row, at), f32.const(LOWEST)));
      local.set(edge, i32.shl(i32.sub(begin, base), 2));
      fill(from, edge);
      local.set(edge, i32.shl(i32.sub(end, base), 2));
      fill(edge, to);
    }

    function weighValues(): void {
      const whole = frame.i32();
      local.set(whole, i32.and(a.headDim, -16));
      forHeads((heads) => {
        const chunks = (first: I32 | number, last: I32, vectors: 1 | 4) =>
          forRange(chunk, first, last, 4 * vectors, () => {
            local.get(table);
            local.get(begin);
            local.get(end);
            i32.shl(i32.sub(begin, base), 2);
            i32.add($, i32.shl(head, Math.log2(SCORE_BYTES)));
            i32.add($, scores);
            i32.mul(kvHead, pageBytes);
            i32.add($, a.values);
            i32.mul(chunk, elementBytes);
            local.get(blockBytes);
            local.get(rowBytes);
            i32.mul(head, partialBytes);
            i32.add($, i32.shl(chunk, 2));
            i32.add($, PARTIAL_HEADER_BYTES);
            i32.add($, partial);
            local.get(partialBytes);
            call(tiles.weigh.get(`${heads} ${vectors}`) as Func<'i32'[], []>);
          });
        chunks(0, whole, 4);
        chunks(whole, a.headDim, 1);
      });
    }
  });
}
