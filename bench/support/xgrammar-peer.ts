/** `@mlc-ai/web-xgrammar` on schema cases, in a process of its own, because it cannot be interrupted. */

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import type { CompiledGrammar } from '@mlc-ai/web-xgrammar';
import { readGgufVocabulary } from './gguf-vocabulary.ts';
import { type CaseResult, LongestTokens, type SchemaCase } from './schema-cases.ts';

// The package is a script for `require` that calls itself a module: it is run as what it is.
const require = createRequire(import.meta.url);
const path = require.resolve('@mlc-ai/web-xgrammar');
const exports = {} as typeof import('@mlc-ai/web-xgrammar');
new Function('exports', 'module', 'require', '__filename', '__dirname', readFileSync(path, 'utf8'))(
  exports,
  { exports },
  require,
  path,
  dirname(path),
);
const { GrammarCompiler, GrammarMatcher, TokenizerInfo } = exports;

const { tokens, eosTokenIds, encoded } = readGgufVocabulary(process.argv[2]);
const splitter = new LongestTokens(tokens);
const started = performance.now();
const info = await TokenizerInfo.createTokenizerInfo([...encoded], 'byte_level', false, tokens.length, [
  ...eosTokenIds,
]);
const compiler = await GrammarCompiler.createGrammarCompiler(info);
process.send!({ setUpMs: performance.now() - started });

process.on('message', (schemaCase: SchemaCase) => {
  run(schemaCase).then(
    (result) => process.send!(result),
    (error: unknown) =>
      process.send!({
        outcome: 'refused',
        compileMs: 0,
        coldMicros: [],
        warmMicros: [],
        note: String(error),
      }),
  );
});

async function run({ schema, tests }: SchemaCase): Promise<CaseResult> {
  const before = performance.now();
  let grammar: CompiledGrammar;
  try {
    grammar = await compiler.compileJSONSchema(JSON.stringify(schema), true, undefined, undefined, false);
  } catch (error) {
    return { outcome: 'refused', compileMs: 0, coldMicros: [], warmMicros: [], note: String(error) };
  }
  const compileMs = performance.now() - before;
  const rounds: number[][] = [[], []];
  let outcome: CaseResult['outcome'] = 'right';
  for (const { valid, data } of tests) {
    for (const times of rounds) {
      const matcher = await GrammarMatcher.createGrammarMatcher(grammar);
      let accepted = true;
      for (const id of splitter.encode(JSON.stringify(data))) {
        const start = performance.now();
        await matcher.getNextTokenBitmask();
        times.push((performance.now() - start) * 1000);
        accepted = matcher.acceptToken(id);
        if (!accepted) break;
      }
      accepted &&= matcher.acceptToken(eosTokenIds[0]);
      if (accepted !== valid && outcome !== 'accepts invalid') outcome = accepted ? 'accepts invalid' : 'rejects valid';
      matcher.dispose();
    }
  }
  grammar.dispose();
  return { outcome, compileMs, coldMicros: rounds[0], warmMicros: rounds[1] };
}
