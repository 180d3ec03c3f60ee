/** What EBNF texts say, whatever their dialect. */

import type { Node, Regex } from '../ir.ts';

export type Expression =
  | { readonly kind: 'regex'; readonly regex: Regex }
  /** What another front end has made. It never derives the empty text. */
  | { readonly kind: 'node'; readonly node: Node }
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

/** Whether something in the expression itself is known not to be regular. */
export function hasNode(expression: Expression): boolean {
  switch (expression.kind) {
    case 'regex':
    case 'rule':
      return false;
    case 'node':
      return true;
    case 'repeat':
      return hasNode(expression.body);
    default:
      return expression.parts.some(hasNode);
  }
}

/** The rules that an expression mentions. */
export function* mentionedRules(expression: Expression): Generator<string> {
  switch (expression.kind) {
    case 'regex':
    case 'node':
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
