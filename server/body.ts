/** Reading the body of a request: refused before it is read where the headers say enough, and never more than the limit. */

import type { IncomingMessage } from 'node:http';
import { HttpError } from './errors.ts';
import { parseJson } from './json.ts';

/** How long a client may go on sending after its body was refused. */
const REFUSED_BODY_MS = 300;

/**
 * @param willRead called once nothing in the headers speaks against the body
 * @throws HttpError 400, 413 or 415; ClientGone when the client leaves in the middle
 */
export async function readJsonBody(request: IncomingMessage, maxBytes: number, willRead: () => void): Promise<unknown> {
  checkHeaders(request, maxBytes);
  willRead();
  const bytes = await readBytes(request, maxBytes);
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new HttpError(400, 'Invalid JSON: the body is not UTF-8');
  }
  return parseJson(text);
}

/** The client closed its connection: there is nobody to answer. */
export class ClientGone extends Error {
  override readonly name = 'ClientGone';

  constructor() {
    super('the client closed the connection');
  }
}

function checkHeaders({ headers }: IncomingMessage, maxBytes: number): void {
  const mediaType = headers['content-type']?.split(';')[0].trim().toLowerCase();
  if (mediaType !== undefined && mediaType !== 'application/json') {
    const shown = JSON.stringify(mediaType.slice(0, 100));
    throw new HttpError(400, `Unsupported Media Type: ${shown}; expected application/json`);
  }
  const encoding = headers['content-encoding']?.trim().toLowerCase();
  if (encoding && encoding !== 'identity') throw new HttpError(415, 'A compressed body is not accepted');
  if (Number(headers['content-length'] ?? 0) > maxBytes) throw tooLarge(maxBytes);
}

function tooLarge(maxBytes: number): HttpError {
  return new HttpError(413, `The body is larger than ${maxBytes} bytes`);
}

function readBytes(request: IncomingMessage, maxBytes: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let size = 0;
    request.on('data', (chunk: Buffer) => {
      size += chunk.length;
      if (size > maxBytes) {
        request.pause();
        setTimeout(() => request.destroy(), REFUSED_BODY_MS).unref();
        reject(tooLarge(maxBytes));
      } else {
        chunks.push(chunk);
      }
    });
    request.on('end', () => resolve(Buffer.concat(chunks)));
    request.on('error', () => reject(new ClientGone()));
    request.on('close', () => reject(new ClientGone()));
  });
}
