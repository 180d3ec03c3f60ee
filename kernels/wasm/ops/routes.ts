/**
 * Mixtures of experts around their matrices: which experts a row goes to, rows put next to those that share an expert, and
 * the experts' results mixed. The matrices themselves are `linear.ts`, one group of rows for each expert in use.
 *
 * Route j of row r has number p = r · perToken + j. Tensors with a row for each route are ordered by expert, then by p:
 * `places[p]` says where. The order moves rows about but never splits a sum, so bits do not depend on it.
 *
 * Bound by memory; choosing is some experts · perToken comparisons a row.
 */

import { $, f32, f32x4, i32, if_, local, memory, v128 } from 'wasmati';
import { type F32, forEachTask, forRange, type I32, increment, opKernel } from '../emit.ts';
import { emitExp } from '../vector-math.ts';
import { GROUP_BYTES } from './linear.ts';

/** Pushes the address of the word at `index` of an array. */
const wordAt = (array: I32, index: I32) => i32.add(array, i32.shl(index, 2));

/**
 * The `perToken` greatest scores of a row in order, of equals the first, and their shares of the softmax; a task is a row.
 * A row of NaN goes to expert 0 again and again.
 */
export const route = opKernel(
  'route',
  {
    scores: 'i32',
    stride: 'i32',
    experts: 'i32',
    perToken: 'i32',
    normalize: 'i32',
    scale: 'f32',
    /** Equal runs of experts, of which `chosenGroups` are eligible. */
    groups: 'i32',
    chosenGroups: 'i32',
    chosen: 'i32',
    weights: 'i32',
    rows: 'step',
  },
  (frame, a) => {
    const [row, scores, chosen, weights, i, j, best, last] = Array.from({ length: 8 }, () => frame.i32());
    const [perGroup, group, end, eligible] = Array.from({ length: 4 }, () => frame.i32());
    const [score, greatest, bound, first, total] = Array.from({ length: 5 }, () => frame.f32());
    const power = frame.v128();
    const exp = emitExp(frame);

    const load = (into: F32, array: I32, index: I32) => local.set(into, f32.load({}, wordAt(array, index)));
    /** score = e^(score − first) */
    const powerOfScore = () => {
      local.set(power, f32x4.splat(f32.sub(score, first)));
      exp(power);
      local.set(score, f32x4.extract_lane(0, power));
    };
    /** eligible = a bit for each of the groups with the greatest scores, of equals the first. */
    const chooseGroups = () => {
      local.set(eligible, i32.const(0));
      forRange(j, 0, a.chosenGroups, 1, () => {
        local.set(greatest, f32.const(Number.NEGATIVE_INFINITY));
        local.set(best, i32.const(0));
        forRange(group, 0, a.groups, 1, () => {
          i32.eqz(i32.and(i32.shr_u(eligible, group), 1));
          if_(null, () => {
            local.set(i, i32.mul(group, perGroup));
            local.set(end, i32.add(i, perGroup));
            forRange(i, i, end, 1, () => {
              load(score, scores, i);
              f32.gt(score, greatest);
              if_(null, () => {
                local.set(greatest, score);
                local.set(best, group);
              });
            });
          });
        });
        i32.shl(1, best);
        local.set(eligible, i32.or($, eligible));
      });
    };
    /** best = the greatest after `last`, whose score is `bound`: less, or equal and further on. */
    const findNext = () => {
      local.set(greatest, f32.const(Number.NEGATIVE_INFINITY));
      local.set(best, i32.const(0));
      forRange(i, 0, a.experts, 1, () => {
        load(score, scores, i);
        f32.lt(score, bound);
        f32.eq(score, bound);
        i32.and($, i32.gt_s(i, last));
        i32.or($, $);
        i32.and($, f32.gt(score, greatest));
        i32.shr_u(eligible, i32.div_u(i, perGroup));
        i32.and($, 1);
        i32.and($, $);
        if_(null, () => {
          local.set(greatest, score);
          local.set(best, i);
        });
      });
      local.set(bound, greatest);
      local.set(last, best);
    };

    forEachTask(row, a.rows, () => {
      local.set(scores, i32.add(a.scores, i32.mul(row, a.stride)));
      i32.shl(i32.mul(row, a.perToken), 2);
      local.set(chosen, i32.add($, a.chosen));
      i32.sub(chosen, a.chosen);
      local.set(weights, i32.add($, a.weights));
      local.set(perGroup, i32.div_u(a.experts, a.groups));
      chooseGroups();
      local.set(bound, f32.const(Number.POSITIVE_INFINITY));
      local.set(last, i32.const(-1));
      local.set(total, f32.const(0));
      forRange(j, 0, a.perToken, 1, () => {
        findNext();
        i32.eqz(j);
        if_(null, () => local.set(first, greatest));
        local.set(score, greatest);
        powerOfScore();
        i32.store({}, wordAt(chosen, j), best);
        f32.store({}, wordAt(weights, j), score);
        local.set(total, f32.add(total, score));
      });
      i32.eqz(a.normalize);
      if_(null, () => {
        local.set(total, f32.const(0));
        forRange(i, 0, a.experts, 1, () => {
          load(score, scores, i);
          powerOfScore();
          local.set(total, f32.add(total, score));
        });
      });
      forRange(j, 0, a.perToken, 1, () => {
        load(score, weights, j);
        wordAt(weights, j);
        f32.mul(f32.div(score, total), a.scale);
        f32.store({}, $, $);
      });
    });
  },
);

