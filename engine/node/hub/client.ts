/**
 * Requests to the hub: the token goes to the hub alone, redirects are followed by hand, and what passes (429, 5xx, a lost
 * connection) is tried again. Node only.
 */

import { setTimeout } from 'node:timers/promises';
import { CheckpointError } from '../../errors.ts';
import { isRelativePath, type Repository } from './repository.ts';
import type { HubSettings } from './settings.ts';

const ATTEMPTS = 5;
const MAX_REDIRECTS = 5;
const FIRST_PAUSE_MS = 500;
const MAX_PAUSE_MS = 60_000;
/** A connection that brings nothing for so long is lost. */
export const STALL_MS = 60_000;
const MAX_INFO_BYTES = 32 * 2 ** 20;

/** A failure that may pass. */
export class PassingError extends Error {
  override readonly name = 'PassingError';
  /** How long the server asks to be left alone. */
  readonly retryAfterMs: number | undefined;

  constructor(message: string, retryAfterMs?: number) {
    super(message);
    this.retryAfterMs = retryAfterMs;
  }
}

export interface RepositoryInfo {
  /** The commit that the revision stands for. */
  readonly commit: string;
  /** Paths of its files. */
  readonly files: readonly string[];
}

/** What the hub says of a file before it is fetched. */
export interface FileInfo {
  /** Names the content: its SHA-256 (large files) or Git's SHA-1 of it, where the server is the hub. */
  readonly etag: string;
  readonly size: number | undefined;
}

export class HubClient {
  readonly #settings: HubSettings;
  readonly #signal: AbortSignal | undefined;
  readonly #pause: (milliseconds: number) => Promise<void>;

  /** @param pause  waits before another attempt; a test may be in a hurry */
  constructor(settings: HubSettings, signal?: AbortSignal, pause = (ms: number) => sleep(ms, signal)) {
    this.#settings = settings;
    this.#signal = signal;
    this.#pause = pause;
  }

  /** @throws CheckpointError, PassingError when the hub cannot be reached, the signal's reason */
  repositoryInfo({ id, revision }: Repository, attempts = ATTEMPTS): Promise<RepositoryInfo> {
    const url = `${this.#settings.endpoint}/api/models/${id}/revision/${encodeURIComponent(revision)}`;
    return this.retried(async () => {
      const response = await this.#request(url, {}, `${id}@${revision}`);
      const text = await response.text();
      const info = text.length <= MAX_INFO_BYTES ? parseInfo(text) : undefined;
      if (info === undefined) throw new CheckpointError(`${url}: not what a hub answers about a model`);
      return info;
    }, attempts);
  }

  /** @throws CheckpointError, PassingError, the signal's reason */
  fileInfo(repository: Repository, commit: string, file: string): Promise<FileInfo> {
    return this.retried(async () => {
      const response = await this.#request(this.#address(repository, commit, file), { method: 'HEAD' }, file, true);
      return readFileInfo(response, file);
    });
  }

  /**
   * The content of a file from byte `from` on, and what the hub says of it.
   * @throws CheckpointError, PassingError, the signal's reason
   */
  async content(
    repository: Repository,
    commit: string,
    file: string,
    from: number,
    signal?: AbortSignal,
  ): Promise<{ info: FileInfo; response: Response }> {
    const headers: Record<string, string> = from > 0 ? { range: `bytes=${from}-` } : {};
    const first = await this.#request(this.#address(repository, commit, file), { headers, signal }, file, true);
    const info = readFileInfo(first, file);
    const location = first.headers.get('location');
    if (location === null) return { info, response: first };
    await first.body?.cancel();
    const response = await this.#request(new URL(location, first.url).href, { headers, signal }, file);
    return { info, response };
  }

  /** Calls `attempt` until it succeeds, fails for good, or has failed too often. */
  async retried<T>(attempt: () => Promise<T>, attempts = ATTEMPTS): Promise<T> {
    for (let failures = 0; ; ) {
      try {
        return await attempt();
      } catch (error) {
        this.#signal?.throwIfAborted();
        if (!(error instanceof PassingError) || ++failures >= attempts) throw error;
        await this.#pause(Math.min(MAX_PAUSE_MS, error.retryAfterMs ?? FIRST_PAUSE_MS * 2 ** (failures - 1)));
      }
    }
  }

