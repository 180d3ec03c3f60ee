/**
 * Brings one file of a repository into the cache: what an earlier attempt left is continued, and the whole is held against
 * its hash before it counts. Node only.
 */

import { createHash } from 'node:crypto';
import { constants, createReadStream } from 'node:fs';
import { type FileHandle, open, rename, rm, stat } from 'node:fs/promises';
import { CheckpointError } from '../../errors.ts';
import { causeOf, type FileInfo, type HubClient, PassingError, STALL_MS } from './client.ts';
import type { Repository } from './repository.ts';

export interface Download {
  readonly repository: Repository;
  readonly commit: string;
  /** Its path in the repository. */
  readonly file: string;
  readonly info: FileInfo;
  /** Where the whole file is to be. */
  readonly blob: string;
  /** Told how many bytes of the file are there. */
  readonly onBytes: (bytes: number) => void;
  readonly signal: AbortSignal | undefined;
}

/** The hub has another content for the file than it had when it was asked first. */
export class ChangedError extends CheckpointError {}

/** @throws ChangedError, CheckpointError, PassingError, the signal's reason */
export async function download(client: HubClient, job: Download): Promise<void> {
  const partial = `${job.blob}.incomplete`;
  let restarts = 0;
  await client.retried(async () => {
    try {
      await complete(client, job, partial);
    } catch (error) {
      // Bytes that are there but wrong are of no use to the next attempt; one more from the start may do.
      if (!(error instanceof WrongBytes)) throw error;
      await rm(partial, { force: true });
      throw ++restarts === 1 ? new PassingError(error.message) : new CheckpointError(error.message);
    }
  });
  await rename(partial, job.blob);
}

class WrongBytes extends Error {
  override readonly name = 'WrongBytes';
}

/** Leaves the whole file at `partial`, checked. */
async function complete(client: HubClient, job: Download, partial: string): Promise<void> {
  const { file, info } = job;
  let have = await sizeOf(partial);
  if (info.size !== undefined && have > info.size) {
    await rm(partial, { force: true });
    have = 0;
  }
  if (have !== info.size) have = await fetchRest(client, job, partial, have);
  if (info.size !== undefined && have !== info.size) {
    const message = `${file}: ${have} bytes came; expected ${info.size}`;
    throw have < info.size ? new PassingError(message) : new WrongBytes(message);
  }
  await checkHash(partial, have, job);
}

/** Appends what is missing; gives the size that the file has then. */
async function fetchRest(client: HubClient, job: Download, partial: string, have: number): Promise<number> {
  const { repository, commit, file, info, onBytes, signal } = job;
  const stall = new AbortController();
  let timer = setTimeout(() => stall.abort(), STALL_MS);
  const { info: now, response } = await client
    .content(repository, commit, file, have, stall.signal)
    .finally(() => clearTimeout(timer));
  if (now.etag !== info.etag) {
    await response.body?.cancel();
    throw new ChangedError(`${file}: it keeps changing on the hub while it is fetched`);
  }
  const start = have > 0 ? continuedAt(response, have, info.size) : 0;
  if (start === undefined) {
    await response.body?.cancel();
    throw new WrongBytes(`${file}: the server answers with another range than was asked for`);
  }
  const most = info.size ?? Number.MAX_SAFE_INTEGER;
  // Not cut short: another process that fetches the same file writes the same bytes to the same places.
  const handle = await open(partial, constants.O_RDWR | constants.O_CREAT).catch((error) => failWriting(file, error));
  let end = start;
  try {
    for await (const chunk of chunksOf(response, file)) {
      clearTimeout(timer);
      timer = setTimeout(() => stall.abort(), STALL_MS);
      signal?.throwIfAborted();
      if (chunk.length > most - end) throw new WrongBytes(`${file}: more than the ${most} bytes that it has`);
      await write(handle, chunk, end).catch((error) => failWriting(file, error));
      end += chunk.length;
      onBytes(end);
    }
    if (info.size === undefined) await handle.truncate(end);
  } finally {
    clearTimeout(timer);
    await handle.close();
  }
  return end;
}

/** At which byte the answer to a request for the rest begins: there, at 0 when all comes; undefined elsewhere. */
function continuedAt(response: Response, have: number, size: number | undefined): number | undefined {
  if (response.status !== 206) return 0;
  const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(response.headers.get('content-range') ?? '');
  const isTotalRight = range?.[2] === '*' || size === undefined || Number(range?.[2]) === size;
  return range && Number(range[1]) === have && isTotalRight ? have : undefined;
}

async function* chunksOf(response: Response, file: string): AsyncGenerator<Uint8Array> {
  if (response.body === null) return;
  try {
    yield* response.body;
  } catch (error) {
    throw new PassingError(`${file}: the connection was lost (${causeOf(error)})`);
  }
}

async function write(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    done += (await handle.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
  }
}

/** Holds a file against the hash that its ETag is: SHA-256, or Git's SHA-1 of a header and the content. */
async function checkHash(path: string, size: number, { file, info, signal }: Download): Promise<void> {
  const isSha256 = /^[0-9a-f]{64}$/.test(info.etag);
  if (!isSha256 && !/^[0-9a-f]{40}$/.test(info.etag)) return;
  const hash = createHash(isSha256 ? 'sha256' : 'sha1');
  if (!isSha256) hash.update(`blob ${size}\0`);
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20, signal })) hash.update(chunk);
  const found = hash.digest('hex');
  if (found !== info.etag) {
    const name = isSha256 ? 'sha256' : "git's sha1";
    throw new WrongBytes(`${file}: ${name} is ${found}; expected ${info.etag}`);
  }
}

async function sizeOf(path: string): Promise<number> {
  return stat(path).then(
    ({ size }) => size,
    () => 0,
  );
}

function failWriting(file: string, error: unknown): never {
  const { code } = error as NodeJS.ErrnoException;
  const reason = code === 'ENOSPC' ? 'the disk is full' : (code ?? String(error));
  throw new CheckpointError(`${file}: cannot be written to the cache (${reason})`);
}
