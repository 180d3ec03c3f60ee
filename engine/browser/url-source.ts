/**
 * Model files over HTTP, kept in the browser's Cache Storage.
 *
 * A file is downloaded once as a whole and read from the cache as a Blob, which browsers keep on disk. The next time the
 * server is asked for its headers alone: the cached copy serves while ETag (or Last-Modified and length) are the same, or
 * the server cannot be reached. Where there is no Cache Storage (plain HTTP, private windows) files stay in memory.
 */

import { type ModelSource, type OpenOptions, readText } from '../checkpoint/model-source.ts';
import { CheckpointError } from '../errors.ts';

const CACHE = 'quern-models';

/** Files that a model may have; a shard's name comes from the index. */
const FILES = [
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'chat_template.jinja',
  'model.safetensors',
  'model.safetensors.index.json',
];
const INDEX = 'model.safetensors.index.json';
const MAX_INDEX_BYTES = 4 * 2 ** 20;
const SHARD_NAME = /^[A-Za-z0-9._-]+\.safetensors$/;

/**
 * Finds out which files lie at an address.
 * @throws CheckpointError when there is no config.json; the signal's reason
 */
export async function openUrl(folder: URL, options: OpenOptions): Promise<ModelSource> {
  const source = new UrlSource(folder, options);
  await source.find(FILES);
  if (!source.files.includes('config.json')) throw new CheckpointError(`${folder}: no config.json there`);
  if (source.files.includes(INDEX)) {
    const { weight_map: map } = JSON.parse(await readText(source, INDEX, MAX_INDEX_BYTES)) as { weight_map?: object };
    await source.find([...new Set(Object.values(map ?? {}).filter((name) => SHARD_NAME.test(String(name))))]);
  }
  return source;
}

class UrlSource implements ModelSource {
  readonly name: string;
  readonly #folder: URL;
  readonly #options: OpenOptions;
  readonly #blobs = new Map<string, Promise<Blob>>();
  #files: string[] = [];

  constructor(folder: URL, options: OpenOptions) {
    this.name = folder.href;
    this.#folder = folder;
    this.#options = options;
  }

  get files(): readonly string[] {
    return this.#files;
  }

  async find(names: readonly string[]): Promise<void> {
    const found = await Promise.all(names.map((name) => isThere(this.#address(name), this.#options.signal)));
    this.#files = [...this.#files, ...names.filter((_, i) => found[i])];
  }

  async size(file: string): Promise<number> {
    return (await this.#blob(file)).size;
  }

  async read(file: string, offset: number, into: Uint8Array): Promise<void> {
    const blob = await this.#blob(file);
    if (!Number.isSafeInteger(offset) || offset < 0 || into.length > blob.size - offset) {
      throw new CheckpointError(`${file}: ${blob.size} bytes; expected ${into.length} more from byte ${offset}`);
    }
    into.set(new Uint8Array(await blob.slice(offset, offset + into.length).arrayBuffer()));
  }

  async close(): Promise<void> {
    this.#blobs.clear();
  }

  #blob(file: string): Promise<Blob> {
    if (!this.#files.includes(file))
      return Promise.reject(new CheckpointError(`${file}: no such file in ${this.name}`));
    let blob = this.#blobs.get(file);
    if (blob === undefined) {
      blob = fetchBlob(this.#address(file), this.#options);
      this.#blobs.set(file, blob);
    }
    return blob;
  }

  #address(file: string): string {
    return new URL(file, this.#folder).href;
  }
}

/** Development servers answer for what is not there with their start page, so an HTML page is no model file. */
async function isThere(address: string, signal?: AbortSignal): Promise<boolean> {
  const response = await head(address, signal);
  if (response) return response.ok && !response.headers.get('content-type')?.startsWith('text/html');
  return (await cached(address)) !== undefined;
}

/** The headers of an address; undefined when the server cannot be reached. */
async function head(address: string, signal?: AbortSignal): Promise<Response | undefined> {
  try {
    return await fetch(address, { method: 'HEAD', signal, cache: 'no-cache' });
  } catch (error) {
    if (signal?.aborted) throw error;
    return undefined;
  }
}

async function cached(address: string): Promise<Response | undefined> {
  if (!globalThis.caches) return undefined;
  return (await caches.open(CACHE)).match(address);
}

async function fetchBlob(address: string, options: OpenOptions): Promise<Blob> {
  const old = await cached(address);
  if (old) {
    const now = await head(address, options.signal);
    if (!now || sameVersion(old, now)) return old.blob();
  }
  const response = await fetch(address, { signal: options.signal });
  if (!response.ok) throw new CheckpointError(`${address}: the server answers ${response.status}`);
  const counted = countedResponse(response, options);
  if (!globalThis.caches) return counted.blob();
  const cache = await caches.open(CACHE);
  await cache.put(address, counted);
  const stored = await cache.match(address);
  if (!stored) throw new CheckpointError(`${address}: the browser has not kept it; there may be no room`);
  return stored.blob();
}

function sameVersion(old: Response, now: Response): boolean {
  const [oldTag, newTag] = [old, now].map(({ headers }) => headers.get('etag'));
  if (oldTag && newTag) return oldTag === newTag;
  return ['last-modified', 'content-length'].every((name) => old.headers.get(name) === now.headers.get(name));
}

/** The same response, whose bytes are reported as they pass. */
function countedResponse(response: Response, { onProgress }: OpenOptions): Response {
  const total = Number(response.headers.get('content-length'));
  if (!onProgress || !response.body || !(total > 0)) return response;
  let loaded = 0;
  const counter = new TransformStream<Uint8Array, Uint8Array>({
    transform(chunk, controller) {
      loaded += chunk.length;
      onProgress({ stage: 'download', loaded: Math.min(loaded, total), total });
      controller.enqueue(chunk);
    },
  });
  return new Response(response.body.pipeThrough(counter), { headers: response.headers });
}
