import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { parseServe, UsageError } from '../../server/cli-options.ts';
import { Log } from '../../server/log.ts';
import { progressBar } from '../../server/progress-bar.ts';
import { until } from './with-server.ts';

const test = suite('command line');

const CLI = fileURLToPath(new URL('../../server/cli.ts', import.meta.url));
const CHAT_BODY = JSON.stringify({ messages: [{ role: 'user', content: 'hi' }], ignore_eos: true, stream: true });

class Run {
  readonly child: ChildProcess;
  stdout = '';
  stderr = '';

  constructor(...args: string[]) {
    this.child = spawn(process.execPath, ['--import', 'tsx', CLI, ...args]);
    this.child.stdout!.on('data', (text) => (this.stdout += text));
    this.child.stderr!.on('data', (text) => (this.stderr += text));
  }

  /** The exit status, once everything is read. */
  async end(): Promise<number | null> {
    if (this.child.exitCode === null) await once(this.child, 'close');
    return this.child.exitCode;
  }

  /** The address, once it listens. */
  async url(): Promise<string> {
    await until(() => this.stdout.includes('\n') || this.child.exitCode !== null, 'the server listens');
    const [, url] = /^quern listening on (http:\/\/127\.0\.0\.1:\d+)\n$/.exec(this.stdout)!;
    return url;
  }
}

test('inspect tells what is in a model', async () => {
  const [plain, json] = [new Run('inspect', 'tiny-chat'), new Run('inspect', '--json', 'tiny-chat')];
  assert.is(await plain.end(), 0);
  assert.match(plain.stdout, /^architecture {2}qwen3$/m);
  assert.match(plain.stdout, /^context {7}\d+ tokens$/m);
  assert.match(plain.stdout, /^ {2}model\.norm\.weight +BF16 /m);
  assert.is(await json.end(), 0);
  assert.is(JSON.parse(json.stdout).architecture, 'qwen3');
});

test('what is wrong is told in one line, with exit status 1', async () => {
  const cases: [args: string[], message: RegExp][] = [
    [['dance'], /no command "dance"/],
    [['serve', '--bogus'], /--bogus'; quern --help lists/],
    [['serve', '--model', '/nowhere/model'], /\/nowhere\/model.*expected/],
    [['chat'], /needs a question/],
    [['bench', 'nothing'], /no bench "nothing"/],
    [['bench', 'kv-cache', '--bogus'], /kv-cache: .*--bogus.*there are --models, --tokens/],
    [['inspect'], /needs one model/],
    [['inspect', '/nowhere/model'], /\/nowhere\/model.*expected/],
  ];
  const runs = cases.map(([args]) => new Run(...args));
  for (const [i, [, message]] of cases.entries()) {
    assert.is(await runs[i].end(), 1);
    assert.is(runs[i].stdout, '');
    assert.match(runs[i].stderr, /^quern: [^\n]*\n$/);
    assert.match(runs[i].stderr, message);
  }
});

test('help and version go to stdout', async () => {
  const [help, version, bench] = [new Run('--help'), new Run('--version'), new Run('bench', 'kv-cache', '--help')];
  assert.is(await help.end(), 0);
  for (const flag of ['--model', '--served-model-name', '--host', '--port', '--api-key', '--kv-cache-bytes']) {
    assert.match(help.stdout, flag);
  }
  assert.is(await version.end(), 0);
  assert.is(await bench.end(), 0);
  assert.match(bench.stdout, /^Usage: quern bench kv-cache .* {2}--models MODEL/s);
  assert.match(version.stdout, /^\d+\.\d+\.\d+\n$/);
});

test('chat answers on stdout', async () => {
  const run = new Run('chat', 'Tell me a joke.');
  assert.is(await run.end(), 0);
  assert.match(run.stdout, /^\S.{10,}\n$/s);
  assert.is(run.stderr, '');
});

test('serve prints one line when it listens, and SIGTERM lets a stream end', async () => {
  const run = new Run('serve', '--port', '0', '--served-model-name', 'a', '--served-model-name', 'b', '--api-key', 'k');
  const url = await run.url();
  const headers = { authorization: 'Bearer k' };
  const models = (await (await fetch(`${url}/v1/models`, { headers })).json()) as { data: { id: string }[] };
  assert.equal(
    models.data.map(({ id }) => id),
    ['a', 'b'],
  );
  const taken = new Run('serve', '--port', new URL(url).port);
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/json' },
    body: CHAT_BODY,
  });
  assert.is(await taken.end(), 1);
  assert.match(taken.stderr, /^quern: --port \d+: the port is in use already[^\n]*\n$/);
  run.child.kill('SIGTERM');
  assert.match(await response.text(), /data: \[DONE\]\n\n$/);
  assert.is(await run.end(), 0);
  assert.match(run.stdout, /^[^\n]*\n$/);
  const entries = run.stderr
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  const request = entries.find(({ path }) => path === '/v1/chat/completions');
  assert.is(request.status, 200);
  assert.ok(request.completionTokens > 100 && request.promptTokens > 0);
});

