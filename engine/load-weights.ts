/** Streams a checkpoint's tensors to a device, in chunks of whole rows. */

import { blockShape, type Device, dequantize, rowBytes, type Weight, type WeightFormat } from '../kernels/index.ts';
import type { FloatTensor } from './architectures/match-tensors.ts';
import type { ModelSource } from './checkpoint/model-source.ts';
import type { LoadOptions } from './types.ts';

/** Bytes that are read at a time, as far as a row is not larger. */
const CHUNK_BYTES = 4 * 2 ** 20;

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
    // In the order of the files, so that a disk reads straight on.
    this.#tensors = [...tensors].sort((a, b) => compare(a.file, b.file) || a.offset - b.offset);
    for (const { name, shape, dtype } of this.#tensors) {
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
   * Reads every tensor; one chunk is in memory at a time.
   * @throws CheckpointError, DeviceError, or the signal's reason.
   */
  async fill(
    device: Device,
    source: ModelSource,
    { onProgress, signal }: Pick<LoadOptions, 'onProgress' | 'signal'>,
  ): Promise<void> {
    const total = this.#tensors.reduce((sum, { byteLength }) => sum + byteLength, 0);
    let loaded = 0;
    const advance = (bytes: number) => {
      loaded += bytes;
      onProgress?.({ stage: 'weights', loaded, total });
      signal?.throwIfAborted();
    };
    for (const tensor of this.#tensors) {
      const weight = this.#matrices.get(tensor.name);
      if (weight === undefined) this.#vectors.set(tensor.name, await readVector(source, tensor, advance));
      else await writeMatrix(device, weight, source, tensor, advance);
    }
  }
}

async function readVector(
  source: ModelSource,
  tensor: FloatTensor,
  advance: (bytes: number) => void,
): Promise<Float32Array> {
  const bytes = new Uint8Array(tensor.byteLength);
  await source.read(tensor.file, tensor.offset, bytes);
  advance(bytes.length);
  return dequantize(tensor.dtype, bytes);
}

async function writeMatrix(
  device: Device,
  weight: Weight,
  source: ModelSource,
  tensor: FloatTensor,
  advance: (bytes: number) => void,
): Promise<void> {
  const bytesPerRow = rowBytes(tensor.dtype, weight.cols);
  const rowsAtOnce = Math.min(weight.rows, Math.max(1, Math.floor(CHUNK_BYTES / bytesPerRow)));
  const buffer = new Uint8Array(rowsAtOnce * bytesPerRow);
  for (let row = 0; row < weight.rows; row += rowsAtOnce) {
    const chunk = buffer.subarray(0, Math.min(rowsAtOnce, weight.rows - row) * bytesPerRow);
    await source.read(tensor.file, tensor.offset + row * bytesPerRow, chunk);
    await device.writeWeight(weight, row, chunk, tensor.dtype);
    advance(chunk.length);
  }
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
