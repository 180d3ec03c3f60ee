/** A server that answers as the Hugging Face hub does, and a second one for large files; both can be made to fail. */

import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface FakeHub {
  /** What HF_ENDPOINT is to be. */
  readonly endpoint: string;
  readonly commit: string;
  /** By path in the repository. */
  readonly files: Map<string, Uint8Array>;
  /** One line for each request: `GET /path bytes=5-`, with the host's name before it where it is the second one. */
  readonly requests: string[];
  /** The Authorization header of each request, by the same lines. */
  readonly tokens: Map<string, string | undefined>;
  /** Called before every answer; true: it has answered. */
  fault: (request: IncomingMessage, response: ServerResponse, content: Uint8Array | undefined) => boolean;
  /** What the hub says a file's hash is, when that is not so. */
  readonly hashes: Map<string, string>;
  close(): Promise<void>;
}

const COMMIT = 'c0ffee'.padEnd(40, '0');

/** Files of more than 100 bytes are large: the hub redirects to the second server for them. */
const LARGE = 100;

export async function fakeHub(id: string, contents: Record<string, Uint8Array | string>): Promise<FakeHub> {
  const toBytes = (content: Uint8Array | string) => (typeof content === 'string' ? Buffer.from(content) : content);
  const files = new Map(Object.entries(contents).map(([name, content]) => [name, toBytes(content)]));
  const store = createServer((request, response) => {
    note(request, 'store ');
    const content = files.get(decodeURIComponent((request.url ?? '').slice(1)));
    if (hub.fault(request, response, content)) return;
    if (content === undefined) response.writeHead(404).end();
    else sendRange(request, response, content);
  });
  const main = createServer((request, response) => {
    note(request, '');
    const path = decodeURIComponent(request.url ?? '');
    const file = path.startsWith(`/${id}/resolve/`) ? path.split('/').slice(5).join('/') : undefined;
    const content = file === undefined ? undefined : files.get(file);
    if (hub.fault(request, response, content)) return;
    if (path === `/api/models/${id}/revision/main` || path === `/api/models/${id}/revision/${COMMIT}`) {
      const siblings = [...files.keys()].map((rfilename) => ({ rfilename }));
      response.end(JSON.stringify({ id, sha: COMMIT, siblings }));
    } else if (path.startsWith('/api/models/')) {
      response.writeHead(404, { 'x-error-code': path.includes(id) ? 'RevisionNotFound' : 'RepoNotFound' }).end();
    } else if (file === undefined || content === undefined) {
      response.writeHead(404, { 'x-error-code': 'EntryNotFound' }).end();
    } else if (content.length > LARGE) {
      response.writeHead(302, {
        location: `${addressOf(store)}/${encodeURIComponent(file)}`,
        'x-linked-etag': `"${hub.hashes.get(file) ?? sha256(content)}"`,
        'x-linked-size': content.length,
        'x-repo-commit': COMMIT,
      });
      response.end();
    } else {
      response.setHeader('etag', `"${hub.hashes.get(file) ?? gitHash(content)}"`);
      sendRange(request, response, content);
    }
  });
  const note = (request: IncomingMessage, host: string) => {
    const line = `${host}${request.method} ${request.url}${request.headers.range ? ` ${request.headers.range}` : ''}`;
    hub.requests.push(line);
    hub.tokens.set(line, request.headers.authorization);
  };
  await Promise.all([main, store].map((server) => new Promise<void>((done) => server.listen(0, '127.0.0.1', done))));
  const hub: FakeHub = {
    endpoint: addressOf(main),
    commit: COMMIT,
    files,
    requests: [],
    tokens: new Map(),
    fault: () => false,
    hashes: new Map(),
    close: async () => {
      for (const server of [main, store]) {
        server.closeAllConnections();
        await new Promise((done) => server.close(done));
      }
    },
  };
  return hub;
}

export function sha256(content: Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}

function gitHash(content: Uint8Array): string {
  return createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex');
}

function addressOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function sendRange(request: IncomingMessage, response: ServerResponse, content: Uint8Array): void {
  const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
  if (from >= content.length && from > 0) {
    response.writeHead(416).end();
    return;
  }
  response.setHeader('content-length', content.length - from);
  if (request.headers.range) {
    response.setHeader('content-range', `bytes ${from}-${content.length - 1}/${content.length}`);
    response.statusCode = 206;
  }
  response.end(request.method === 'HEAD' ? undefined : content.subarray(from));
}
