/**
 * The header of a safetensors file: u64 length, JSON of that length, then the data that the tensors tile.
 *
 * Checks all that the format's reference reader checks (https://github.com/huggingface/safetensors, "Format"), before
 * anything is allocated from a number in the file: known dtypes, sizes that follow from the shapes, and tensors that
 * cover the data exactly, without holes, overlap or trailing bytes.
 */

import { CheckpointError } from '../errors.ts';
import { isJsonObject, parseJsonObject, show } from './json.ts';
import { decodeUtf8, type ModelSource } from './model-source.ts';
import type { TensorInfo } from './tensor-info.ts';

const MAX_HEADER_BYTES = 100_000_000;
const MAX_DIMENSIONS = 8;

const DTYPE_BITS: ReadonlyMap<string, number> = new Map([
  ['F4', 4],
  ['F6_E2M3', 6],
  ['F6_E3M2', 6],
  ...['BOOL', 'U8', 'I8', 'F8_E4M3', 'F8_E5M2', 'F8_E8M0', 'F8_E4M3FNUZ', 'F8_E5M2FNUZ'].map((t) => [t, 8] as const),
  ...['U16', 'I16', 'F16', 'BF16'].map((t) => [t, 16] as const),
  ...['U32', 'I32', 'F32'].map((t) => [t, 32] as const),
  ...['U64', 'I64', 'F64', 'C64'].map((t) => [t, 64] as const),
]);

/**
 * Reads and checks the header of `file`.
 * @throws CheckpointError naming the file and the first thing that is wrong.
 */
export async function readSafetensorsHeader(
  source: ModelSource,
  file: string,
): Promise<ReadonlyMap<string, TensorInfo>> {
  const size = await source.size(file);
  if (size < 8) throw new CheckpointError(`${file}: ${size} bytes; a safetensors file has at least 10`);
  const prefix = new Uint8Array(8);
  await source.read(file, 0, prefix);
  const headerBytes = new DataView(prefix.buffer).getBigUint64(0, true);
  if (headerBytes < 2n || headerBytes > BigInt(MAX_HEADER_BYTES)) {
    throw new CheckpointError(`${file}: header of ${headerBytes} bytes; expected 2 to ${MAX_HEADER_BYTES}`);
  }
  if (headerBytes > BigInt(size - 8)) {
    throw new CheckpointError(`${file}: header of ${headerBytes} bytes in a file of ${size} bytes; is it cut short?`);
  }
  const header = new Uint8Array(Number(headerBytes));
  await source.read(file, 8, header);
  return parseSafetensorsHeader(file, header, size - 8 - header.length);
}

/** Parses the JSON of a header, for data of `dataBytes` bytes right behind it. */
export function parseSafetensorsHeader(
  file: string,
  header: Uint8Array,
  dataBytes: number,
): ReadonlyMap<string, TensorInfo> {
  if (header[0] !== 0x7b) throw new CheckpointError(`${file}: header starts with byte ${header[0]}; expected "{"`);
  const object = parseJsonObject(file, decodeUtf8(file, header));
  const tensors = Object.entries(object)
    .filter(([name]) => name !== '__metadata__')
    .map(([name, entry]) => parseEntry(file, name, entry, 8 + header.length));
  checkMetadata(file, object);
  checkTiling(file, tensors, 8 + header.length, dataBytes);
  return new Map(tensors.map((tensor) => [tensor.name, tensor]));
}

function parseEntry(file: string, name: string, entry: unknown, dataStart: number): TensorInfo {
  const wrong = (found: string, expected: string): never => {
    throw new CheckpointError(`${file}: tensor ${show(name)} has ${found}; expected ${expected}`);
  };
  if (!isJsonObject(entry)) {
    throw new CheckpointError(`${file}: tensor ${show(name)} is ${show(entry)}; expected an object`);
  }
  const { dtype, shape, data_offsets: offsets } = entry;
  const bits = typeof dtype === 'string' ? DTYPE_BITS.get(dtype) : undefined;
  if (typeof dtype !== 'string' || bits === undefined) return wrong(`dtype ${show(dtype)}`, 'a safetensors dtype');
  if (!Array.isArray(shape) || shape.length > MAX_DIMENSIONS || !shape.every(isCount)) {
    return wrong(`shape ${show(shape)}`, `at most ${MAX_DIMENSIONS} sizes`);
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount) || offsets[0] > offsets[1]) {
    return wrong(`data_offsets ${show(offsets)}`, 'two ascending offsets');
  }
  const totalBits = shape.reduce((product: bigint, n: number) => product * BigInt(n), BigInt(bits));
  const [begin, end]: number[] = offsets;
  if (totalBits !== BigInt(end - begin) * 8n) {
    return wrong(`${end - begin} bytes of data`, `${totalBits} bits for ${dtype} ${show(shape)}`);
  }
  return { name, file, dtype, shape, offset: dataStart + begin, byteLength: end - begin };
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function checkMetadata(file: string, object: Record<string, unknown>): void {
  if (!Object.hasOwn(object, '__metadata__')) return;
  const metadata = object.__metadata__;
  if (!isJsonObject(metadata) || !Object.values(metadata).every((value) => typeof value === 'string')) {
    throw new CheckpointError(`${file}: __metadata__ is ${show(metadata)}; expected an object of strings`);
  }
}

function checkTiling(file: string, tensors: readonly TensorInfo[], dataStart: number, dataBytes: number): void {
  let end = 0;
  for (const tensor of [...tensors].sort((a, b) => a.offset - b.offset || a.byteLength - b.byteLength)) {
    const begin = tensor.offset - dataStart;
    if (begin !== end) {
      const fault = begin > end ? 'hole' : 'overlap';
      throw new CheckpointError(
        `${file}: tensor ${show(tensor.name)} begins at byte ${begin} of the data; expected ${end} (${fault})`,
      );
    }
    end += tensor.byteLength;
    if (end > dataBytes) {
      throw new CheckpointError(
        `${file}: tensor ${show(tensor.name)} ends at byte ${end} of the data, which has ${dataBytes}; is it cut short?`,
      );
    }
  }
  if (end < dataBytes) {
    throw new CheckpointError(`${file}: ${dataBytes} bytes of data, of which the tensors cover ${end}`);
  }
}
