/** From constraints to grammars. */

import { type Grammar, GrammarError, inSlices } from '../../grammar/index.ts';
import { RequestError } from '../errors.ts';
import type { ApiEngine } from './api-engine.ts';
import { closeObjects } from './close-objects.ts';
import { ANY_OBJECT, type Constraint, type GivenConstraint } from './constraint.ts';
import type { StructuralTag } from './structural-tag.ts';
import { CallGrammar, compilerWithMarkers } from './tools/call-grammar.ts';
import { anyOf, json, quote } from './tools/lark-text.ts';

const ONE_SPACE = '[ ]?';

/** What compiles constraints: `GrammarCompiler` of `quern/grammar`. */
export interface ConstraintCompiler {
  jsonSchema(schema: unknown, options?: { readonly whitespacePattern?: string }): Grammar;
  regex(pattern: string): Grammar;
  choice(choices: readonly string[]): Grammar;
  ebnf(grammar: string): Grammar;
}

/** @throws RequestError that names the parameter, when the constraint cannot be compiled */
export function constraintGrammar(engine: ApiEngine, { constraint, param }: GivenConstraint): Grammar {
  if (constraint.kind === 'tags') return structuralTagGrammar(constraint.tag, param, engine);
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

/** @throws RequestError that names the parameter, when a schema cannot be compiled */
function structuralTagGrammar({ triggers, tags }: StructuralTag, param: string, engine: ApiEngine): Grammar {
  const markers = tags.map(({ end }) => end);
  const compiler = engine.grammarCompiler && (compilerWithMarkers(markers, engine) ?? engine.grammarCompiler);
  const starts = triggers.map((trigger) => ({ trigger, call: languageAfter(trigger, tags, param, compiler) }));
  return new CallGrammar(starts, engine);
}

function languageAfter(trigger: string, tags: StructuralTag['tags'], param: string, compiler?: ConstraintCompiler) {
  const continued = tags
    .filter(({ begin }) => begin.startsWith(trigger))
    .map(({ begin, schema, end }) => {
      return `${quote(begin.slice(trigger.length))} ${json(closeObjects(schema))} ${quote(end)}`;
    });
  return compileConstraint({ constraint: { kind: 'grammar', text: `start: ${anyOf(continued)}` }, param }, compiler);
}
