/**
 * A model from the Hugging Face hub: the files that are needed, in the cache that all of its libraries share. Node only.
 *
 * Layout: `models--org--name/` with `blobs/<etag>` (content), `snapshots/<commit>/<path>` (links to blobs) and
 * `refs/<revision>` (a commit). Source: `huggingface_hub`, docs/source/en/guides/manage-cache.md.
 */

import { copyFile, mkdir, readdir, readFile, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import type { OpenOptions } from '../../checkpoint/model-source.ts';
import { shardFiles } from '../../checkpoint/safetensors.ts';
import { CheckpointError } from '../../errors.ts';
import { openDirectory } from '../directory-source.ts';
import { type FileInfo, HubClient, PassingError, type RepositoryInfo } from './client.ts';
import { ChangedError, download } from './download.ts';
import type { Repository } from './repository.ts';
import { type HubSettings, hubSettings } from './settings.ts';

const SINGLE = 'model.safetensors';
const INDEX = 'model.safetensors.index.json';
/** Small files that a model may have. */
const SMALL_FILES = [
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'chat_template.jinja',
];

/** How often a file may change while it is fetched. */
const MAX_CHANGES = 2;

export interface FetchOptions extends OpenOptions {
  /** Default: the process's own. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** Waits before another attempt. */
  readonly pause?: (milliseconds: number) => Promise<void>;
}

/**
 * Brings a model into the cache, as far as it is not there.
 * @returns the path of its folder, or of its GGUF file
 * @throws CheckpointError, the signal's reason
 */
export async function fetchModel(repository: Repository, options: FetchOptions = {}): Promise<string> {
  const settings = hubSettings(options.environment ?? process.env);
  const folder = join(settings.cache, `models--${repository.id.replace('/', '--')}`);
  const job = new ModelFetch(repository, folder, settings, options);
  try {
    return await job.run();
  } catch (error) {
    if (error instanceof PassingError) throw new CheckpointError(error.message);
    const { code, syscall, path } = error as NodeJS.ErrnoException;
    if (code && syscall) throw new CheckpointError(`${path ?? folder}: cannot ${syscall} in the cache (${code})`);
    throw error;
  }
}

class ModelFetch {
  readonly #repository: Repository;
  readonly #folder: string;
  readonly #client: HubClient;
  readonly #isOffline: boolean;
  readonly #options: FetchOptions;

  constructor(repository: Repository, folder: string, settings: HubSettings, options: FetchOptions) {
    this.#repository = repository;
    this.#folder = folder;
    this.#client = new HubClient(settings, options.signal, options.pause);
    this.#isOffline = settings.offline;
    this.#options = options;
  }

  async run(): Promise<string> {
    const { id, revision } = this.#repository;
    const cached = await this.#cachedSnapshot();
    if (this.#isOffline) {
      if (cached) return this.#pathIn(cached);
      throw new CheckpointError(`${id}@${revision}: not in the cache ${this.#folder}, and HF_HUB_OFFLINE is set`);
    }
    let info: RepositoryInfo;
    try {
      info = await this.#client.repositoryInfo(this.#repository, cached && 1);
    } catch (error) {
      // Without the hub, what was fetched before serves.
      if (cached && error instanceof PassingError) return this.#pathIn(cached);
      throw error;
    }
    await this.#fetch(info);
    return this.#pathIn(info);
  }

  /** Brings everything that is needed, weights last, and then notes the commit that the revision stands for. */
  async #fetch(info: RepositoryInfo): Promise<void> {
    const { revision } = this.#repository;
    const gguf = this.#ggufFiles(info);
    let weights = gguf;
    if (gguf.length === 0) {
      await this.#bring(
        info,
        [...SMALL_FILES, INDEX].filter((file) => info.files.includes(file)),
      );
      weights = info.files.includes(SINGLE) ? [SINGLE] : await this.#shards(info);
    }
    await this.#bring(info, weights, true);
    if (revision === info.commit) return;
    const ref = join(this.#folder, 'refs', revision);
    await mkdir(dirname(ref), { recursive: true });
    await writeFile(ref, info.commit);
  }

  /** The GGUF files that are asked for: one, or all parts of it; none where the model is to come as safetensors. */
  #ggufFiles({ files }: RepositoryInfo): string[] {
    const { id, file: asked } = this.#repository;
    const all = files.filter((file) => /\.gguf$/i.test(file));
    const hasSafetensors = files.includes(SINGLE) || files.includes(INDEX);
    if (asked === undefined && (hasSafetensors || all.length === 0)) return [];
    const wanted = asked?.toLowerCase() ?? '';
    const found = all.includes(asked ?? '') ? [asked ?? ''] : all.filter((file) => file.toLowerCase().includes(wanted));
    const models = new Set(found.map((file) => file.replace(PART, '')));
    if (models.size === 1) return all.filter((file) => models.has(file.replace(PART, '')));
    const names = (models.size === 0 ? all : found).slice(0, 8).join(', ');
    const problem = models.size === 0 ? `no GGUF file ${asked}` : 'several GGUF files; add :FILE to the name';
    throw new CheckpointError(`${id}: ${problem} (there are: ${names || 'none'})`);
  }

  async #shards({ commit, files }: RepositoryInfo): Promise<string[]> {
    const { id } = this.#repository;
    if (!files.includes(INDEX)) throw new CheckpointError(`${id}: no ${SINGLE}, no ${INDEX} and no GGUF file there`);
    const source = await openDirectory(this.#snapshot(commit));
    try {
      return await shardFiles(source);
    } finally {
      await source.close();
    }
  }

  /** Puts files into the snapshot; with `reports` their bytes are told as the progress of a download. */
  async #bring({ commit }: RepositoryInfo, files: readonly string[], reports = false): Promise<void> {
    const { signal, onProgress } = this.#options;
    const missing: { file: string; info: FileInfo }[] = [];
    for (const file of files) {
      signal?.throwIfAborted();
      if (await isFile(join(this.#snapshot(commit), file))) continue;
      missing.push({ file, info: await this.#client.fileInfo(this.#repository, commit, file) });
    }
    const total = missing.reduce((sum, { info }) => sum + (info.size ?? 0), 0);
    let before = 0;
    await mkdir(join(this.#folder, 'blobs'), { recursive: true });
    for (const { file, info } of missing) {
      const blob = await this.#bringBlob(commit, file, info, (bytes) => {
        if (reports) onProgress?.({ stage: 'download', loaded: Math.min(before + bytes, total), total });
      });
      before += info.size ?? 0;
      await this.#link(blob, join(this.#snapshot(commit), file));
    }
  }

  /** Fetches a file's content, unless another file or commit has brought it before; gives its path. */
  async #bringBlob(commit: string, file: string, info: FileInfo, onBytes: (bytes: number) => void): Promise<string> {
    const [repository, { signal }] = [this.#repository, this.#options];
    let known = info;
    for (let changes = 0; ; changes++) {
      const blob = join(this.#folder, 'blobs', known.etag);
      try {
        if (!(await isFile(blob))) {
          await download(this.#client, { repository, commit, file, info: known, blob, onBytes, signal });
        }
        return blob;
      } catch (error) {
        // Another process may have brought it meanwhile, and taken the partial file away by that.
        if (await isFile(blob)) return blob;
        if (!(error instanceof ChangedError) || changes === MAX_CHANGES) throw error;
        known = await this.#client.fileInfo(repository, commit, file);
      }
    }
  }

  async #link(blob: string, path: string): Promise<void> {
    await mkdir(dirname(path), { recursive: true });
    try {
      await symlink(relative(dirname(path), blob), path);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      // Another process was faster; or this is Windows, where links need a privilege.
      if (code === 'EPERM') await copyFile(blob, path);
      else if (code !== 'EEXIST') throw error;
    }
  }

  /** The snapshot that an earlier run noted for the revision, with the files that it has. */
  async #cachedSnapshot(): Promise<RepositoryInfo | undefined> {
    const { revision } = this.#repository;
    const ref = await readFile(join(this.#folder, 'refs', revision), 'utf8').catch(() => revision);
    const commit = ref.trim();
    if (!/^[0-9a-f]{40,64}$/.test(commit)) return undefined;
    const files = await readdir(this.#snapshot(commit), { recursive: true }).catch(() => []);
    return files.length > 0 ? { commit, files: files.map((file) => file.replaceAll('\\', '/')) } : undefined;
  }

  /** What is to be opened. */
  #pathIn(info: RepositoryInfo): string {
    const [first = ''] = this.#ggufFiles(info).sort();
    return join(this.#snapshot(info.commit), first);
  }

  #snapshot(commit: string): string {
    return join(this.#folder, 'snapshots', commit);
  }
}

/** The end of the name of one part of a split GGUF file. */
const PART = /-\d{5}-of-\d{5}\.gguf$/i;

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isFile(),
    () => false,
  );
}
