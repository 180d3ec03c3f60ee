/** Model files over HTTP as a browser reads them, with a Cache Storage of the test's own. */

import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { PART_BYTES } from '../../engine/browser/file-parts.ts';
import { openGgufUrl, openUrl } from '../../engine/browser/url-source.ts';
import { rejects } from './rejects.ts';

interface Context {
  server: Server;
  folder: URL;
  requests: string[];
  files: Map<string, Uint8Array>;
  fault: (request: IncomingMessage, response: ServerResponse) => boolean;
}

const test = suite<Context>('model files over HTTP');

const WEIGHTS = Uint8Array.from({ length: PART_BYTES + 1000 }, (_, i) => (i * 13 + (i >> 8)) % 251);

/** As much of Cache Storage as is used. */
function fakeCaches() {
  const entries = new Map<string, Blob>();
  const cache = {
    match: async (key: string) => entries.has(key) && new Response(entries.get(key)),
    put: async (key: string, response: Response) => void entries.set(key, await response.blob()),
    keys: async () => [...entries.keys()].map((url) => ({ url })),
    delete: async ({ url }: { url: string }) => entries.delete(url),
  };
  return { open: async () => cache };
}

test.before.each(async (context) => {
  context.requests = [];
  context.fault = () => false;
  context.files = new Map<string, Uint8Array>([
    ['config.json', Buffer.from('{}')],
    ['model.safetensors', WEIGHTS],
  ]);
  context.server = createServer((request, response) => {
    const name = (request.url ?? '').slice(3);
    const { range } = request.headers;
    context.requests.push(`${request.method} ${name}${range ? ` ${range}` : ''}`);
    const content = context.files.get(name);
    if (context.fault(request, response)) return;
    if (content === undefined) {
      response.writeHead(404).end();
      return;
    }
    const [, from = 0, to = content.length - 1] = (/^bytes=(\d+)-(\d+)$/.exec(range ?? '') ?? []).map(Number);
    response.setHeader('accept-ranges', 'bytes');
    response.setHeader('etag', `"${content.length}"`);
    response.setHeader('content-length', to + 1 - from);
    if (range) response.setHeader('content-range', `bytes ${from}-${to}/${content.length}`);
    response.statusCode = range ? 206 : 200;
    response.end(request.method === 'HEAD' ? undefined : content.subarray(from, to + 1));
  });
  await new Promise<void>((done) => context.server.listen(0, '127.0.0.1', done));
  context.folder = new URL(`http://127.0.0.1:${(context.server.address() as AddressInfo).port}/m/`);
  Object.assign(globalThis, { caches: fakeCaches() });
});

test.after.each(async ({ server }) => {
  Object.assign(globalThis, { caches: undefined });
  server.closeAllConnections();
  await new Promise((done) => server.close(done));
});

async function readAt(folder: URL, offset: number, length: number): Promise<Uint8Array> {
  const source = await openUrl(folder, {});
  const bytes = new Uint8Array(length);
  await source.read('model.safetensors', offset, bytes);
  await source.close();
  return bytes;
}

const rangesOf = (requests: readonly string[]) => requests.filter((line) => line.includes('bytes='));

test('weights come part by part as they are read, and each part once', async ({ folder, requests }) => {
  assert.equal(await readAt(folder, 5, 100), WEIGHTS.slice(5, 105));
  assert.equal(rangesOf(requests), [`GET model.safetensors bytes=0-${PART_BYTES - 1}`]);
  requests.length = 0;
  const across = PART_BYTES - 10;
  assert.equal(await readAt(folder, across, 20), WEIGHTS.slice(across, across + 20));
  assert.equal(rangesOf(requests), [`GET model.safetensors bytes=${PART_BYTES}-${WEIGHTS.length - 1}`]);
});

test('without the server, the parts that are there serve', async (context) => {
  await readAt(context.folder, 0, 10);
  context.fault = (request) => {
    request.socket.destroy();
    return true;
  };
  const source = await openUrl(context.folder, {}).catch(() => undefined);
  // config.json is small and was never read, so nothing is known of it: only the weights are.
  assert.is(source, undefined);
  context.fault = () => false;
  const open = await openUrl(context.folder, {});
  context.fault = (request) => {
    request.socket.destroy();
    return true;
  };
  const bytes = new Uint8Array(10);
  await open.read('model.safetensors', 0, bytes);
  assert.equal(bytes, WEIGHTS.slice(0, 10));
});

test('parts of another version are forgotten', async ({ folder, files, requests }) => {
  await readAt(folder, 0, 10);
  files.set('model.safetensors', WEIGHTS.map((byte) => 255 - byte).subarray(1));
  requests.length = 0;
  assert.equal(
    await readAt(folder, 0, 3),
    WEIGHTS.slice(1, 4).map((byte) => 255 - byte),
  );
  assert.is(rangesOf(requests).length, 1);
});

test('a part that does not come at once is asked for again', async (context) => {
  let failures = 1;
  context.fault = (request, response) => {
    if (!request.headers.range || failures-- <= 0) return false;
    response.destroy();
    return true;
  };
  assert.equal(await readAt(context.folder, 0, 10), WEIGHTS.slice(0, 10));
  assert.is(rangesOf(context.requests).length, 2);
});

test('a server that promises ranges and does not give them is told of', async (context) => {
  context.fault = (request, response) => {
    if (!request.headers.range) return false;
    response.writeHead(200).end('all of it');
    return true;
  };
  await rejects(
    () => readAt(context.folder, 0, 10),
    /model\.safetensors: the server answers 200 to a request for a range/,
  );
});

test('without Cache Storage parts are fetched as they are read', async ({ folder, requests }) => {
  Object.assign(globalThis, { caches: undefined });
  assert.equal(await readAt(folder, PART_BYTES - 10, 20), WEIGHTS.slice(PART_BYTES - 10, PART_BYTES + 10));
  assert.is(rangesOf(requests).length, 2);
});

test('reading beyond the end is refused', async ({ folder }) => {
  await rejects(() => readAt(folder, WEIGHTS.length - 5, 10), /bytes; expected 10 more from byte/);
});

test('a GGUF file is opened by its own address, with its parts', async ({ folder, files }) => {
  for (const part of ['x-00001-of-00002.gguf', 'x-00002-of-00002.gguf']) files.set(part, Buffer.from(part));
  const source = await openGgufUrl(new URL('x-00001-of-00002.gguf', folder), {});
  assert.equal(source.files, ['x-00001-of-00002.gguf', 'x-00002-of-00002.gguf']);
  const bytes = new Uint8Array(7);
  await source.read('x-00002-of-00002.gguf', 0, bytes);
  assert.is(new TextDecoder().decode(bytes), 'x-00002');
  files.delete('x-00002-of-00002.gguf');
  await rejects(
    () => openGgufUrl(new URL('x-00001-of-00002.gguf', folder), {}),
    /x-00002-of-00002\.gguf: no such file/,
  );
});

test.run();
