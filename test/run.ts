/**
 * `npm test`: runs every `*.test.ts` below this folder, two processes at a time, and sums up.
 *
 * `npm test -- tokenizer kernels/linear` runs the files whose path holds one of the words. `*.slow.test.ts` run only with
 * `npm run test:full`. Each file is a process of its own, so that one that hangs or crashes is seen as such.
 */

import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { swiftShaderEnv } from './swiftshader.ts';

const FOLDER = fileURLToPath(new URL('.', import.meta.url));
const TIME_LIMIT_MS = process.env.QUERN_TEST_FULL === '1' ? 1_800_000 : 300_000;

const env = { ...process.env, ...swiftShaderEnv(), FORCE_COLOR: '0' };
const words = process.argv.slice(2);
const full = process.env.QUERN_TEST_FULL === '1';
const files = readdirSync(FOLDER, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.test.ts') && (full || !file.endsWith('.slow.test.ts')))
  .filter((file) => words.length === 0 || words.some((word) => file.includes(word)))
  .sort();

let passed = 0;
let failed = 0;
const queue = [...files];
const started = Date.now();
await Promise.all(Array.from({ length: Math.min(2, availableParallelism()) }, work));
console.log(`${Math.round((Date.now() - started) / 1000)} s`);
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed === 0 && passed > 0 ? 0 : 1;

async function work(): Promise<void> {
  for (let file = queue.shift(); file !== undefined; file = queue.shift()) {
    const { output, code, milliseconds } = await runFile(join(FOLDER, file));
    const total = countOf(output, 'Total');
    const ok = countOf(output, 'Passed');
    // A file that ends before its summary counts as one failure; one whose tests are all skipped has a summary.
    const bad = total === 0 && countOf(output, 'Skipped') === 0 ? 1 : total - ok;
    passed += ok;
    failed += bad === 0 && code !== 0 ? 1 : bad;
    const name = relative(process.cwd(), join(FOLDER, file));
    console.log(`${bad === 0 && code === 0 ? 'ok  ' : 'FAIL'} ${name}: ${ok} of ${total} (${milliseconds} ms)`);
    for (const line of output.split('\n').filter((text) => text.startsWith('note: '))) console.log(`     ${line}`);
    if (bad > 0 || code !== 0) console.log(output);
  }
}

function countOf(output: string, label: string): number {
  // A file with several suites prints its summary once, at the end; the last one counts.
  const found = [...output.matchAll(new RegExp(`^\\s*${label}:\\s+(\\d+)`, 'gm'))].at(-1);
  return found ? Number(found[1]) : 0;
}

function runFile(file: string): Promise<{ output: string; code: number | null; milliseconds: number }> {
  return new Promise((resolve) => {
    const began = Date.now();
    const child = spawn(process.execPath, [...process.execArgv, file], { env });
    let output = '';
    const take = (data: Buffer) => {
      output += data.toString();
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    const timer = setTimeout(() => {
      output += `\nkilled after ${TIME_LIMIT_MS / 1000} s\n`;
      child.kill('SIGKILL');
    }, TIME_LIMIT_MS);
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve({ output, code, milliseconds: Date.now() - began });
    });
  });
}
