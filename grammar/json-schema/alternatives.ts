/** What reading one item or member does to a formula: the ways to go on, each with the values that take it. */

import { GrammarError } from '../errors.ts';
import type { Value, Values } from './values.ts';

export interface Alternative {
  /** What the item or the member's value must be. */
  readonly value: Value;
  /** What must hold of all that follow. */
  readonly next: Value;
}

/** Most ways to go on after one item or member. */
const MAX_ALTERNATIVES = 512;

/**
 * The alternatives of a formula, given those of its atoms. They may overlap; their union is exact.
 * @param known those of formulas that were asked for with the same atoms; what is found comes in
 * @throws GrammarError when there are too many
 */
export function alternatives(
  values: Values,
  formula: Value,
  ofAtom: (atom: Value) => readonly Alternative[],
  satisfiable: (value: Value) => boolean,
  known: Map<Value, readonly Alternative[]>,
): readonly Alternative[] {
  let list = known.get(formula);
  if (!list) known.set(formula, (list = findAlternatives(values, formula, ofAtom, satisfiable, known)));
  return list;
}

function findAlternatives(
  values: Values,
  formula: Value,
  ofAtom: (atom: Value) => readonly Alternative[],
  satisfiable: (value: Value) => boolean,
  known: Map<Value, readonly Alternative[]>,
): readonly Alternative[] {
  const { shape } = formula;
  switch (shape.kind) {
    case 'all':
      return [{ value: values.all, next: values.all }];
    case 'none':
      return [];
    case 'or':
      return merge(
        values,
        shape.parts.flatMap((part) => alternatives(values, part, ofAtom, satisfiable, known)),
      );
    case 'and': {
      let product: readonly Alternative[] = [{ value: values.all, next: values.all }];
      for (const part of shape.parts) {
        const ways = alternatives(values, part, ofAtom, satisfiable, known);
        if (product.length * ways.length > MAX_ALTERNATIVES) {
          throw new GrammarError('the schema combines too many alternatives that a text does not tell apart');
        }
        const combined: Alternative[] = [];
        for (const a of product) {
          for (const b of ways) {
            const value = values.and(a.value, b.value);
            const next = values.and(a.next, b.next);
            if (value === values.none || next === values.none) continue;
            const mixed = value !== a.value && value !== b.value;
            if (!mixed || satisfiable(value)) combined.push({ value, next });
          }
        }
        product = merge(values, combined);
      }
      return product;
    }
    default:
      return ofAtom(formula);
  }
}

/** Alternatives with the same values become one, and so do those that lead to the same. */
function merge(values: Values, list: readonly Alternative[]): readonly Alternative[] {
  if (list.length < 2) return list;
  const byValue = new Map<Value, Value[]>();
  for (const { value, next } of list) {
    const known = byValue.get(value);
    if (known) known.push(next);
    else byValue.set(value, [next]);
  }
  const byNext = new Map<Value, Value[]>();
  for (const [value, nexts] of byValue) {
    const next = values.or(...nexts);
    const known = byNext.get(next);
    if (known) known.push(value);
    else byNext.set(next, [value]);
  }
  return [...byNext].map(([next, some]) => ({ value: values.or(...some), next }));
}
