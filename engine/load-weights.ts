/**
 * Streams a checkpoint's tensors to a device, in chunks of whole rows. A few chunks are under way at a time, so that the
 * disk reads while the device rounds and repacks; nothing else of the weights is ever held here.
 */

import { blockShape, type Device, dequantize, rowBytes, type Weight, type WeightFormat } from '../kernels/index.ts';
import type { FloatTensor } from './architectures/match-tensors.ts';
import type { ModelSource } from './checkpoint/model-source.ts';
import type { LoadOptions } from './types.ts';

/** Bytes that are read at a time, as far as a row is not larger. */
const CHUNK_BYTES = 4 * 2 ** 20;
/** Chunks that are under way at a time. */
const CHUNKS_AT_ONCE = 4;

/** The weights of a model: matrices on the device, norm weights and biases as float32 for its constants. */
export class ModelWeights {
  readonly #tensors: readonly FloatTensor[];
  readonly #matrices = new Map<string, Weight>();
  readonly #vectors = new Map<string, Float32Array>();

  /**
   * Makes room on the device for every matrix. Those whose rows are whole blocks of `quantize` take that format, the
   * others keep their own.
   * @throws DeviceError when they do not fit.
   */
  constructor(device: Device, tensors: Iterable<FloatTensor>, quantize: WeightFormat | undefined) {
    const inOrderOfUse = [...tensors];
    // In the order of the files, so that a disk reads straight on.
    this.#tensors = inOrderOfUse.toSorted((a, b) => compare(a.file, b.file) || a.offset - b.offset);
    // In the order of the layers, which a device may keep together.
    for (const { name, shape, dtype } of inOrderOfUse) {
      if (shape.length !== 2) continue;
      const [rows, cols] = shape;
      const format = quantize !== undefined && cols % blockShape(quantize).elements === 0 ? quantize : dtype;
      this.#matrices.set(name, device.createWeight({ name, rows, cols, format }));
    }
  }

  /** Bytes that the matrices take on the device. */
  get byteLength(): number {
    return [...this.#matrices.values()].reduce((sum, weight) => sum + weight.byteLength, 0);
  }

  /** A matrix of the model, by the name of its tensor. */
  matrix(name: string): Weight {
    return this.#matrices.get(name) as Weight;
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
    const total = this.#tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);
    let loaded = 0;
    const chunks = this.#chunks();
    const takeChunks = async () => {
      let buffer = new Uint8Array(0);
      for (const { tensor, weight, firstRow, offset, byteLength } of chunks) {
        if (buffer.length < byteLength) buffer = new Uint8Array(byteLength);
        const bytes = buffer.subarray(0, byteLength);
        await source.read(tensor.file, offset, bytes);
        if (weight === undefined) this.#vectors.set(tensor.name, dequantize(tensor.dtype, bytes));
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

  /** What to read, in the order of the files: vectors whole, matrices in runs of rows. */
  *#chunks(): Generator<Chunk> {
    for (const tensor of this.#tensors) {
      const weight = this.#matrices.get(tensor.name);
      const rows = weight?.rows ?? 1;
      const bytesPerRow = weight ? rowBytes(tensor.dtype, weight.cols) : tensor.byteLength;
      const rowsAtOnce = Math.max(1, Math.floor(CHUNK_BYTES / bytesPerRow));
      for (let firstRow = 0; firstRow < rows; firstRow += rowsAtOnce) {
        const byteLength = Math.min(rowsAtOnce, rows - firstRow) * bytesPerRow;
        yield { tensor, weight, firstRow, offset: tensor.offset + firstRow * bytesPerRow, byteLength };
      }
    }
  }
}

/** A run of rows of a tensor. */
interface Chunk {
  readonly tensor: FloatTensor;
  /** Undefined for a norm weight or bias, which is not split. */
  readonly weight: Weight | undefined;
  readonly firstRow: number;
  /** Where it lies in the tensor's file. */
  readonly offset: number;
  readonly byteLength: number;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
