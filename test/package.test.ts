/** The package as npm would install it: what it exports runs in plain Node and type-checks in somebody else's project. */

import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { build, createLogger } from 'vite';

const test = suite('package');
const root = fileURLToPath(new URL('..', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'quern-package-'));
const modules = join(folder, 'node_modules');

const run = (command: string, args: string[], cwd = folder): string =>
  execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

test.before(() => {
  const [packed] = JSON.parse(run('npm', ['pack', '--json', '--pack-destination', folder], root));
  mkdirSync(join(modules, 'quern'), { recursive: true });
  run('tar', ['-xzf', packed.filename, '-C', join(modules, 'quern'), '--strip-components=1']);
  const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  // What the package itself depends on, and the types that a TypeScript project on Node has.
  for (const name of [...Object.keys(dependencies), 'ieee754', '@types/node', 'undici-types']) {
    mkdirSync(join(modules, name, '..'), { recursive: true });
    symlinkSync(join(root, 'node_modules', name), join(modules, name));
  }
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
});
test.after(() => rmSync(folder, { recursive: true, force: true }));

test('every entry imports in plain Node, and the embedded model answers', () => {
  writeFileSync(
    join(folder, 'consumer.js'),
    `import { Engine } from 'quern';
     import { WasmDevice } from 'quern/kernels';
     import { Tokenizer } from 'quern/tokenizer';
     import { Sampler } from 'quern/sampling';
     import { GrammarError } from 'quern/grammar';
     import { createHandler } from 'quern/server';
     for (const one of [WasmDevice, Tokenizer, Sampler, GrammarError, createHandler]) {
       if (typeof one !== 'function') throw new Error('an export is missing');
     }
     const engine = await Engine.load('tiny-chat');
     const messages = [{ role: 'user', content: 'What is the capital of France?' }];
     const answer = await engine.chat.completions.create({ messages, temperature: 0 });
     console.log(answer.choices[0].message.content);
     await engine.close();`,
  );
  assert.match(run(process.execPath, ['consumer.js']), /Paris/);
});

test('it bundles for a browser, without anything of Node', async () => {
  writeFileSync(join(folder, 'page.js'), `import { Engine } from 'quern'; globalThis.load = Engine.load;`);
  const warnings: string[] = [];
  const output = await build({
    root: folder,
    configFile: false,
    logLevel: 'warn',
    customLogger: { ...createLogger('silent'), warn: (text) => warnings.push(text) },
    build: { write: false, target: 'es2023', rolldownOptions: { input: join(folder, 'page.js') } },
  });
  const chunks = [output].flat().flatMap((result) => ('output' in result ? result.output : []));
  assert.ok(chunks.length > 0);
  for (const chunk of chunks) {
    if (chunk.type === 'chunk')
      assert.not.match(chunk.code, /(from|import)\s*\(?\s*["'`]node:|__vite-browser-external/);
  }
  assert.equal(warnings, []);
});

test('its types check in a strict consumer', () => {
  writeFileSync(
    join(folder, 'consumer.ts'),
    `import { Engine, type GenerateOutput } from 'quern';
     import { type Device, WasmDevice } from 'quern/kernels';
     import { createHandler } from 'quern/server';
     import { createServer } from 'node:http';
     const engine: Engine = await Engine.load('tiny-chat', { device: 'auto', threads: 2 });
     for await (const out of engine.generate({ prompt: 'a', sampling: { temperature: 0, maxTokens: 3 } })) {
       const { text, index }: GenerateOutput = out;
       console.log(index, text);
     }
     // @ts-expect-error a device of that name does not exist
     await Engine.load('tiny-chat', { device: 'abacus' });
     createServer(createHandler(engine));
     const device: Device = await WasmDevice.create();
     await device.close();`,
  );
  const flags = ['--strict', '--noEmit', '--module', 'nodenext', '--target', 'es2024', '--lib', 'es2024,dom'];
  run(join(root, 'node_modules/.bin/tsc'), [...flags, '--types', 'node', 'consumer.ts']);
});

test('the command of the package works', () => {
  const cli = join(modules, 'quern/dist/server/cli.js');
  assert.match(run(process.execPath, [cli, '--version']), /^\d+\.\d+\.\d+/);
  assert.match(run(process.execPath, [cli, 'chat', '--threads', '1', 'What is the capital of France?']), /Paris/);
});

test.run();
