/** From constraints to grammars. */

import { type Grammar, GrammarError, inSlices } from '../../../grammar/index.ts';
import { RequestError } from '../../errors.ts';
import type { ApiEngine } from '../api-engine.ts';
import { ANY_OBJECT, type Constraint, type GivenConstraint } from '../request/constraint.ts';
import { compilerWithMarkers } from './call-grammar.ts';
import { closeObjects, closeTagSchemas } from './close-objects.ts';

const ONE_SPACE = '[ ]?';

/** What compiles constraints: `GrammarCompiler` of `quern/grammar`. */
export interface ConstraintCompiler {
  jsonSchema(schema: unknown, options?: { readonly whitespacePattern?: string }): Grammar;
  regex(pattern: string): Grammar;
  choice(choices: readonly string[]): Grammar;
  ebnf(grammar: string): Grammar;
  structuralTag(spec: unknown, options?: { readonly whitespacePattern?: string }): Grammar;
}

/** @throws RequestError that names the parameter, when the constraint cannot be compiled */
export function constraintGrammar(engine: ApiEngine, { constraint, param }: GivenConstraint): Grammar {
  if (constraint.kind === 'tags') return structuralTagGrammar(constraint, param, engine);
  return compileConstraint({ constraint, param }, engine.grammarCompiler);
}

/** A constraint on the whole output. @throws RequestError that names the parameter, when it cannot be compiled */
export function compileConstraint(
  { constraint, param }: GivenConstraint<Exclude<Constraint, { kind: 'tags' }>>,
  compiler?: ConstraintCompiler,
): Grammar {
  if (!compiler) throw new RequestError(`${param} is not supported by this engine`, param);
  return inTermsOf(param, () => {
    if (constraint.kind === 'regex') return compiler.regex(constraint.pattern);
    if (constraint.kind === 'choice') return compiler.choice(constraint.choices);
    if (constraint.kind === 'grammar') return compiler.ebnf(constraint.text);
    const { schema, whitespacePattern } = constraint;
    // Without a schema there is nothing that keeps line ends and indentation from being what the model is used to.
    const usual = schema === ANY_OBJECT ? {} : { whitespacePattern: ONE_SPACE };
    return compiler.jsonSchema(closeObjects(schema), whitespacePattern === undefined ? usual : { whitespacePattern });
  });
}

/**
 * Compiles in slices, so that other requests go on meanwhile. The compilers keep what it came to, so that the same compile at
 * once is quick; errors are left to that one, so that they come in their turn among a request's other faults.
 */
export async function compileAhead(compile: () => unknown): Promise<void> {
  try {
    await inSlices(compile);
  } catch (error) {
    if (!(error instanceof RequestError)) throw error;
  }
}

/** @throws RequestError when the pattern is none, whether or not there is JSON that it counts for */
export function checkWhitespacePattern(pattern: string, compiler?: ConstraintCompiler): void {
  if (pattern !== '') inTermsOf('guided_whitespace_pattern', () => compiler?.regex(pattern));
}

function inTermsOf<T>(param: string, compile: () => T): T {
  try {
    return compile();
  } catch (error) {
    if (error instanceof GrammarError) throw new RequestError(`${param}: ${error.message}`, param);
    throw error;
  }
}

/** @throws RequestError that names the parameter, when the tags cannot be compiled */
function structuralTagGrammar(
  { spec, whitespacePattern = ONE_SPACE }: Tags,
  param: string,
  engine: ApiEngine,
): Grammar {
  const compiler = tagCompiler(engine, spec);
  if (!compiler) throw new RequestError(`${param} is not supported by this engine`, param);
  return inTermsOf(param, () => compiler.structuralTag(closeTagSchemas(spec), { whitespacePattern }));
}

type Tags = Extract<Constraint, { kind: 'tags' }>;

/** Members of structural tags whose strings may be special tokens. */
const MARKING = new Set(['begin', 'end', 'triggers', 'value', 'separator', 'excludes']);
const MAX_COMPILERS = 4;
const tagCompilers = new WeakMap<ApiEngine, Map<string, ConstraintCompiler | null>>();

/** The engine's own compiler, unless tags begin or end with special tokens. */
function tagCompiler(engine: ApiEngine, spec: object): ConstraintCompiler | undefined {
  if (!engine.grammarCompiler) return undefined;
  const markers = [...new Set(marksOf(spec))].sort();
  let known = tagCompilers.get(engine);
  if (!known) tagCompilers.set(engine, (known = new Map()));
  const key = JSON.stringify(markers);
  let compiler = known.get(key);
  if (compiler === undefined) {
    compiler = compilerWithMarkers(markers, engine, engine.eosTokenIds);
    if (known.size >= MAX_COMPILERS) known.clear();
    known.set(key, compiler);
  }
  return compiler ?? engine.grammarCompiler;
}

function marksOf(spec: unknown): string[] {
  if (typeof spec !== 'object' || spec === null) return [];
  return Object.entries(spec).flatMap(([name, member]) => {
    if (!MARKING.has(name)) return marksOf(member);
    return (Array.isArray(member) ? member : [member]).filter((mark) => typeof mark === 'string');
  });
}
