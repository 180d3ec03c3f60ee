/** Where each character leads from an expression: ranges of code points with their targets. */

import type { Automaton, CharSet } from './ir.ts';
import type { Budget } from './limits.ts';

const LAST_CODE_POINT = 0x10ffff;

/** The target of characters that lead to no text. */
export const NOWHERE = 0;

/** Where each range of code points leads: range `i` is `starts[i]` to `starts[i + 1] - 1`; the last goes to U+10FFFF. */
export interface Edges {
  readonly starts: readonly number[];
  /** Expressions; some may be dead without being {@link NOWHERE}. */
  readonly targets: readonly number[];
}

/** The last index `i` with `sorted[i] <= value`. */
export function lastAtMost(sorted: readonly number[], value: number): number {
  let low = 0;
  let high = sorted.length - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (sorted[middle] <= value) low = middle;
    else high = middle - 1;
  }
  return low;
}

export function pairs(set: CharSet): [number, number][] {
  const ranges: [number, number][] = [];
  for (let i = 0; i < set.length; i += 2) ranges.push([set[i], set[i + 1]]);
  return ranges;
}

export function rangeEdges(ranges: readonly (readonly [number, number])[], target: number): Edges {
  const starts: number[] = [];
  const targets: number[] = [];
  if (ranges[0][0] > 0) {
    starts.push(0);
    targets.push(NOWHERE);
  }
  for (const [low, high] of ranges) {
    starts.push(low);
    targets.push(target);
    if (high === LAST_CODE_POINT) break;
    starts.push(high + 1);
    targets.push(NOWHERE);
  }
  return { starts, targets };
}

export function automatonEdges(automaton: Automaton, state: number, stateOf: (state: number) => number): Edges {
  const starts = [0];
  const targets = [NOWHERE];
  for (const [low, high, next] of automaton.edges(state)) {
    if (starts[starts.length - 1] === low) {
      starts.pop();
      targets.pop();
    }
    starts.push(low);
    targets.push(stateOf(next));
    if (high < LAST_CODE_POINT) {
      starts.push(high + 1);
      targets.push(NOWHERE);
    }
  }
  return { starts, targets };
}

/** Edges over the ranges of all of `layers`; a range's target is made of the layers' targets there. */
export function overlayEdges(layers: readonly Edges[], combine: (targets: number[]) => number, budget: Budget): Edges {
  const starts: number[] = [];
  const targets: number[] = [];
  const combined = new Map<string, number>();
  const positions = layers.map(() => 0);
  const here = layers.map((layer) => layer.targets[0]);
  let changed = true;
  for (let start = 0; ; ) {
    if (changed) {
      budget.spend((layers.length + 3) >> 2);
      const key = here.join();
      let target = combined.get(key);
      if (target === undefined) combined.set(key, (target = combine([...here])));
      if (target !== targets[targets.length - 1]) {
        starts.push(start);
        targets.push(target);
      }
    }
    let next = Number.POSITIVE_INFINITY;
    for (let l = 0; l < layers.length; l++) {
      const end = layers[l].starts[positions[l] + 1];
      if (end < next) next = end;
    }
    if (next === Number.POSITIVE_INFINITY) return { starts, targets };
    start = next;
    changed = false;
    for (let l = 0; l < layers.length; l++) {
      if (layers[l].starts[positions[l] + 1] !== start) continue;
      const target = layers[l].targets[++positions[l]];
      changed ||= target !== here[l];
      here[l] = target;
    }
  }
}

/** No text holds a surrogate, so that they go where their neighbours go. */
export function withoutSurrogateEdges(edges: Edges): Edges {
  if (!edges.starts.some((start) => start >= 0xd800 && start <= 0xdfff)) return edges;
  const starts: number[] = [];
  const targets: number[] = [];
  edges.starts.forEach((start, i) => {
    const next = i + 1 < edges.starts.length ? edges.starts[i + 1] : LAST_CODE_POINT + 1;
    if (start >= 0xd800 && next <= 0xe000) return;
    starts.push(start >= 0xd800 ? Math.max(start, 0xe000) : start);
    targets.push(edges.targets[i]);
  });
  return { starts, targets };
}

export function mapEdges({ starts, targets }: Edges, change: (target: number) => number): Edges {
  const changed = new Map<number, number>();
  const mapped = targets.map((target) => {
    let to = changed.get(target);
    if (to === undefined) changed.set(target, (to = change(target)));
    return to;
  });
  return { starts, targets: mapped };
}