test('a second signal ends the process at once', async () => {
  const run = new Run('serve', '--port', '0', '--log-level', 'error');
  const url = await run.url();
  const body = JSON.stringify({ ...JSON.parse(CHAT_BODY), n: 60 });
  const response = await fetch(`${url}/v1/chat/completions`, { method: 'POST', body: new TextEncoder().encode(body) });
  run.child.kill('SIGINT');
  await new Promise((resolve) => setTimeout(resolve, 100));
  assert.is(run.child.exitCode, null);
  run.child.kill('SIGINT');
  assert.is(await run.end(), 1);
  assert.instance(await response.text().catch((error) => error), Error);
  assert.is(run.stderr, '');
});

test('every flag of serve is read', () => {
  const folder = mkdtempSync(join(tmpdir(), 'quern-'));
  try {
    writeFileSync(join(folder, 'keys'), 'one\n\n# a comment\n  bob   two \n');
    writeFileSync(join(folder, 'template'), '{{ messages }}');
    const flags = {
      model: 'm',
      device: 'wasm',
      threads: '2',
      quantization: 'q8_0',
      'max-model-len': '100',
      'max-num-seqs': '4',
      'max-num-batched-tokens': '64',
      'num-speculative-tokens': '5',
      'max-queued-requests': '7',
      'kv-cache-bytes': '1000000',
      'kv-cache-dtype': 'int8',
      'gpu-memory-utilization': '.5',
      'chat-template': join(folder, 'template'),
      'served-model-name': 'x',
      host: '0.0.0.0',
      port: '0',
      'api-key': 'zero',
      'api-keys-file': join(folder, 'keys'),
      'log-level': 'warning',
      'tool-call-parser': 'mistral',
      'generation-config': 'vllm',
      'logprobs-mode': 'raw_logits',
      'max-logprobs': '5',
      'allowed-origins': '["https://a.example", "https://b.example"]',
      'allowed-methods': 'POST',
      'allowed-headers': 'authorization',
    };
    const args = Object.entries(flags).flatMap(([name, value]) => [`--${name}`, value]);
    const switches = [
      '--trust-request-chat-template',
      '--enable-prompt-tokens-details',
      '--exclude-tools-when-tool-choice-none',
    ];
    assert.equal(parseServe([...args, ...switches, '--allowed-methods', 'GET']), {
      model: 'm',
      load: {
        device: 'wasm',
        quantize: 'q8_0',
        threads: 2,
        maxModelLen: 100,
        maxNumSeqs: 4,
        maxNumBatchedTokens: 64,
        numSpeculativeTokens: 5,
        maxQueuedRequests: 7,
        kvCacheBytes: 1000000,
        kvCacheDtype: 'int8',
        gpuMemoryUtilization: 0.5,
        chatTemplate: '{{ messages }}',
        toolCallParser: 'mistral',
        generationConfig: 'vllm',
        logprobsMode: 'raw_logits',
      },
      modelNames: ['x'],
      host: '0.0.0.0',
      port: 0,
      apiKeys: [{ key: 'zero' }, { key: 'one' }, { name: 'bob', key: 'two' }],
      trustRequestChatTemplate: true,
      promptTokensDetails: true,
      excludeToolsWhenNone: true,
      maxLogprobs: 5,
      allowedOrigins: ['https://a.example', 'https://b.example'],
      allowedMethods: ['POST', 'GET'],
      allowedHeaders: ['authorization'],
      logLevel: 'warning',
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test('without flags it is the embedded model, on this machine alone, at port 8000', () => {
  const { model, load, modelNames, host, port, apiKeys, logLevel } = parseServe([]);
  assert.equal(
    { model, load, modelNames, host, port, apiKeys, logLevel },
    { model: 'tiny-chat', load: {}, modelNames: [], host: '127.0.0.1', port: 8000, apiKeys: [], logLevel: 'info' },
  );
});

const wrong: [flag: string, value: string][] = [
  ['port', '65536'],
  ['port', '-1'],
  ['port', '0x50'],
  ['threads', '0'],
  ['max-model-len', '1.5'],
  ['kv-cache-bytes', '1e9'],
  ['kv-cache-dtype', 'int4'],
  ['gpu-memory-utilization', '1.1'],
  ['gpu-memory-utilization', '90%'],
  ['max-queued-requests', '-1'],
  ['device', 'gpu'],
  ['quantization', 'q5'],
  ['log-level', 'loud'],
  ['host', ''],
  ['api-key', ''],
  ['api-keys-file', '/nowhere'],
  ['chat-template', '/nowhere'],
  ['tool-call-parser', 'guess'],
  ['generation-config', 'magic'],
  ['logprobs-mode', 'cooked'],
  ['max-logprobs', '-1'],
  ['allowed-origins', '[1]'],
  ['allowed-headers', ''],
];

for (const [flag, value] of wrong) {
  test(`--${flag}=${value} is refused by name`, () => {
    assert.throws(
      () => parseServe([`--${flag}=${value}`]),
      (error: Error) => error instanceof UsageError && error.message.includes(`--${flag}`),
    );
  });
}

test('the log leaves out what is below its level and puts an error’s stack in its line', () => {
  const lines: string[] = [];
  const log = new Log('warning', (line) => lines.push(line));
  const entry = { id: 'i', method: 'GET', path: '/', status: 200, ms: 1, promptTokens: 0, completionTokens: 0 };
  log.request(entry);
  log.warning('careful', { host: 'a\nb' });
  log.request({ ...entry, status: 500, error: new Error('broken') });
  assert.is(lines.length, 2);
  assert.ok(lines.every((line) => line.indexOf('\n') === line.length - 1));
  assert.is(JSON.parse(lines[0]).host, 'a\nb');
  assert.match(JSON.parse(lines[1]).error, 'Error: broken');
});

test('the progress bar fills on a terminal, and is not there elsewhere', () => {
  let shown = '';
  const stream = { isTTY: true, write: (text: string) => (shown += text) } as unknown as NodeJS.WriteStream;
  const onProgress = progressBar(stream)!;
  onProgress({ stage: 'weights', loaded: 5e6, total: 20e6 });
  assert.match(shown, /\[#{8}\.{22}\] 5 of 20 MB$/);
  const before = shown;
  onProgress({ stage: 'weights', loaded: 5e6 + 1, total: 20e6 });
  assert.is(shown, before, 'what looks the same is not drawn again');
  onProgress({ stage: 'weights', loaded: 20e6, total: 20e6 });
  assert.match(shown, /\[#{30}\] 20 of 20 MB\n$/);
  assert.is(progressBar({ isTTY: false } as NodeJS.WriteStream), undefined);
});

test.run();
