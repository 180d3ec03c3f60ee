/**
 * Streams a checkpoint's tensors to a device, in chunks of whole rows. A few chunks are under way at a time, so that the
 * disk reads while the device rounds and repacks; nothing else of the weights is ever held here.
 */

import { type Device, dequantize, rowBytes, type Weight, type WeightFormat } from '../kernels/index.ts';
import { type DecoderDescription, type ExpertMatrices, isExperts } from './architectures/description.ts';
import type { WeightTensor } from './architectures/match-tensors.ts';
import type { ModelSource } from './checkpoint/model-source.ts';
import type { PackedRows } from './checkpoint/tensor-info.ts';
import { loadedFormat } from './quantization.ts';
import type { LoadOptions } from './types.ts';

/** Bytes that are read at a time, as far as a row is not larger. */
const CHUNK_BYTES = 4 * 2 ** 20;
/** Chunks that are under way at a time. */
const CHUNKS_AT_ONCE = 4;

/** Where the rows of a tensor go. */
interface Target {
  readonly weight: Weight;
  /** Row of the weight where those of the tensor begin. */
  readonly firstRow: number;
}

/** The weights of a model: matrices on the device, norm weights and biases as float32 for its constants. */
export class ModelWeights {
  readonly #tensors: readonly WeightTensor[];
  readonly #targets = new Map<string, Target>();
  readonly #experts = new Map<string, Weight>();
  readonly #vectors = new Map<string, Float32Array>();

  /**
   * Makes room on the device for every matrix, in the format that {@link loadedFormat} says.
   * @throws DeviceError when they do not fit.
   */
  constructor(
    device: Device,
    description: DecoderDescription,
    tensors: ReadonlyMap<string, WeightTensor>,
    quantize: WeightFormat | undefined,
  ) {
    const formatOf = ({ shape, dtype, unrounded }: WeightTensor) =>
      loadedFormat(dtype, shape[1], unrounded ? undefined : quantize);
    const inOrderOfUse = [...tensors.values()];
    // In the order of the files, so that a disk reads straight on.
    this.#tensors = inOrderOfUse.toSorted((a, b) => compare(a.file, b.file) || a.offset - b.offset);
    const stackOf = expertStacks(description);
    // In the order of the layers, which a device may keep together.
    for (const tensor of inOrderOfUse) {
      const { name, shape } = tensor;
      if (shape.length !== 2 || this.#targets.has(name)) continue;
      const stack = stackOf.get(name);
      if (stack === undefined) {
        const weight = device.createWeight({ name, rows: shape[0], cols: shape[1], format: formatOf(tensor) });
        this.#targets.set(name, { weight, firstRow: 0 });
      } else this.#stack(device, stack, formatOf(tensor));
    }
  }

  /** Room for the matrices of all experts, in the format of the first. */
  #stack(device: Device, stack: ExpertMatrices, format: WeightFormat): void {
    const { name, rows, cols, experts: matrices } = stack;
    const weight = device.createWeight({ name, rows: matrices * rows, cols, format, matrices });
    this.#experts.set(name, weight);
    for (let e = 0; e < matrices; e++) this.#targets.set(stack.expert(e).weight, { weight, firstRow: e * rows });
  }

