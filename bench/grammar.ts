/**
 * Constrained output over a folder of schema cases: coverage, time to compile, time for a mask, and the same for
 * `@mlc-ai/web-xgrammar` in the same run. One thread; texts are split into the longest tokens from the left.
 *
 * `cold` is the first walk through an instance, `warm` the same walk again. A case is right when all of its instances are
 * accepted or refused as they should be; a schema that is refused counts apart.
 */

import { type ChildProcess, fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { GrammarCompiler, GrammarError } from '../grammar/index.ts';
import { readGgufVocabulary } from './support/gguf-vocabulary.ts';
import { INTEGER, readOptions, SWITCH, string } from './support/options.ts';
import { type CaseResult, LongestTokens, readSchemaCases, type SchemaCase } from './support/schema-cases.ts';
import { machine, printTable, rounded } from './support/table.ts';

const options = readOptions({
  about: 'Constrained output over a folder of schema cases: coverage, time to compile, time for a mask.',
  examples: [
    ['--peer --only Github', 'with the peer, cases of a name'],
    ['--peer --every 6', 'with the peer, every sixth case'],
  ],
  options: {
    schemas: { kind: string('FOLDER'), fallback: '../shared/data/schemas', help: 'schema cases' },
    vocabulary: {
      kind: string('FILE.gguf'),
      fallback: '../shared/data/vocabs/ggml-vocab-llama-bpe.gguf',
      help: 'a file with the tokens',
    },
    only: { kind: string('TEXT'), fallback: '', help: 'cases whose names hold this' },
    peer: { kind: SWITCH, help: '@mlc-ai/web-xgrammar in the same run' },
    every: { kind: INTEGER, fallback: '1', help: 'every Nth case' },
    limit: { kind: INTEGER, fallback: '20', help: 'seconds for one case of the peer' },
    verbose: { kind: SWITCH, help: 'names the cases that are not right' },
  },
});
for (const path of [options.schemas, options.vocabulary]) {
  if (!existsSync(path)) throw new Error(`${path} is not there: name the data with --schemas and --vocabulary`);
}

const cases = readSchemaCases(options.schemas, options.only).filter((_, i) => i % options.every === 0);
const vocabulary = readGgufVocabulary(options.vocabulary);
const splitter = new LongestTokens(vocabulary.tokens);
console.log(JSON.stringify(machine()));
console.log(`${cases.length} schemas, ${vocabulary.tokens.length} tokens`);

const started = performance.now();
const compiler = new GrammarCompiler(vocabulary);
const setUpMs = performance.now() - started;
const rows = [summary('quern', setUpMs, cases.map(runCase))];
if (options.peer) rows.push(await runPeer());
printTable(
  [
    '',
    'set-up ms',
    'right',
    'refused',
    'accepts invalid',
    'rejects valid',
    'timeout',
    'compile ms p50',
    'p99',
    'cold µs p50',
    'p99',
    'p99.9',
    'max',
    'warm µs p50',
    'p99',
    'p99.9',
  ],
  rows,
);

function runCase({ name, schema, tests }: SchemaCase): CaseResult {
  const mask = new Uint32Array((vocabulary.tokens.length + 31) >> 5);
  const rounds: number[][] = [[], []];
  let outcome: CaseResult['outcome'] = 'right';
  let compileMs = 0;
  try {
    const before = performance.now();
    const grammar = compiler.jsonSchema(schema);
    compileMs = performance.now() - before;
    for (const { valid, data } of tests) {
      for (const times of rounds) {
        const matcher = grammar.matcher();
        const accepted = splitter.encode(JSON.stringify(data)).every((id) => {
          const start = performance.now();
          matcher.fillMask(mask);
          times.push((performance.now() - start) * 1000);
          return matcher.accept(id);
        });
        if ((accepted && matcher.canFinish()) === valid) continue;
        outcome = valid ? 'rejects valid' : 'accepts invalid';
      }
    }
  } catch (error) {
    if (!(error instanceof GrammarError)) throw error;
    if (options.verbose) console.log(`${name}: ${error.message}`);
    return { outcome: 'refused', compileMs: 0, coldMicros: [], warmMicros: [] };
  }
  if (options.verbose && outcome !== 'right') console.log(`${name}: ${outcome}`);
  return { outcome, compileMs, coldMicros: rounds[0], warmMicros: rounds[1] };
}

/** All cases through the peer; a case that takes longer than the limit ends its process. */
async function runPeer() {
  const results: CaseResult[] = [];
  let peer: ChildProcess | undefined;
  let peerSetUpMs = 0;
  for (const schemaCase of cases) {
    if (!peer) {
      peer = fork(fileURLToPath(new URL('./support/xgrammar-peer.ts', import.meta.url)), [options.vocabulary]);
      peerSetUpMs = (await answer<{ setUpMs: number }>(peer, 120))?.setUpMs ?? 0;
    }
    peer.send(schemaCase);
    const result = await answer<CaseResult>(peer, options.limit);
    results.push(result ?? { outcome: 'timeout', compileMs: options.limit * 1000, coldMicros: [], warmMicros: [] });
    if (options.verbose) console.log(`peer ${schemaCase.name}: ${results[results.length - 1].outcome}`);
    if (result) continue;
    peer.kill('SIGKILL');
    peer = undefined;
  }
  peer?.kill('SIGKILL');
  return summary('web-xgrammar', peerSetUpMs, results);
}

/** The next message of a process; undefined when it takes longer than `seconds`. */
function answer<T>(peer: ChildProcess, seconds: number): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => resolve(undefined), seconds * 1000);
    peer.once('message', (message) => {
      clearTimeout(timer);
      resolve(message as T);
    });
    peer.once('error', reject);
    peer.once('exit', () => resolve(undefined));
  });
}

function summary(name: string, setUp: number, results: readonly CaseResult[]): (string | number)[] {
  const count = (outcome: CaseResult['outcome']) => results.filter((result) => result.outcome === outcome).length;
  const compiled = results.filter(({ outcome }) => outcome !== 'refused').map(({ compileMs }) => compileMs);
  const cold = results.flatMap(({ coldMicros }) => coldMicros);
  const warm = results.flatMap(({ warmMicros }) => warmMicros);
  return [
    name,
    rounded(setUp),
    ...(['right', 'refused', 'accepts invalid', 'rejects valid', 'timeout'] as const).map(count),
    ...[quantile(compiled, 0.5), quantile(compiled, 0.99)],
    ...[0.5, 0.99, 0.999, 1].map((part) => quantile(cold, part)),
    ...[0.5, 0.99, 0.999].map((part) => quantile(warm, part)),
  ];
}

function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return rounded(sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0, 2);
}
