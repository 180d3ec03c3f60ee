/**
 * `quern/grammar`: what a constraint on the output looks like to the engine.
 *
 * A {@link Grammar} is a compiled language over bytes; a {@link Matcher} walks one text through it token by token and
 * says which tokens may come next.
 */

export { GrammarCompiler } from './compiler.ts';
export { GrammarError } from './errors.ts';
export type { JsonSchemaOptions } from './json-schema/index.ts';
export type { CompiledGrammar, GrammarMatcher } from './matcher.ts';
export { inSlices } from './slices.ts';
export type { VocabularyOptions } from './vocabulary.ts';

/** A compiled language, shared by any number of matchers. */
export interface Grammar {
  /** A new matcher at the start of the text. */
  matcher(): Matcher;
}

/** The state of one text in a grammar. */
export interface Matcher {
  /** Sets bit `i & 31` of word `i >> 5` for each token `i` that may come next, and clears the others. */
  fillMask(mask: Uint32Array): void;
  /** Moves on by one token. False, with the state as it was, when the token may not come next. */
  accept(tokenId: number): boolean;
  /** True where the text may end. */
  canFinish(): boolean;
  /** Takes back the last `count` accepted tokens. */
  rollback(count: number): void;
  /** The tokens that must come next, as far as there is no choice. */
  forcedTokens(): number[];
  /** Back to the start of the text. */
  reset(): void;
}
