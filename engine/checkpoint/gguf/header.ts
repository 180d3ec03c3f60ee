/**
 * The header of a GGUF file: magic, version, counts, metadata, tensor infos; then, aligned, the tensors' data.
 *
 * Only the beginning of the file is read, as far as the header goes: large vocabularies make it 10 MiB. Every count and
 * length is held against what is left of the file before anything is made of it. Format and checks:
 * https://github.com/ggml-org/ggml/blob/master/docs/gguf.md; the checks are those of its reference reader and more:
 * strict booleans and UTF-8, data within the file.
 */

import { blockShape } from '../../../kernels/index.ts';
import { CheckpointError } from '../../errors.ts';
import { show } from '../json.ts';
import type { ModelSource } from '../model-source.ts';
import type { TensorInfo } from '../tensor-info.ts';
import { GgufCursor, type GgufValue, NeedsMore } from './cursor.ts';
import { fileFormatOf, tensorTypeName } from './tensor-types.ts';

export interface GgufHeader {
  readonly file: string;
  readonly metadata: ReadonlyMap<string, GgufValue>;
  /** In the order of the file, with GGUF's names; shapes are row-major as elsewhere, the reverse of GGUF's own order. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
}

const MAGIC = 'GGUF';
const FIRST_READ = 2 ** 20;
const GROWTH = 4;
/** Longest header that is read. */
const MAX_HEADER_BYTES = 2 ** 27;
const MAX_ENTRIES = 2 ** 20;

/** Least bytes of a metadata entry: key length, type and one byte; of a tensor info: name length, rank, type, offset. */
const LEAST_ENTRY_BYTES = 13;
const LEAST_INFO_BYTES = 24;
const MAX_DIMENSIONS = 4;
const DEFAULT_ALIGNMENT = 32;

/**
 * Reads and checks the header of `file`.
 * @throws CheckpointError naming the file and the first thing that is wrong.
 */
export async function readGgufHeader(source: ModelSource, file: string): Promise<GgufHeader> {
  const size = await source.size(file);
  let wanted = Math.min(size, FIRST_READ);
  for (;;) {
    const prefix = new Uint8Array(wanted);
    await source.read(file, 0, prefix);
    try {
      return parseGgufHeader(file, prefix, size);
    } catch (error) {
      if (!(error instanceof NeedsMore)) throw error;
      if (error.needed > MAX_HEADER_BYTES) {
        throw new CheckpointError(`${file}: header of more than ${MAX_HEADER_BYTES} bytes`);
      }
      wanted = Math.min(size, MAX_HEADER_BYTES, Math.max(error.needed, GROWTH * wanted));
    }
  }
}

/**
 * Parses a header from the beginning of a file of `fileBytes` bytes.
 * @throws CheckpointError, or {@link NeedsMore} when the header goes on beyond `prefix`.
 */
export function parseGgufHeader(file: string, prefix: Uint8Array, fileBytes: number): GgufHeader {
  const cursor = new GgufCursor(file, prefix, fileBytes);
  readStart(cursor, prefix);
  const tensorCount = cursor.count('the number of tensors', LEAST_INFO_BYTES);
  const entryCount = cursor.count('the number of metadata entries', LEAST_ENTRY_BYTES);
  if (tensorCount > MAX_ENTRIES || entryCount > MAX_ENTRIES) {
    cursor.fail(`${tensorCount} tensors and ${entryCount} metadata entries; expected at most ${MAX_ENTRIES}`);
  }
  const metadata = readMetadata(cursor, entryCount);
  const tensors = readTensorInfos(file, cursor, tensorCount);
  const alignment = readAlignment(cursor, metadata);
  for (const { name, begin } of tensors) {
    if (begin % alignment !== 0) cursor.fail(`tensor ${show(name)} is at offset ${begin}, no multiple of ${alignment}`);
  }
  const dataStart = Math.ceil(cursor.at / alignment) * alignment;
  return { file, metadata, tensors: placeTensors(cursor, tensors, dataStart, fileBytes) };
}

function readStart(cursor: GgufCursor, prefix: Uint8Array): void {
  const found = String.fromCharCode(...prefix.subarray(0, 4));
  if (found !== MAGIC) cursor.fail(`begins with ${show(found)}; a GGUF file begins with "${MAGIC}"`);
  cursor.at = MAGIC.length;
  const version = cursor.u32();
  if (version !== 0 && (version & 0xffff) === 0) cursor.fail('a big-endian GGUF file; only little-endian is supported');
  if (version !== 2 && version !== 3) cursor.fail(`GGUF version ${version}; versions 2 and 3 are supported`);
}

function readMetadata(cursor: GgufCursor, count: number): ReadonlyMap<string, GgufValue> {
  const metadata = new Map<string, GgufValue>();
  for (let i = 0; i < count; i++) {
    const key = cursor.name(`the key of metadata entry ${i}`);
    if (metadata.has(key)) cursor.fail(`metadata key ${show(key)} occurs twice`);
    metadata.set(key, cursor.value(key));
  }
  return metadata;
}

/** A tensor's info before the place of the data is known. */
interface RawTensor extends Omit<TensorInfo, 'offset'> {
  /** From the start of the data. */
  readonly begin: number;
}

function readTensorInfos(file: string, cursor: GgufCursor, count: number): readonly RawTensor[] {
  const names = new Set<string>();
  const tensors: RawTensor[] = [];
  for (let i = 0; i < count; i++) {
    const name = cursor.name(`the name of tensor ${i}`);
    const what = `tensor ${show(name)}`;
    if (names.has(name)) cursor.fail(`${what} occurs twice`);
    names.add(name);
    const rank = cursor.u32();
    if (rank > MAX_DIMENSIONS) cursor.fail(`${what} has ${rank} dimensions; expected at most ${MAX_DIMENSIONS}`);
    const dims = Array.from({ length: rank }, () => cursor.size(`a size of ${what}`));
    const type = cursor.u32();
    const begin = cursor.size(`offset of ${what}`);
    tensors.push({ name, file, shape: dims.toReversed(), begin, ...extentOf(cursor, what, dims, type) });
  }
  return tensors;
}

function extentOf(cursor: GgufCursor, what: string, dims: readonly number[], type: number) {
  const format = fileFormatOf(type);
  if (format === undefined) return cursor.fail(`${what} has type ${tensorTypeName(type)}, which is not supported`);
  const { elements, bytes } = blockShape(format);
  const rowElements = dims[0] ?? 1;
  if (rowElements % elements !== 0) {
    cursor.fail(`${what} has rows of ${rowElements} elements; ${format} needs a multiple of ${elements}`);
  }
  const total = dims.reduce((product, n) => product * BigInt(n), 1n);
  const byteLength = (total / BigInt(elements)) * BigInt(bytes);
  if (byteLength > BigInt(Number.MAX_SAFE_INTEGER)) cursor.fail(`${what} has ${total} elements, which is too many`);
  return { dtype: format, byteLength: Number(byteLength) };
}

function readAlignment(cursor: GgufCursor, metadata: ReadonlyMap<string, GgufValue>): number {
  const alignment = metadata.get('general.alignment') ?? DEFAULT_ALIGNMENT;
  if (typeof alignment !== 'number' || !(alignment >= 1 && alignment <= 2 ** 30) || !isPowerOfTwo(alignment)) {
    return cursor.fail(`general.alignment is ${show(String(alignment))}; expected a power of two`);
  }
  return alignment;
}

/** Checks that the data of every tensor is aligned, within the file, and nobody else's. */
function placeTensors(
  cursor: GgufCursor,
  tensors: readonly RawTensor[],
  dataStart: number,
  fileBytes: number,
): ReadonlyMap<string, TensorInfo> {
  const placed = tensors.map(({ begin, ...tensor }) => ({ ...tensor, offset: dataStart + begin }));
  let end = dataStart;
  for (const { name, offset, byteLength } of placed.toSorted((a, b) => a.offset - b.offset)) {
    const what = `tensor ${show(name)}`;
    if (offset < end) cursor.fail(`${what} begins at byte ${offset}, where another goes on to byte ${end}`);
    end = offset + byteLength;
    if (end > fileBytes) {
      cursor.fail(`${what} ends at byte ${end} of a file of ${fileBytes} bytes; is it cut short?`);
    }
  }
  return new Map(placed.map((tensor) => [tensor.name, tensor]));
}

function isPowerOfTwo(value: number): boolean {
  return Number.isInteger(Math.log2(value));
}
