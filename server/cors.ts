/** Which web pages may use the server, by what browsers ask of it. Source: WHATWG Fetch, section 3.2. */

import type { IncomingMessage, ServerResponse } from 'node:http';

export interface CorsOptions {
  /** Origins such as `https://example.com`, or `*`: any. Default any. None: no page but the server's own. */
  readonly allowedOrigins?: readonly string[];
  /** Default any. */
  readonly allowedMethods?: readonly string[];
  /** Headers that requests may have. Default any. */
  readonly allowedHeaders?: readonly string[];
}

const ANY = ['*'];
const PREFLIGHT_SECONDS = '600';
/** Headers of an answer that a page may read. */
const EXPOSED = 'x-request-id, retry-after';

export class Cors {
  readonly #options: Required<CorsOptions>;

  constructor({ allowedOrigins = ANY, allowedMethods = ANY, allowedHeaders = ANY }: CorsOptions) {
    this.#options = { allowedOrigins, allowedMethods, allowedHeaders };
  }

  /**
   * Lets the page that a request comes from see the answer, if it may. Cookies are never asked for, so `*` lets nobody in
   * who has no key.
   * @returns whether the request only asks if another one would be allowed; its headers are set then
   */
  apply({ method, headers }: IncomingMessage, response: ServerResponse): boolean {
    const { allowedOrigins, allowedMethods, allowedHeaders } = this.#options;
    const { origin, 'access-control-request-method': wanted } = headers;
    if (origin === undefined) return false;
    const isAny = allowedOrigins.includes('*');
    if (!isAny) response.setHeader('vary', 'origin');
    if (!isAny && !allowedOrigins.includes(origin)) return false;
    response.setHeader('access-control-allow-origin', isAny ? '*' : origin);
    response.setHeader('access-control-expose-headers', EXPOSED);
    if (method !== 'OPTIONS' || wanted === undefined) return false;
    // A star would leave out `authorization`, so what is asked for is named.
    const asked = headers['access-control-request-headers'] ?? '';
    response.setHeader(
      'access-control-allow-methods',
      allowedMethods.includes('*') ? wanted : allowedMethods.join(', '),
    );
    response.setHeader(
      'access-control-allow-headers',
      allowedHeaders.includes('*') ? asked : allowedHeaders.join(', '),
    );
    response.setHeader('access-control-max-age', PREFLIGHT_SECONDS);
    return true;
  }
}
