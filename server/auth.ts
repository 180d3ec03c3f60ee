/** Who may come in: bearer keys, compared in a time that tells nothing about them, or the embedder's own rule. */

import { createHash, timingSafeEqual } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { HttpError } from './errors.ts';

/** Who sent a request. */
export interface User {
  /** What the log calls them. */
  readonly name?: string;
  /** Whatever else the embedder wants to know of them. */
  readonly [member: string]: unknown;
}

/** Says who sent a request; null: somebody who may not come in. What it throws is a failure of the server. */
export type Authenticate = (request: IncomingMessage) => User | null | Promise<User | null>;

/** A key, and whose it is. */
export interface ApiKey {
  readonly key: string;
  readonly name?: string;
}

/** Lets in who has one of the keys; with none, everybody. */
export function keyRing(keys: readonly (string | ApiKey)[]): Authenticate {
  const known = keys.map((entry) => {
    const { key, name } = typeof entry === 'string' ? { key: entry } : entry;
    return { digest: digestOf(key), user: name === undefined ? {} : { name } };
  });
  return ({ headers }) => {
    if (known.length === 0) return {};
    const [, given = ''] = /^bearer +(.*)$/i.exec(headers.authorization ?? '') ?? [];
    const digest = digestOf(given);
    // Every key is looked at, whichever it is that fits.
    let found: User | null = null;
    for (const { digest: other, user } of known) if (timingSafeEqual(other, digest)) found = user;
    return found;
  };
}

export function unauthorized(): HttpError {
  return new HttpError(401, 'Unauthorized: missing or wrong API key', {
    type: 'invalid_request_error',
    code: 'invalid_api_key',
    headers: { 'www-authenticate': 'Bearer' },
  });
}

function digestOf(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}
