/** A model directory on disk. Node only. */

import { constants } from 'node:fs';
import { type FileHandle, open, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { ModelSource } from '../checkpoint/model-source.ts';
import { CheckpointError } from '../errors.ts';

/**
 * Opens the files of a directory for reading; each is opened when it is first asked for.
 * @throws CheckpointError when `path` is not a directory that can be listed.
 */
export async function openDirectory(path: string): Promise<ModelSource> {
  let files: string[];
  try {
    files = await readdir(path);
  } catch (error) {
    throw new CheckpointError(
      `${path}: ${reason(error)}; expected a model directory, a GGUF file or org/name on the hub`,
    );
  }
  return new DirectorySource(path, files.sort());
}

/** Opens a model of a few files: those called `files` in the folder of `path`. */
export function openFiles(path: string, files: readonly string[]): ModelSource {
  return new DirectorySource(path, files, dirname(path));
}

interface OpenFile {
  readonly handle: FileHandle;
  readonly size: number;
}

class DirectorySource implements ModelSource {
  readonly name: string;
  readonly files: readonly string[];
  readonly #folder: string;
  readonly #opened = new Map<string, Promise<OpenFile>>();
  #closed = false;

  constructor(path: string, files: readonly string[], folder = path) {
    this.name = path;
    this.#folder = folder;
    this.files = files;
  }

  async size(file: string): Promise<number> {
    return (await this.#open(file)).size;
  }

  async read(file: string, offset: number, into: Uint8Array): Promise<void> {
    const { handle, size } = await this.#open(file);
    if (!Number.isSafeInteger(offset) || offset < 0 || into.length > size - offset) {
      throw new CheckpointError(`${file}: ${size} bytes; expected ${into.length} more from byte ${offset}`);
    }
    for (let done = 0; done < into.length; ) {
      const { bytesRead } = await handle.read(into, done, into.length - done, offset + done).catch((error) => {
        throw new CheckpointError(`${file}: ${reason(error)}`);
      });
      if (bytesRead === 0) throw new CheckpointError(`${file}: ended at byte ${offset + done}; it had ${size} bytes`);
      done += bytesRead;
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    const opened = [...this.#opened.values()];
    this.#opened.clear();
    for (const file of opened) {
      await file.then(
        ({ handle }) => handle.close(),
        () => {},
      );
    }
  }

  #open(file: string): Promise<OpenFile> {
    if (this.#closed) return Promise.reject(new CheckpointError(`${file}: ${this.name} is closed`));
    let opened = this.#opened.get(file);
    if (opened === undefined) {
      opened = this.files.includes(file)
        ? openRegular(join(this.#folder, file), file)
        : Promise.reject(new CheckpointError(`${file}: no such file in ${this.name}`));
      this.#opened.set(file, opened);
    }
    return opened;
  }
}

async function openRegular(path: string, file: string): Promise<OpenFile> {
  let handle: FileHandle;
  try {
    // Opening a named pipe waits for a writer, for ever if need be, unless it is opened without blocking.
    handle = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  } catch (error) {
    throw new CheckpointError(`${file}: ${reason(error)}`);
  }
  const stat = await handle.stat();
  if (stat.isFile()) return { handle, size: stat.size };
  await handle.close();
  throw new CheckpointError(`${file}: not a regular file`);
}

function reason(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code;
  switch (code) {
    case 'ENOENT':
      return 'no such file or directory';
    case 'EACCES':
    case 'EPERM':
      return 'permission denied';
    case 'ENOTDIR':
      return 'not a directory';
    default:
      return `cannot be read (${code ?? String(error)})`;
  }
}
