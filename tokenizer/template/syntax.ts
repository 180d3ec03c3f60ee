/** From the source of a template to its syntax tree, in the form that the parser of `@huggingface/jinja` gives it. */

import { parse } from '@huggingface/jinja';
import { TokenizerError } from '../errors.ts';
import { tokenize } from './lexer.ts';
import { fail } from './values.ts';

const MAX_SOURCE_LENGTH = 256 * 1024;

/** @throws TokenizerError for a template that is too long or not well formed */
export function parseTemplate(source: string): Block {
  if (source.length > MAX_SOURCE_LENGTH) {
    fail(`has ${source.length} characters; at most ${MAX_SOURCE_LENGTH} are read`);
  }
  try {
    return (parse(tokenize(source) as Parameters<typeof parse>[0]) as unknown as { body: Block }).body;
  } catch (error) {
    if (error instanceof TokenizerError) throw error;
    // The parser runs past its tokens when a block or a bracket is not closed.
    const reason = error instanceof TypeError ? 'a block or a bracket is not closed' : (error as Error).message;
    throw new TokenizerError(`chat template: is not well formed: ${reason}`, { cause: error });
  }
}

export type Block = readonly Node[];

export type Node =
  | SetNode
  | ForNode
  | MacroNode
  | { type: 'If'; test: Expression; body: Block; alternate: Block }
  | { type: 'CallStatement'; call: CallNode; callerArgs: Parameter[] | null; body: Block }
  | { type: 'FilterStatement'; filter: FilterNode; body: Block }
  | { type: 'Break' }
  | { type: 'Continue' }
  | Expression;

export interface SetNode {
  readonly type: 'Set';
  readonly assignee: Expression;
  /** Null when the value is the text of `body`. */
  readonly value: Expression | null;
  readonly body: Block;
}

export interface ForNode {
  readonly type: 'For';
  readonly loopvar: Expression;
  readonly iterable: Expression;
  readonly body: Block;
  /** The part after `else`, for a loop without a turn. */
  readonly defaultBlock: Block;
}

export interface MacroNode {
  readonly type: 'Macro';
  readonly name: { readonly value: string };
  readonly args: readonly Parameter[];
  readonly body: Block;
}

type Parameter = IdentifierNode | KeywordNode;

interface IdentifierNode {
  readonly type: 'Identifier';
  readonly value: string;
}

interface KeywordNode {
  readonly type: 'KeywordArgumentExpression';
  readonly key: { readonly value: string };
  readonly value: Expression;
}

export interface CallNode {
  readonly type: 'CallExpression';
  readonly callee: Expression;
  readonly args: readonly Expression[];
}

export type FilterNode = IdentifierNode | CallNode;

export interface SliceNode {
  readonly type: 'SliceExpression';
  readonly start?: Expression;
  readonly stop?: Expression;
  readonly step?: Expression;
}

export type Expression =
  | IdentifierNode
  | KeywordNode
  | CallNode
  | SliceNode
  | { readonly type: 'StringLiteral'; readonly value: string }
  | { readonly type: 'IntegerLiteral' | 'FloatLiteral'; readonly value: number }
  | { readonly type: 'ArrayLiteral' | 'TupleLiteral'; readonly value: readonly Expression[] }
  | { readonly type: 'ObjectLiteral'; readonly value: ReadonlyMap<Expression, Expression> }
  | {
      readonly type: 'MemberExpression';
      readonly object: Expression;
      readonly property: Expression;
      readonly computed: boolean;
    }
  | {
      readonly type: 'BinaryExpression';
      readonly operator: { readonly value: string };
      readonly left: Expression;
      readonly right: Expression;
    }
  | { readonly type: 'UnaryExpression'; readonly operator: { readonly value: string }; readonly argument: Expression }
  | { readonly type: 'FilterExpression'; readonly operand: Expression; readonly filter: FilterNode }
  | { readonly type: 'SelectExpression'; readonly lhs: Expression; readonly test: Expression }
  | {
      readonly type: 'Ternary';
      readonly condition: Expression;
      readonly trueExpr: Expression;
      readonly falseExpr: Expression;
    }
  | { readonly type: 'SpreadExpression' | 'KeywordSpreadExpression'; readonly argument: Expression };
