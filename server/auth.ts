/** Bearer keys, compared in a time that tells nothing about them. */

import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { HttpError } from './errors.ts';

export class KeyRing {
  readonly #digests: readonly Buffer[];

  /** @param keys none: everybody is let in */
  constructor(keys: readonly string[]) {
    this.#digests = keys.map(digestOf);
  }

  /** @throws HttpError 401 */
  check({ headers }: IncomingMessage): void {
    if (this.#digests.length === 0) return;
    const [, given = ''] = /^bearer +(.*)$/i.exec(headers.authorization ?? '') ?? [];
    const digest = digestOf(given);
    let matches = 0;
    for (const known of this.#digests) matches += timingSafeEqual(known, digest) ? 1 : 0;
    if (matches > 0) return;
    throw new HttpError(401, 'Unauthorized: missing or wrong API key', {
      type: 'invalid_request_error',
      code: 'invalid_api_key',
      headers: { 'www-authenticate': 'Bearer' },
    });
  }
}

function digestOf(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}
