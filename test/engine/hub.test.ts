/** Models by their names on the Hugging Face hub, against a server that behaves like it, and one that does not. */

import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { access, mkdir, mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { CheckpointError } from '../../engine/errors.ts';
import { embeddedModelPath } from '../../engine/node/embedded.ts';
import { type FetchOptions, fetchModel } from '../../engine/node/hub/fetch-model.ts';
import { parseRepository } from '../../engine/node/hub/repository.ts';
import { hubSettings } from '../../engine/node/hub/settings.ts';
import type { LoadProgress } from '../../engine/types.ts';
import { type FakeHub, fakeHub, sha256 } from './fake-hub.ts';
import { rejects } from './rejects.ts';

interface Context {
  cache: string;
  hub: FakeHub;
  pauses: number[];
  fetch: (name?: string, options?: FetchOptions, more?: Record<string, string>) => Promise<string>;
}

const test = suite<Context>('hub');

const ID = 'org/model';
const WEIGHTS = Uint8Array.from({ length: 300_000 }, (_, i) => (i * 7) % 251);
const STORE = '/model.safetensors';

test.before.each(async (context) => {
  context.cache = await mkdtemp(join(tmpdir(), 'quern-hub-'));
  context.hub = await fakeHub(ID, {
    'config.json': '{"model_type":"llama"}',
    'tokenizer.json': '{}',
    'README.md': 'no part of it',
    'pytorch_model.bin': WEIGHTS,
    'model.safetensors': WEIGHTS,
  });
  context.pauses = [];
  context.fetch = (name = ID, options = {}, more = {}) => {
    const repository = parseRepository(name);
    assert.ok(repository);
    return fetchModel(repository, {
      environment: { HF_ENDPOINT: context.hub.endpoint, HF_HUB_CACHE: context.cache, HF_TOKEN: 'secret', ...more },
      pause: async (milliseconds) => {
        context.pauses.push(milliseconds);
      },
      ...options,
    });
  };
});

test.after.each(async ({ cache, hub }) => {
  await hub.close();
  await rm(cache, { recursive: true });
});

const folderIn = (cache: string) => join(cache, 'models--org--model');

test('what is needed comes into the cache in its layout, and comes once', async ({ cache, hub, fetch }) => {
  const path = await fetch();
  assert.is(path, join(folderIn(cache), 'snapshots', hub.commit));
  assert.equal((await readdir(path)).sort(), ['config.json', 'model.safetensors', 'tokenizer.json']);
  assert.is(await readlink(join(path, 'model.safetensors')), `../../blobs/${sha256(WEIGHTS)}`);
  assert.equal(new Uint8Array(await readFile(join(path, 'model.safetensors'))), WEIGHTS);
  assert.is(await readFile(join(folderIn(cache), 'refs', 'main'), 'utf8'), hub.commit);
  hub.requests.length = 0;
  assert.is(await fetch(), path);
  assert.equal(hub.requests, [`GET /api/models/${ID}/revision/main`]);
});

test('the token goes to the hub and nowhere else', async ({ hub, fetch }) => {
  await fetch();
  for (const [line, token] of hub.tokens) assert.is(token, line.startsWith('store ') ? undefined : 'Bearer secret');
  assert.ok([...hub.tokens.keys()].some((line) => line.startsWith('store ')));
});

test('of a sharded model the files of the index come; names that lead elsewhere are refused', async ({
  hub,
  fetch,
}) => {
  hub.files.delete('model.safetensors');
  hub.files.set(
    'model.safetensors.index.json',
    Buffer.from('{"weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors"}}'),
  );
  hub.files.set('m-1.safetensors', WEIGHTS);
  hub.files.set('m-2.safetensors', WEIGHTS.subarray(1));
  hub.files.set('m-3.safetensors', WEIGHTS);
  const names = await readdir(await fetch());
  assert.equal(
    names.filter((name) => name.startsWith('m-')),
    ['m-1.safetensors', 'm-2.safetensors'],
  );
});

test('an index that names a path is refused', async ({ hub, fetch }) => {
  hub.files.delete('model.safetensors');
  hub.files.set('model.safetensors.index.json', Buffer.from('{"weight_map":{"a":"../../x.safetensors"}}'));
  await rejects(
    () => fetch(),
    /index\.json: tensor "a" is in "\.\.\/\.\.\/x\.safetensors"; expected a plain/,
    CheckpointError,
  );
});

test('files with hostile names are not asked for', async ({ cache, hub, fetch }) => {
  hub.files.set('../../evil.gguf', WEIGHTS);
  hub.files.set('/etc/evil.gguf', WEIGHTS);
  await fetch();
  assert.equal(await readdir(cache), ['models--org--model']);
  await rejects(() => fetch(`${ID}:evil`), /no GGUF file evil \(there are: none\)/, CheckpointError);
});

test('progress tells the bytes of the weights, those of an earlier attempt too', async ({ fetch }) => {
  const seen: LoadProgress[] = [];
  await fetch(ID, { onProgress: (progress) => seen.push(progress) });
  assert.equal(seen.at(-1), { stage: 'download', loaded: WEIGHTS.length, total: WEIGHTS.length });
  assert.ok(seen.every(({ loaded }, i) => i === 0 || loaded >= seen[i - 1].loaded));
});

test('a dropped connection is continued where it broke', async ({ hub, fetch, pauses }) => {
  let drops = 0;
  hub.fault = (request, response, content) => {
    if (request.url !== STORE || content === undefined || ++drops > 2 || request.headers.range) return false;
    response.setHeader('content-length', content.length);
    response.write(content.subarray(0, 100_000), () => response.destroy());
    return true;
  };
  const path = await fetch();
  assert.equal(new Uint8Array(await readFile(join(path, 'model.safetensors'))), WEIGHTS);
  assert.equal(
    hub.requests.filter((line) => line.startsWith('store')),
    ['store GET /model.safetensors', 'store GET /model.safetensors bytes=100000-'],
  );
  assert.equal(pauses, [500]);
});

test('a partial file of an earlier run is continued', async ({ cache, hub, fetch }) => {
  const blobs = join(folderIn(cache), 'blobs');
  await mkdir(blobs, { recursive: true });
  await writeFile(join(blobs, `${sha256(WEIGHTS)}.incomplete`), WEIGHTS.subarray(0, 250_000));
  const path = await fetch();
  assert.ok(hub.requests.includes('store GET /model.safetensors bytes=250000-'));
  assert.equal(new Uint8Array(await readFile(join(path, 'model.safetensors'))), WEIGHTS);
});

test('a partial file of other content, or longer than the whole, is begun anew', async ({ cache, hub, fetch }) => {
  const partial = join(folderIn(cache), 'blobs', `${sha256(WEIGHTS)}.incomplete`);
  await mkdir(join(folderIn(cache), 'blobs'), { recursive: true });
  for (const stale of [new Uint8Array(1000).fill(9), new Uint8Array(WEIGHTS.length + 1)]) {
    await writeFile(partial, stale);
    const path = await fetch();
    assert.equal(new Uint8Array(await readFile(join(path, 'model.safetensors'))), WEIGHTS);
    assert.is(hub.requests.at(-1), 'store GET /model.safetensors');
    await rm(folderIn(cache), { recursive: true });
    await mkdir(join(folderIn(cache), 'blobs'), { recursive: true });
  }
});

test('a server that cannot continue sends the whole again', async ({ hub, fetch }) => {
  let answers = 0;
  hub.fault = (request, response, content) => {
    if (request.url !== STORE || content === undefined) return false;
    response.setHeader('content-length', content.length);
    if (++answers === 1) response.write(content.subarray(0, 5000), () => response.destroy());
    else response.end(content);
    return true;
  };
  assert.equal(new Uint8Array(await readFile(join(await fetch(), 'model.safetensors'))), WEIGHTS);
  assert.is(answers, 2);
});

test('content that is not what its hash says never enters the cache', async ({ cache, hub, fetch }) => {
  hub.hashes.set('model.safetensors', 'a'.repeat(64));
  await rejects(() => fetch(), /^model\.safetensors: sha256 is [0-9a-f]{64}; expected a{64}$/, CheckpointError);
  assert.is(hub.requests.filter((line) => line.startsWith('store')).length, 2, 'one more attempt from the start');
  assert.not((await readdir(join(folderIn(cache), 'blobs'))).some((name) => name.startsWith('aaa')));
  hub.hashes.set('config.json', 'b'.repeat(40));
  await rm(folderIn(cache), { recursive: true });
  await rejects(() => fetch(), /^config\.json: git's sha1 is [0-9a-f]{40}; expected b{40}$/, CheckpointError);
});

test('more or fewer bytes than announced are an error', async ({ hub, fetch }) => {
  const answer = (length: number) => {
    hub.fault = (request, response) => {
      if (request.url !== STORE) return false;
      response.end(new Uint8Array(length));
      return true;
    };
  };
  answer(WEIGHTS.length + 1);
  await rejects(() => fetch(), /^model\.safetensors: more than the 300000 bytes that it has$/, CheckpointError);
  answer(10);
  await rejects(() => fetch(), /^model\.safetensors: .*10 bytes|expected 300000|another range/, CheckpointError);
});

test('a file that changes on the hub while it is fetched is fetched as it is then', async ({ hub, fetch }) => {
  const changed = WEIGHTS.slice().reverse();
  hub.fault = (request) => {
    if (request.method === 'GET' && request.url?.includes('/resolve/') && request.url.endsWith('model.safetensors')) {
      hub.files.set('model.safetensors', changed);
    }
    return false;
  };
  const path = await fetch();
  assert.is(await readlink(join(path, 'model.safetensors')), `../../blobs/${sha256(changed)}`);
  assert.equal(new Uint8Array(await readFile(join(path, 'model.safetensors'))), changed);
});

test('a hub that is asked too often is asked again when it says', async ({ hub, fetch, pauses }) => {
  let refusals = 2;
  hub.fault = (_, response) => {
    if (refusals === 0) return false;
    response.writeHead(--refusals === 1 ? 429 : 503, { 'retry-after': '7' }).end();
    return true;
  };
  await fetch();
  assert.equal(pauses, [7000, 7000]);
});

test('after five attempts it is given up', async ({ hub, fetch, pauses }) => {
  hub.fault = (_, response) => {
    response.writeHead(500).end();
    return true;
  };
  await rejects(() => fetch(), /^org\/model@main: 127\.0\.0\.1:\d+ answers 500$/, CheckpointError);
  assert.equal(pauses, [500, 1000, 2000, 4000]);
});

for (const [status, code, message] of [
  [401, undefined, /^org\/model@main: .* answers 401; it is private, or there is none \(a token goes in HF_TOKEN\)$/],
  [401, 'GatedRepo', /refuses access \(401\); it may ask for consent to a licence first$/],
  [403, undefined, /refuses access \(403\)/],
  [404, 'RepoNotFound', /^org\/model@main: neither a folder here nor a model on .* \(404\)$/],
  [404, 'RevisionNotFound', /there is no such revision on/],
] as const) {
  test(`${status} ${code ?? ''} is told in one line, at once`, async ({ hub, fetch, pauses }) => {
    hub.fault = (_, response) => {
      response.writeHead(status, code ? { 'x-error-code': code } : {}).end('<html>');
      return true;
    };
    await rejects(() => fetch(), message, CheckpointError);
    assert.equal(pauses, []);
  });
}

test('answers that make no sense are refused', async ({ hub, fetch }) => {
  const wrong: [RegExp, RegExp, Record<string, string>, string][] = [
    [/^\/api/, /not what a hub answers about a model/, {}, '<html>'],
    [/^\/api/, /not what a hub answers about a model/, {}, '{"sha":"../../..","siblings":[]}'],
    [/config\.json$/, /^config\.json: the hub gives no ETag/, {}, ''],
    [/config\.json$/, /^config\.json: the hub gives no ETag/, { etag: '"../../x"' }, ''],
    [/config\.json$/, /gives "-5" as its size/, { etag: '"a"', 'x-linked-size': '-5' }, ''],
  ];
  for (const [path, message, headers, body] of wrong) {
    hub.fault = (request, response) => {
      if (!path.test(request.url ?? '')) return false;
      response.writeHead(200, headers).end(body);
      return true;
    };
    await rejects(() => fetch(), message, CheckpointError);
  }
  hub.fault = (request, response) => {
    response.writeHead(302, { location: request.url ?? '/' }).end();
    return true;
  };
  await rejects(() => fetch(), /more than 5 redirects/, CheckpointError);
  hub.fault = (_, response) => {
    response.writeHead(302, { location: 'file:///etc/passwd' }).end();
    return true;
  };
  await rejects(() => fetch(), /redirects to file: addresses/, CheckpointError);
});

test('a renamed model is found under its new name', async ({ hub, fetch }) => {
  hub.fault = (request, response) => {
    if (!request.url?.includes('old')) return false;
    response.writeHead(307, { location: request.url.replace('org/old', ID) }).end();
    return true;
  };
  assert.ok((await readdir(await fetch('org/old'))).includes('model.safetensors'));
});

test('offline, or without the hub, the cache serves', async ({ hub, fetch }) => {
  await rejects(
    () => fetch(ID, {}, { HF_HUB_OFFLINE: '1' }),
    /not in the cache .* and HF_HUB_OFFLINE is set$/,
    CheckpointError,
  );
  const path = await fetch();
  hub.requests.length = 0;
  assert.is(await fetch(ID, {}, { HF_HUB_OFFLINE: 'yes' }), path);
  assert.is(await fetch(`${ID}@${hub.commit}`, {}, { HF_HUB_OFFLINE: 'ON' }), path);
  assert.equal(hub.requests, []);
  assert.is(await fetch(ID, {}, { HF_ENDPOINT: 'http://127.0.0.1:1' }), path);
});

test('without the hub and without a cache it says so', async ({ fetch }) => {
  await rejects(
    () => fetch(ID, {}, { HF_ENDPOINT: 'http://127.0.0.1:1' }),
    /^org\/model@main: 127\.0\.0\.1:1 cannot be reached \(.+\)$/,
    CheckpointError,
  );
});

test('a GGUF file is named after a colon, whole or in part; split files come whole', async ({ hub, fetch }) => {
  const parts = ['big-00001-of-00002.gguf', 'big-00002-of-00002.gguf'];
  for (const name of ['m-Q4_K_M.gguf', 'sub/m-Q8_0.gguf', ...parts]) hub.files.set(name, Buffer.from(name));
  assert.match(await fetch(`${ID}:m-Q4_K_M.gguf`), /m-Q4_K_M\.gguf$/);
  assert.match(await fetch(`${ID}:q8_0`), /sub\/m-Q8_0\.gguf$/);
  const first = await fetch(`${ID}@main:big`);
  assert.match(first, /big-00001-of-00002\.gguf$/);
  await access(first.replace('00001', '00002'));
  await rejects(
    () => fetch(`${ID}:m-`),
    /several GGUF files; add :FILE to the name \(there are: m-Q4_K_M\.gguf, sub/,
    CheckpointError,
  );
  await rejects(() => fetch(`${ID}:q2_k`), /no GGUF file q2_k \(there are: m-Q4_K_M/, CheckpointError);
  hub.files.delete('model.safetensors');
  await rejects(() => fetch(), /several GGUF files/, CheckpointError);
});

test('a model without weights is refused', async ({ hub, fetch }) => {
  hub.files.delete('model.safetensors');
  await rejects(
    () => fetch(),
    /^org\/model: no model\.safetensors, no .*index\.json and no GGUF file there$/,
    CheckpointError,
  );
});

test('several at a time bring the same model', async ({ fetch }) => {
  const ended = await Promise.allSettled([fetch(), fetch(), fetch()]);
  for (const end of ended) {
    assert.is(end.status, 'fulfilled', (end as PromiseRejectedResult).reason);
    const { value: path } = end as PromiseFulfilledResult<string>;
    assert.equal(new Uint8Array(await readFile(join(path, 'model.safetensors'))), WEIGHTS);
  }
});

test('a cache that cannot be written is told of', async ({ cache, fetch }) => {
  await writeFile(folderIn(cache), 'a file where a folder belongs');
  await rejects(() => fetch(), /models--org--model.*: cannot \w+ in the cache \((EEXIST|ENOTDIR)\)$/, CheckpointError);
});

test('a signal ends it and leaves what came', async ({ cache, hub, fetch }) => {
  const controller = new AbortController();
  hub.fault = (request, response, content) => {
    if (request.url !== STORE || content === undefined || request.headers.range) return false;
    response.setHeader('content-length', content.length);
    response.write(content.subarray(0, 50_000));
    return true;
  };
  const reason = new RangeError('enough');
  const onProgress = () => controller.abort(reason);
  await rejects(() => fetch(ID, { signal: controller.signal, onProgress }), /^enough$/, RangeError);
  assert.ok((await readdir(join(folderIn(cache), 'blobs'))).includes(`${sha256(WEIGHTS)}.incomplete`));
  await fetch();
  assert.match(hub.requests.at(-1) ?? '', /^store GET \/model\.safetensors bytes=\d+-$/);
});

test('the command line takes a name on the hub', async ({ cache }) => {
  const folder = embeddedModelPath();
  const names = ['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json'];
  const hub = await fakeHub(
    'org/tiny',
    Object.fromEntries(names.map((name) => [name, readFileSync(join(folder, name))])),
  );
  try {
    const cli = fileURLToPath(new URL('../../server/cli.ts', import.meta.url));
    const env = { ...process.env, HF_ENDPOINT: hub.endpoint, HF_HUB_CACHE: cache };
    const run = promisify(execFile);
    const { stdout } = await run(process.execPath, ['--import', 'tsx', cli, 'inspect', '--json', 'org/tiny@main'], {
      env,
    });
    assert.is(JSON.parse(stdout).architecture, 'qwen3');
    await run(process.execPath, ['--import', 'tsx', cli, 'inspect', 'org/other'], { env }).then(
      () => assert.unreachable(),
      ({ code, stderr }) => {
        assert.is(code, 1);
        assert.match(stderr, /^quern: org\/other@main: neither a folder here nor a model on [^\n]*\n$/);
      },
    );
  } finally {
    await hub.close();
  }
});

test('names of models', () => {
  assert.equal(parseRepository('org/name'), { id: 'org/name', revision: 'main', file: undefined });
  assert.equal(parseRepository('org/name@v1:a/b.gguf'), { id: 'org/name', revision: 'v1', file: 'a/b.gguf' });
  assert.is(parseRepository('org/name@refs/pr/1')?.revision, 'refs/pr/1');
  for (const name of [
    'name',
    './name',
    '../name',
    '/a/b',
    'a/b/c',
    'org/..',
    'org/name@../x',
    'org/name:../x',
    'a\\b/c',
    '',
  ]) {
    assert.is(parseRepository(name), undefined, name);
  }
});

test('the environment names cache, hub and token', async ({ cache }) => {
  const { HOME: home = '' } = process.env;
  assert.is(hubSettings({}).endpoint, 'https://huggingface.co');
  assert.is(hubSettings({ HF_ENDPOINT: 'https://x.example/' }).endpoint, 'https://x.example');
  assert.is(hubSettings({ HF_HOME: '/h' }).cache, '/h/hub');
  assert.is(hubSettings({ HF_HOME: '/h', HF_HUB_CACHE: '~/c' }).cache, join(home, 'c'));
  assert.is(hubSettings({ XDG_CACHE_HOME: '/x' }).cache, '/x/huggingface/hub');
  await writeFile(join(cache, 'token'), 'abc\n');
  assert.is(hubSettings({ HF_HOME: cache }).token, 'abc');
  assert.is(hubSettings({ HF_HOME: cache, HF_TOKEN: 'def' }).token, 'def');
  assert.is(hubSettings({ HF_HUB_OFFLINE: '0' }).offline, false);
});

test.run();
