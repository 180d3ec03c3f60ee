/** What EBNF texts say, whatever their dialect. */

import type { Regex } from '../ir.ts';

export type Expression =
  | { readonly kind: 'regex'; readonly regex: Regex }
  | { readonly kind: 'rule'; readonly name: string }
  | { readonly kind: 'sequence'; readonly parts: readonly Expression[] }
  | { readonly kind: 'choice'; readonly parts: readonly Expression[] }
  | { readonly kind: 'repeat'; readonly body: Expression; readonly min: number; readonly max: number };

export interface Rules {
  readonly start: string;
  readonly rules: ReadonlyMap<string, Expression>;
}

export function sequenceOf(parts: readonly Expression[]): Expression {
  return parts.length === 1 ? parts[0] : { kind: 'sequence', parts };
}

export function choiceOf(parts: readonly Expression[]): Expression {
  return parts.length === 1 ? parts[0] : { kind: 'choice', parts };
}

/** The rules that an expression mentions. */
export function* mentionedRules(expression: Expression): Generator<string> {
  switch (expression.kind) {
    case 'regex':
      return;
    case 'rule':
      yield expression.name;
      return;
    case 'repeat':
      yield* mentionedRules(expression.body);
      return;
    default:
      for (const part of expression.parts) yield* mentionedRules(part);
  }
}
