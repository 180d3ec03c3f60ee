/**
 * Model files over HTTP, kept in the browser's Cache Storage.
 *
 * Weights are fetched by ranges as they are read (`file-parts.ts`) where the server gives ranges. Any other file is
 * downloaded once as a whole and read from the cache as a Blob, which browsers keep on disk. The next time the server is
 * asked for its headers alone: the cached copy serves while ETag (or Last-Modified and length) are the same, or the server
 * cannot be reached. Where there is no Cache Storage (plain HTTP, private windows) whole files stay in memory.
 */

import { ggufParts } from '../checkpoint/gguf/split.ts';
import type { ModelSource, OpenOptions } from '../checkpoint/model-source.ts';
import { shardFiles } from '../checkpoint/safetensors.ts';
import { CheckpointError } from '../errors.ts';
import { FileParts, rangedFile, rememberedFile } from './file-parts.ts';

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
const WEIGHTS = /\.(safetensors|gguf)$/i;

/**
 * Finds out which files lie at an address.
 * @throws CheckpointError when there is no config.json; the signal's reason
 */
export async function openUrl(folder: URL, options: OpenOptions): Promise<ModelSource> {
  const source = new UrlSource(folder, options);
  await source.find(FILES);
  if (!source.files.includes('config.json')) throw new CheckpointError(`${folder}: no config.json there`);
  if (source.files.includes(INDEX)) await source.find(await shardFiles(source));
  return source;
}

/**
 * Opens a GGUF file, with all its parts where it is split.
 * @throws CheckpointError when one is not there; the signal's reason
 */
export async function openGgufUrl(address: URL, options: OpenOptions): Promise<ModelSource> {
  const source = new UrlSource(new URL('.', address), options);
  const names = ggufParts(decodeURIComponent(address.pathname.split('/').at(-1) ?? ''));
  await source.find(names);
  const missing = names.find((name) => !source.files.includes(name));
  if (missing !== undefined) throw new CheckpointError(`${source.name}${missing}: no such file there`);
  return source;
}

class UrlSource implements ModelSource {
  readonly name: string;
  readonly #folder: URL;
  readonly #options: OpenOptions;
  readonly #contents = new Map<string, Promise<Content>>();
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
    return (await this.#content(file)).size;
  }

  async read(file: string, offset: number, into: Uint8Array): Promise<void> {
    const { size, read } = await this.#content(file);
    if (!Number.isSafeInteger(offset) || offset < 0 || into.length > size - offset) {
      throw new CheckpointError(`${file}: ${size} bytes; expected ${into.length} more from byte ${offset}`);
    }
    await read(offset, into);
  }

  async close(): Promise<void> {
    this.#contents.clear();
  }

  #content(file: string): Promise<Content> {
    if (!this.#files.includes(file))
      return Promise.reject(new CheckpointError(`${file}: no such file in ${this.name}`));
    let content = this.#contents.get(file);
    if (content === undefined) {
      content = openContent(this.#address(file), this.#options);
      this.#contents.set(file, content);
    }
    return content;
  }

  #address(file: string): string {
    return new URL(file, this.#folder).href;
  }
}

/** A file that can be read. */
interface Content {
  readonly size: number;
  readonly read: (offset: number, into: Uint8Array) => Promise<void>;
}

async function openContent(address: string, options: OpenOptions): Promise<Content> {
  const cache = globalThis.caches ? await caches.open(CACHE) : undefined;
  const ranged = WEIGHTS.test(address) ? await asRanged(address, cache, options.signal) : undefined;
  if (ranged) {
    const parts = await FileParts.open(ranged, cache, options);
    return { size: ranged.size, read: (offset, into) => parts.read(offset, into) };
  }
  const blob = await fetchBlob(address, options);
  return {
    size: blob.size,
    read: async (offset, into) =>
      into.set(new Uint8Array(await blob.slice(offset, offset + into.length).arrayBuffer())),
  };
}

/** What the server says or, where it cannot be reached, said of a file that it gives in ranges. */
async function asRanged(address: string, cache: Cache | undefined, signal?: AbortSignal) {
  const response = await head(address, signal);
  if (response) return rangedFile(address, response);
  return cache && rememberedFile(address, cache);
}

/** Development servers answer for what is not there with their start page, so an HTML page is no model file. */
async function isThere(address: string, signal?: AbortSignal): Promise<boolean> {
  const response = await head(address, signal);
  if (response) return response.ok && !response.headers.get('content-type')?.startsWith('text/html');
  if ((await cached(address)) !== undefined) return true;
  return globalThis.caches !== undefined && (await rememberedFile(address, await caches.open(CACHE))) !== undefined;
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