  #address({ id }: Repository, commit: string, file: string): string {
    const path = file.split('/').map(encodeURIComponent).join('/');
    return `${this.#settings.endpoint}/${id}/resolve/${commit}/${path}`;
  }

  /**
   * Asks, and follows redirects. With `stopAtOtherHost` only those on the hub itself, which lead from a renamed repository to
   * its new name; one that leads elsewhere, to the file's content, is the answer.
   */
  async #request(address: string, init: RequestInit, what: string, stopAtOtherHost = false): Promise<Response> {
    let url = new URL(address);
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
      const response = await this.#ask(url, init, what);
      const location = response.headers.get('location');
      if (response.status < 300 || response.status >= 400 || location === null) return checked(response, what);
      const next = new URL(location, url);
      if (next.protocol !== 'https:' && next.protocol !== url.protocol) {
        throw new CheckpointError(`${what}: the server redirects to ${next.protocol} addresses`);
      }
      if (stopAtOtherHost && (next.origin !== url.origin || response.headers.has('x-linked-etag'))) return response;
      await response.body?.cancel();
      url = next;
    }
    throw new CheckpointError(`${what}: more than ${MAX_REDIRECTS} redirects`);
  }

  async #ask(url: URL, init: RequestInit, what: string): Promise<Response> {
    const { endpoint, token } = this.#settings;
    const headers = new Headers(init.headers);
    // A compressed answer has another length and cannot be resumed.
    headers.set('accept-encoding', 'identity');
    headers.set('user-agent', 'quern');
    if (token !== undefined && url.origin === new URL(endpoint).origin) headers.set('authorization', `Bearer ${token}`);
    const signals = [this.#signal, init.signal ?? AbortSignal.timeout(STALL_MS)].filter((one) => one != null);
    try {
      return await fetch(url, { ...init, headers, redirect: 'manual', signal: AbortSignal.any(signals) });
    } catch (error) {
      this.#signal?.throwIfAborted();
      throw new PassingError(`${what}: ${url.host} cannot be reached (${causeOf(error)})`);
    }
  }
}

/** @throws CheckpointError or PassingError for a status that is no success */
async function checked(response: Response, what: string): Promise<Response> {
  if (response.ok) return response;
  await response.body?.cancel();
  const { status, headers } = response;
  const { host } = new URL(response.url);
  const code = headers.get('x-error-code');
  if (status === 429) throw new PassingError(`${what}: ${host} is asked too often (429)`, retryAfter(headers));
  if (status >= 500) throw new PassingError(`${what}: ${host} answers ${status}`, retryAfter(headers));
  if (status === 408) throw new PassingError(`${what}: ${host} answers 408`);
  if (status === 416) throw new PassingError(`${what}: ${host} has no such range (416)`);
  if (code === 'GatedRepo' || status === 403) {
    throw new CheckpointError(`${what}: ${host} refuses access (${status}); it may ask for consent to a licence first`);
  }
  if (code === 'RevisionNotFound') throw new CheckpointError(`${what}: there is no such revision on ${host}`);
  if (code === 'EntryNotFound') throw new CheckpointError(`${what}: there is no such file on ${host}`);
  if (status === 401) {
    throw new CheckpointError(
      `${what}: ${host} answers 401; it is private, or there is none (a token goes in HF_TOKEN)`,
    );
  }
  if (status === 404) throw new CheckpointError(`${what}: neither a folder here nor a model on ${host} (404)`);
  throw new CheckpointError(`${what}: ${host} answers ${status}`);
}

function readFileInfo({ headers }: Response, file: string): FileInfo {
  const etag = (headers.get('x-linked-etag') ?? headers.get('etag') ?? '').replace(/^W\//, '').replaceAll('"', '');
  // It becomes the name of a file.
  if (!/^[\w-]{1,128}$/.test(etag)) throw new CheckpointError(`${file}: the hub gives no ETag for it that can be used`);
  const written = headers.get('x-linked-size') ?? (headers.has('location') ? null : headers.get('content-length'));
  const size = written === null ? undefined : Number(written);
  if (size !== undefined && (!Number.isSafeInteger(size) || size < 0)) {
    throw new CheckpointError(`${file}: the hub gives ${JSON.stringify(written?.slice(0, 40))} as its size`);
  }
  return { etag, size };
}

function parseInfo(text: string): RepositoryInfo | undefined {
  let info: { sha?: unknown; siblings?: unknown };
  try {
    info = JSON.parse(text);
  } catch {
    return undefined;
  }
  const { sha, siblings } = info ?? {};
  if (typeof sha !== 'string' || !/^[0-9a-f]{40,64}$/.test(sha) || !Array.isArray(siblings)) return undefined;
  const files = siblings.map((entry: { rfilename?: unknown } | null) => entry?.rfilename);
  return { commit: sha, files: files.filter((file) => typeof file === 'string').filter(isRelativePath) };
}

/** Seconds or a date. */
function retryAfter(headers: Headers): number | undefined {
  const written = headers.get('retry-after');
  if (written === null) return undefined;
  const milliseconds = /^\d+$/.test(written) ? 1000 * Number(written) : Date.parse(written) - Date.now();
  return Number.isFinite(milliseconds) ? Math.max(0, milliseconds) : undefined;
}

/** The innermost reason: fetch hides it behind "fetch failed". */
export function causeOf(error: unknown): string {
  const cause = (error as { cause?: unknown }).cause ?? error;
  const { code, message } = cause as { code?: string; message?: string };
  return code ?? message ?? String(cause);
}

async function sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
  await setTimeout(milliseconds, undefined, { signal }).catch(() => signal?.throwIfAborted());
}
