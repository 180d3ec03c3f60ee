/** Where a checkpoint's files come from: a directory, a cache in the browser, an archive. */

import { CheckpointError } from '../errors.ts';
import type { LoadOptions } from '../types.ts';

/** What opening a source may take along: progress of a download, and a way to give up. */
export type OpenOptions = Pick<LoadOptions, 'onProgress' | 'signal'>;

/** Named files, read at any place. Everything in them is untrusted. */
export interface ModelSource {
  /** What people call it, for messages: a path or an address. */
  readonly name: string;
  /** Names of the files, without folders. */
  readonly files: readonly string[];
  /** Bytes of a file. @throws CheckpointError when it cannot be opened. */
  size(file: string): Promise<number>;
  /**
   * Fills `into` with the bytes from `offset` on.
   * @throws CheckpointError when the file cannot be opened or ends before `into` is full.
   */
  read(file: string, offset: number, into: Uint8Array): Promise<void>;
  /** Frees what was opened. A second call does nothing. */
  close(): Promise<void>;
}

/**
 * The whole of a small UTF-8 file; a byte order mark is dropped.
 * @throws CheckpointError when it is larger than `maxBytes` or not UTF-8.
 */
export async function readText(source: ModelSource, file: string, maxBytes: number): Promise<string> {
  const size = await source.size(file);
  if (size > maxBytes) throw new CheckpointError(`${file}: ${size} bytes; at most ${maxBytes} are read`);
  const bytes = new Uint8Array(size);
  await source.read(file, 0, bytes);
  return decodeUtf8(file, bytes);
}

/** @throws CheckpointError when the bytes are not UTF-8. */
export function decodeUtf8(file: string, bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new CheckpointError(`${file}: not valid UTF-8`);
  }
}