/**
 * Orders the routes by expert: fills `places`, and `groups` with (expert, first place, rows) of each expert in use, after a
 * word with their number. One thread does it, in two walks over the routes.
 */
export const groupRoutes = opKernel(
  'groupRoutes',
  { chosen: 'i32', experts: 'i32', counts: 'i32', places: 'i32', groups: 'i32', routes: 'step' },
  (frame, a) => {
    const [task, p, expert, at, count, end, group] = Array.from({ length: 7 }, () => frame.i32());
    const one = frame.i32();
    /** at = the address of the count of the expert of route p */
    const findCount = () => {
      local.set(expert, i32.load({}, wordAt(a.chosen, p)));
      local.set(at, wordAt(a.counts, expert));
    };
    local.set(one, i32.const(1));
    forEachTask(task, one, () => {
      forRange(expert, 0, a.experts, 1, () => i32.store({}, wordAt(a.counts, expert), i32.const(0)));
      forRange(p, 0, a.routes, 1, () => {
        findCount();
        i32.store({}, at, i32.add(i32.load({}, at), 1));
      });
      local.set(end, i32.const(0));
      local.set(group, i32.add(a.groups, 4));
      forRange(expert, 0, a.experts, 1, () => {
        local.set(count, i32.load({}, wordAt(a.counts, expert)));
        local.get(count);
        if_(null, () => {
          i32.store({}, group, expert);
          i32.store({ offset: 4 }, group, end);
          i32.store({ offset: 8 }, group, count);
          increment(group, GROUP_BYTES);
        });
        i32.store({}, wordAt(a.counts, expert), end);
        local.set(end, i32.add(end, count));
      });
      local.get(a.groups);
      i32.sub(i32.sub(group, a.groups), 4);
      i32.div_u($, GROUP_BYTES);
      i32.store({}, $, $);
      forRange(p, 0, a.routes, 1, () => {
        findCount();
        local.set(end, i32.load({}, at));
        i32.store({}, at, i32.add(end, 1));
        i32.store({}, wordAt(a.places, p), end);
      });
    });
  },
);

/** out[places[p]] = x[row of p]; a task is a route. */
export const gatherRoutes = opKernel(
  'gatherRoutes',
  {
    x: 'i32',
    out: 'i32',
    xStride: 'i32',
    outStride: 'i32',
    rowBytes: 'i32',
    perToken: 'i32',
    places: 'i32',
    routes: 'step',
  },
  (frame, a) => {
    const p = frame.i32();
    forEachTask(p, a.routes, () => {
      i32.mul(i32.load({}, wordAt(a.places, p)), a.outStride);
      i32.add($, a.out);
      i32.mul(i32.div_u(p, a.perToken), a.xStride);
      i32.add($, a.x);
      local.get(a.rowBytes);
      memory.copy();
    });
  },
);

/** out[r] = Σ weights[p] · x[places[p]] over the routes of row r, in their order; a task is a row. */
export const mixRoutes = opKernel(
  'mixRoutes',
  {
    x: 'i32',
    out: 'i32',
    xStride: 'i32',
    outStride: 'i32',
    rowBytes: 'i32',
    perToken: 'i32',
    places: 'i32',
    weights: 'i32',
    rows: 'step',
  },
  (frame, a) => {
    const [row, j, p, x, out, at] = Array.from({ length: 6 }, () => frame.i32());
    const weight = frame.v128();
    const addRoute = (isFirst: boolean) =>
      forRange(at, 0, a.rowBytes, 16, () => {
        i32.add(out, at);
        f32x4.mul(v128.load({}, i32.add(x, at)), weight);
        if (!isFirst) f32x4.add($, v128.load({}, i32.add(out, at)));
        v128.store({}, $, $);
      });
    forEachTask(row, a.rows, () => {
      local.set(out, i32.add(a.out, i32.mul(row, a.outStride)));
      forRange(j, 0, a.perToken, 1, () => {
        local.set(p, i32.add(i32.mul(row, a.perToken), j));
        i32.mul(i32.load({}, wordAt(a.places, p)), a.xStride);
        local.set(x, i32.add($, a.x));
        local.set(weight, v128.load32_splat({}, wordAt(a.weights, p)));
        local.get(j);
        if_(
          null,
          () => addRoute(false),
          () => addRoute(true),
        );
      });
    });
  },
);
