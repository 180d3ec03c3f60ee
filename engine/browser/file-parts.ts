/**
 * A large file over HTTP, fetched part by part as it is read, and kept in the browser's Cache Storage: a download that ends
 * half-way goes on with the parts that are missing, and no part is ever held in memory for longer than it is read.
 */

import type { OpenOptions } from '../checkpoint/model-source.ts';
import { CheckpointError } from '../errors.ts';

export const PART_BYTES = 16 * 2 ** 20;
const ATTEMPTS = 3;
const PAUSE_MS = 500;

/** What a server says of a file that it gives in ranges. */
export interface RangedFile {
  readonly address: string;
  readonly size: number;
  /** Changes with the content: ETag, or date and length. */
  readonly version: string;
}

/** Undefined where the server does not promise ranges, or what it sends may be compressed. */
export function rangedFile(address: string, { headers }: Response): RangedFile | undefined {
  const size = Number(headers.get('content-length'));
  const version = headers.get('etag') ?? headers.get('last-modified');
  if (headers.get('accept-ranges') !== 'bytes' || headers.has('content-encoding') || !version) return undefined;
  return Number.isSafeInteger(size) && size > 0 ? { address, size, version: `${version} ${size}` } : undefined;
}

/** What the server said of a file when it was last opened; undefined when it never was. */
export async function rememberedFile(address: string, cache: Cache): Promise<RangedFile | undefined> {
  return (await cache.match(infoKey(address)))?.json();
}

function infoKey(address: string): string {
  return `${address}?quern-file`;
}

export class FileParts {
  readonly file: RangedFile;
  readonly #cache: Cache | undefined;
  readonly #options: OpenOptions;
  readonly #parts = new Map<number, Promise<Blob>>();

  private constructor(file: RangedFile, cache: Cache | undefined, options: OpenOptions) {
    this.file = file;
    this.#cache = cache;
    this.#options = options;
  }

  /** Forgets parts of other versions. Without a cache, parts are fetched anew each time they are read. */
  static async open(file: RangedFile, cache: Cache | undefined, options: OpenOptions): Promise<FileParts> {
    const parts = new FileParts(file, cache, options);
    for (const request of (await cache?.keys()) ?? []) {
      const isOurs = request.url.startsWith(`${file.address}?quern-part=`);
      if (isOurs && !request.url.startsWith(parts.#key(''))) await cache?.delete(request);
    }
    await cache?.put(infoKey(file.address), new Response(JSON.stringify(file)));
    return parts;
  }

  /** @throws CheckpointError when a part cannot be fetched; the signal's reason */
  async read(offset: number, into: Uint8Array): Promise<void> {
    for (let done = 0; done < into.length; ) {
      const at = offset + done;
      const index = Math.floor(at / PART_BYTES);
      const from = at - index * PART_BYTES;
      const blob = await this.#part(index);
      const bytes = new Uint8Array(await blob.slice(from, from + into.length - done).arrayBuffer());
      if (bytes.length === 0) throw new CheckpointError(`${this.file.address}: ends before byte ${at}`);
      into.set(bytes, done);
      done += bytes.length;
    }
  }

  #part(index: number): Promise<Blob> {
    let part = this.#parts.get(index);
    if (part === undefined) {
      part = this.#load(index);
      this.#parts.set(index, part);
      // What failed may be tried again, and what no cache keeps is not kept here either once the next part is read.
      part.catch(() => this.#parts.delete(index));
      if (this.#cache === undefined)
        for (const other of this.#parts.keys()) if (other < index - 1) this.#parts.delete(other);
    }
    return part;
  }

  async #load(index: number): Promise<Blob> {
    const key = this.#key(String(index));
    const kept = await this.#cache?.match(key);
    if (kept) return kept.blob();
    const fetched = await this.#fetch(index);
    await this.#cache?.put(key, new Response(fetched));
    // From the cache again, so that it is the disk that holds it.
    return (await this.#cache?.match(key))?.blob() ?? fetched;
  }

  async #fetch(index: number): Promise<Blob> {
    const { address, size } = this.file;
    const first = index * PART_BYTES;
    const last = Math.min(first + PART_BYTES, size) - 1;
    const { signal } = this.#options;
    for (let attempt = 1; ; attempt++) {
      try {
        const response = await fetch(address, { headers: { range: `bytes=${first}-${last}` }, signal });
        const isRange = response.headers.get('content-range') === `bytes ${first}-${last}/${size}`;
        if (response.status !== 206 || !isRange) {
          await response.body?.cancel();
          throw new CheckpointError(`${address}: the server answers ${response.status} to a request for a range`);
        }
        const blob = await response.blob();
        if (blob.size === last - first + 1) return blob;
        throw new Error(`${blob.size} bytes came`);
      } catch (error) {
        signal?.throwIfAborted();
        if (error instanceof CheckpointError) throw error;
        if (attempt === ATTEMPTS) throw new CheckpointError(`${address}: bytes ${first} to ${last} do not come`);
        await new Promise((resolve) => setTimeout(resolve, PAUSE_MS * attempt));
      }
    }
  }

  #key(part: string): string {
    const { address, version } = this.file;
    return `${address}?quern-part=${encodeURIComponent(version)}&n=${part}`;
  }
}
