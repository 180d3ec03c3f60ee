/** The server with its socket: `node:http`, hardened, and a shutdown that lets answers end. */

import { createServer, type IncomingMessage, type Server, type ServerResponse, STATUS_CODES } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { Api, type HandlerOptions } from './api.ts';
import { HttpError } from './errors.ts';
import { isLoopback } from './loopback.ts';
import type { ServerEngine } from './routes.ts';

export interface ServeOptions extends HandlerOptions {
  /** Address to listen on. Default 127.0.0.1: this machine only. */
  readonly host?: string;
  /** Default 8000; 0: any free one. */
  readonly port?: number;
}

export interface RunningServer {
  /** `http://HOST:PORT`. */
  readonly url: string;
  /** Stops listening, lets requests under way end, and cuts short what is left after `limitMs` (default 30,000). */
  close(limitMs?: number): Promise<void>;
}

/** How long answers that were cut short may take to reach their clients. */
const LAST_WORDS_MS = 1000;

/** The handler of the API for a `node:http` server of one's own. */
export function createHandler(
  engine: ServerEngine,
  options: HandlerOptions = {},
): (request: IncomingMessage, response: ServerResponse) => void {
  const api = new Api(engine, options);
  return (request, response) => void api.handle(request, response);
}

/**
 * Serves an engine; it stays the caller's to close.
 * @throws the socket's error, such as EADDRINUSE
 */
export async function serve(engine: ServerEngine, options: ServeOptions = {}): Promise<RunningServer> {
  const { host = '127.0.0.1', port = 8000, ...handlerOptions } = options;
  const shownHost = host.includes(':') ? `[${host}]` : host;
  const api = new Api(engine, { loopbackOnly: isLoopback(shownHost), ...handlerOptions });
  const server = hardenedServer(api);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });

  let closed: Promise<void> | undefined;
  return {
    url: `http://${shownHost}:${(server.address() as AddressInfo).port}`,
    close: (limitMs = 30_000) => (closed ??= shutDown(server, api, limitMs)),
  };
}

function hardenedServer(api: Api): Server {
  const server = createServer({
    maxHeaderSize: 16_384,
    headersTimeout: 10_000,
    requestTimeout: 60_000,
    keepAliveTimeout: 5_000,
    connectionsCheckingInterval: 2_000,
    requireHostHeader: true,
    noDelay: true,
  });
  server.maxRequestsPerSocket = 1000;
  server.maxConnections = 1024;
  server.maxHeadersCount = 200;
  server.on('request', (request, response) => void api.handle(request, response));
  server.on('checkContinue', (request, response) => {
    void api.handle(request, response, () => response.writeContinue());
  });
  server.on('checkExpectation', (_request, response) =>
    refuse(response.socket, new HttpError(417, 'Expectation not met')),
  );
  server.on('connect', (_request, socket) => socket.destroy());
  server.on('upgrade', (_request, socket) => socket.destroy());
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    if (error.code === 'ECONNRESET' || !socket.writable) socket.destroy();
    else refuse(socket, parserError(error));
  });
  return server;
}

function parserError({ code }: NodeJS.ErrnoException): HttpError {
  if (code === 'HPE_HEADER_OVERFLOW') return new HttpError(431, 'The headers are too large');
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return new HttpError(408, 'The request took too long to arrive');
  return new HttpError(400, 'The request is not HTTP');
}

/** Answers on the bare socket, where there is no response object to do it. */
function refuse(socket: Socket | null, error: HttpError): void {
  const body = JSON.stringify(error.body);
  socket?.end(
    `HTTP/1.1 ${error.status} ${STATUS_CODES[error.status]}\r\ncontent-type: application/json; charset=utf-8\r\n` +
      `content-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`,
  );
}

async function shutDown(server: Server, api: Api, limitMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  await api.drain(limitMs);
  server.closeIdleConnections();
  // What is left has been answered; a client that does not take it must not keep the server.
  const timer = setTimeout(() => server.closeAllConnections(), LAST_WORDS_MS);
  await closed;
  clearTimeout(timer);
}