  /** Bytes that the matrices take on the device. */
  get byteLength(): number {
    const weights = new Set([...this.#targets.values()].map(({ weight }) => weight));
    return [...weights].reduce((sum, weight) => sum + weight.byteLength, 0);
  }

  /** A matrix of the model, by the name of its tensor. */
  matrix(name: string): Weight {
    return (this.#targets.get(name) as Target).weight;
  }

  /** The matrices of all experts, by the name that they have together. */
  expertMatrices(name: string): Weight {
    return this.#experts.get(name) as Weight;
  }

  /** A norm weight or bias of the model, by the name of its tensor. */
  vector(name: string): Float32Array {
    return this.#vectors.get(name) as Float32Array;
  }

  /**
   * Reads every tensor.
   * @throws CheckpointError, DeviceError, or the signal's reason.
   */
  async fill(
    device: Device,
    source: ModelSource,
    { onProgress, signal }: Pick<LoadOptions, 'onProgress' | 'signal'>,
  ): Promise<void> {
    const total = this.#tensors.reduce((sum, tensor) => sum + bytesToRead(tensor), 0);
    let loaded = 0;
    const chunks = this.#chunks();
    const takeChunks = async () => {
      let buffer = new Uint8Array(0);
      const read = async (file: string, offset: number, byteLength: number) => {
        if (buffer.length < byteLength) buffer = new Uint8Array(byteLength);
        const bytes = buffer.subarray(0, byteLength);
        await source.read(file, offset, bytes);
        return bytes;
      };
      for (const { tensor, weight, firstRow, offset, byteLength } of chunks) {
        const bytes = tensor.packed ? await unpack(source, tensor.packed) : await read(tensor.file, offset, byteLength);
        orderRows(bytes, tensor, weight);
        if (weight === undefined) this.#vectors.set(tensor.name, vectorOf(tensor, bytes));
        else await device.writeWeight(weight, firstRow, bytes, tensor.dtype);
        signal?.throwIfAborted();
        loaded += byteLength;
        onProgress?.({ stage: 'weights', loaded, total });
        signal?.throwIfAborted();
      }
    };
    // An error in one of them ends the generator, and so the others; all must have let go of source and device then.
    const ended = await Promise.allSettled(Array.from({ length: CHUNKS_AT_ONCE }, takeChunks));
    for (const lane of ended) if (lane.status === 'rejected') throw lane.reason;
  }

  /** What to read, in the order of the files: vectors and packed tensors whole, matrices in runs of rows. */
  *#chunks(): Generator<Chunk> {
    for (const tensor of this.#tensors) {
      const { weight, firstRow: base = 0 } = this.#targets.get(tensor.name) ?? {};
      if (weight === undefined || tensor.packed) {
        yield { tensor, weight, firstRow: base, offset: tensor.offset, byteLength: bytesToRead(tensor) };
        continue;
      }
      const [rows] = tensor.shape;
      const bytesPerRow = rowBytes(tensor.dtype, weight.cols);
      const { interleavedHeadRows: together = 1 } = tensor;
      const rowsAtOnce = together * Math.max(1, Math.floor(CHUNK_BYTES / (together * bytesPerRow)));
      for (let row = 0; row < rows; row += rowsAtOnce) {
        const byteLength = Math.min(rowsAtOnce, rows - row) * bytesPerRow;
        yield { tensor, weight, firstRow: base + row, offset: tensor.offset + row * bytesPerRow, byteLength };
      }
    }
  }
}

/** The stack that each expert's tensor belongs to, by its name. */
function expertStacks({ layers }: DecoderDescription): ReadonlyMap<string, ExpertMatrices> {
  const stacks = layers.flatMap(({ feedForward }) =>
    isExperts(feedForward) ? [...feedForward.up, feedForward.down] : [],
  );
  const stackOf = new Map<string, ExpertMatrices>();
  for (const stack of stacks) for (let e = 0; e < stack.experts; e++) stackOf.set(stack.expert(e).weight, stack);
  return stackOf;
}

function bytesToRead({ byteLength, packed }: WeightTensor): number {
  return packed ? packed.pieces.reduce((sum, piece) => sum + piece.byteLength, 0) : byteLength;
}

async function unpack(source: ModelSource, { pieces, unpack }: PackedRows): Promise<Uint8Array> {
  const read: Uint8Array[] = [];
  for (const { file, offset, byteLength } of pieces) {
    const bytes = new Uint8Array(byteLength);
    await source.read(file, offset, bytes);
    read.push(bytes);
  }
  return unpack(read);
}

/** A run of rows of a tensor. */
interface Chunk {
  readonly tensor: WeightTensor;
  /** Undefined for a norm weight or bias, which is not split. */
  readonly weight: Weight | undefined;
  /** Row of the weight where the run begins. */
  readonly firstRow: number;
  /** Where it lies in the tensor's file. */
  readonly offset: number;
  readonly byteLength: number;
}

function vectorOf(tensor: WeightTensor, bytes: Uint8Array): Float32Array {
  const values = dequantize(tensor.dtype, bytes);
  return tensor.holdsPlusOne ? values.map((value) => value - 1) : values;
}

/** Puts the rows of each head, where they lie in the order 0, h/2, 1, h/2 + 1 …, in that of their numbers. */
function orderRows(bytes: Uint8Array, tensor: WeightTensor, weight: Weight | undefined): void {
  const { interleavedHeadRows: headRows, dtype } = tensor;
  if (headRows === undefined) return;
  const rowLength = rowBytes(dtype, weight?.cols ?? 1);
  for (let head = 0; head < bytes.length; head += headRows * rowLength) {
    const mixed = bytes.slice(head, head + headRows * rowLength);
    for (let row = 0; row < headRows; row++) {
      const to = (row >> 1) + (row & 1 ? headRows / 2 : 0);
      bytes.set(mixed.subarray(row * rowLength, (row + 1) * rowLength), head + to * rowLength);
    }
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
