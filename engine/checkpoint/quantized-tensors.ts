/**
 * Checkpoints whose matrices are quantised in safetensors files: several tensors stand for one matrix. They become one
 * again, in a format of the kernels' where the layout maps and in F16 where it does not.
 *
 * | method                              | tensors beside `<name>.`                                              | becomes |
 * |-------------------------------------|-----------------------------------------------------------------------|---------|
 * | fp8, compressed-tensors float-quantized | `weight` F8_E4M3 `[out, in]`; `weight_scale_inv` of blocks, or `weight_scale` of all, or of rows | F16 |
 * | compressed-tensors int-quantized    | `weight` I8 `[out, in]`, `weight_scale` of all, or of rows            | Q8_0    |
 * | compressed-tensors pack-quantized   | `weight_packed` I32 `[out, in/8]`, `weight_scale` `[out, groups]`, perhaps `weight_zero_point` | Q4_0, with zero points Q4_1 |
 * | gptq                                | `qweight` I32 `[in/8, out]`, `qzeros` `[groups, out/8]`, `scales` `[groups, out]`, `g_idx` `[in]` | Q4_0, not symmetric Q4_1; F16 with `desc_act` |
 * | awq                                 | `qweight` I32 `[in, out/8]`, `qzeros` `[groups, out/8]`, `scales` `[groups, out]` | Q4_1 |
 *
 * An element is scale · (code − zero point). Q4_1 keeps −scale · zero point as a half, which rounds it. Scales that are not
 * halves are rounded to such. Sources: the configurations and tensors that AutoGPTQ, AutoAWQ and compressed-tensors write.
 */

import { CheckpointError } from '../errors.ts';
import type { Fields } from './fields.ts';
import { awqCodes, type GroupLayout, gptqCodes, groupRows, packedCodes } from './grouped-codes.ts';
import { show } from './json.ts';
import { fp8Rows, integerRows } from './scaled-rows.ts';
import type { TensorIndex, TensorInfo } from './tensor-info.ts';

/** How a method's tensors are read; gives the matrix, or undefined where `tensor` begins none. */
type Reader = (tensor: TensorInfo, parts: Parts) => TensorInfo | undefined;
type Method = (settings: Fields) => Reader;

const GROUP_SIZE = { min: -1, max: 2 ** 20 };

const METHODS: ReadonlyMap<string, Method> = new Map<string, Method>([
  ['fp8', () => readScaled],
  ['gptq', gptq],
  ['awq', awq],
  ['compressed-tensors', compressedTensors],
  // The tensors of gpt-oss, which `stacked-experts.ts` reads.
  ['mxfp4', () => () => undefined],
]);

/** True for tensors that say how activations were to be rounded, or repeat what shapes say. */
const SUPERFLUOUS = /\.(input_scale|input_zero_point|weight_shape)$/;

/**
 * The tensors with every matrix whole.
 * @throws CheckpointError when the method or one of its settings is not supported, or tensors do not fit each other
 */
export function joinQuantized(index: TensorIndex, quantization: Fields): TensorIndex {
  const read = quantization.choice('quant_method', METHODS)(quantization);
  const parts = new Parts(index.tensors);
  const tensors = new Map<string, TensorInfo>();
  for (const tensor of index.tensors.values()) {
    const matrix = read(tensor, parts);
    if (matrix !== undefined) tensors.set(matrix.name, matrix);
  }
  for (const tensor of index.tensors.values()) {
    if (!parts.isUsed(tensor) && !SUPERFLUOUS.test(tensor.name)) tensors.set(tensor.name, tensor);
  }
  return { ...index, tensors };
}

/** The tensors of a checkpoint, and which of them have become a part of a matrix. */
class Parts {
  readonly #tensors: ReadonlyMap<string, TensorInfo>;
  readonly #used = new Set<TensorInfo>();

  constructor(tensors: ReadonlyMap<string, TensorInfo>) {
    this.#tensors = tensors;
  }

  isUsed(tensor: TensorInfo): boolean {
    return this.#used.has(tensor);
  }

  /** A tensor that must have a type and shape; a size of −1 stands for any. */
  take(name: string, dtypes: readonly string[], shape: readonly number[]): TensorInfo {
    const tensor = this.find(name, dtypes, shape);
    if (tensor === undefined) throw new CheckpointError(`no tensor ${show(name)}, which its quantisation needs`);
    return tensor;
  }

  find(name: string, dtypes: readonly string[], shape: readonly number[]): TensorInfo | undefined {
    const tensor = this.#tensors.get(name);
    if (tensor === undefined) return undefined;
    const fits = tensor.shape.length === shape.length && shape.every((n, i) => n === -1 || n === tensor.shape[i]);
    if (!fits || !dtypes.includes(tensor.dtype)) {
      throw new CheckpointError(
        `${tensor.file}: tensor ${show(name)} has ${tensor.dtype} ${show(tensor.shape)}; expected ${dtypes.join(' or ')} ${show(shape)}`,
      );
    }
    this.#used.add(tensor);
    return tensor;
  }

  /** Marks a tensor as used that is there perhaps, and not needed. */
  drop(name: string): void {
    const tensor = this.#tensors.get(name);
    if (tensor !== undefined) this.#used.add(tensor);
  }
}

const SCALES = ['F32', 'F16', 'BF16'];

function stem(tensor: TensorInfo, end: string): string | undefined {
  return tensor.name.endsWith(end) ? tensor.name.slice(0, -end.length) : undefined;
}

/** The matrix that is made of whole tensors. */
function matrixOf(
  name: string,
  dtype: string,
  shape: readonly [number, number],
  pieces: readonly TensorInfo[],
  unpack: (pieces: readonly Uint8Array[]) => Uint8Array,
): TensorInfo {
  const { file, offset, byteLength } = pieces[0];
  return { name, file, dtype, shape, offset, byteLength, packed: { pieces, unpack } };
}

/** Matrices of 8-bit floats or integers, with scales of their own. */
const readScaled: Reader = (tensor, parts) => {
  const name = stem(tensor, '.weight');
  if (name === undefined || (tensor.dtype !== 'F8_E4M3' && tensor.dtype !== 'I8')) return undefined;
  const [rows, cols] = tensor.shape;
  parts.take(tensor.name, [tensor.dtype], [-1, -1]);
  const blocks = parts.find(`${name}.weight_scale_inv`, SCALES, [-1, -1]);
  const scales = blocks ?? readRowScales(name, rows, parts);
  // Blocks of 128 by 128 but for the last of each row and column.
  const [down, across] = blocks ? blocks.shape : [scales.shape[0] === rows && rows > 1 ? rows : 1, 1];
  const block = blocks ? [128, 128] : [down === 1 ? rows : 1, cols];
  if (Math.ceil(rows / block[0]) !== down || Math.ceil(cols / block[1]) !== across) {
    throw new CheckpointError(
      `${scales.file}: tensor ${show(scales.name)} has ${show(scales.shape)}; expected a scale for each 128 by 128 of ${show(tensor.shape)}`,
    );
  }
  const layout = { rows, cols, blockRows: block[0], blockCols: block[1], across, scaleType: scales.dtype };
  if (tensor.dtype === 'F8_E4M3') {
    return matrixOf(tensor.name, 'F16', [rows, cols], [tensor, scales], ([codes, s]) => fp8Rows(codes, s, layout));
  }
  const format = cols % 32 === 0 ? 'Q8_0' : 'F16';
  return matrixOf(tensor.name, format, [rows, cols], [tensor, scales], ([codes, s]) => integerRows(codes, s, layout));
};

function readRowScales(name: string, rows: number, parts: Parts): TensorInfo {
  const scale = `${name}.weight_scale`;
  for (const shape of [[], [1], [rows, 1], [1, 1], [rows]]) {
    try {
      return parts.take(scale, SCALES, shape);
    } catch (error) {
      if (shape.length === 1 && shape[0] === rows) throw error;
    }
  }
  throw new CheckpointError(`no tensor ${show(scale)}, which its quantisation needs`);
}

function gptq(settings: Fields): Reader {
  if (settings.integer('bits', { min: 1, max: 16 }) !== 4) settings.fail('bits', '4');
  const group = settings.integer('group_size', GROUP_SIZE);
  const ordered = settings.boolean('desc_act', false);
  const symmetric = settings.boolean('sym', true);
  const format = settings.string('checkpoint_format', 'gptq');
  if (format !== 'gptq' && format !== 'gptq_v2') settings.fail('checkpoint_format', 'gptq or gptq_v2');
  return (tensor, parts) => {
    const name = stem(tensor, '.qweight');
    if (name === undefined) return undefined;
    const [packedRows, out] = tensor.shape;
    const cols = 8 * packedRows;
    const groups = groupsOf(tensor, cols, group);
    const pieces = [
      parts.take(tensor.name, ['I32'], [-1, -1]),
      parts.take(`${name}.qzeros`, ['I32'], [groups, out / 8]),
      parts.take(`${name}.scales`, SCALES, [groups, out]),
    ];
    const indices = ordered ? parts.take(`${name}.g_idx`, ['I32'], [cols]) : undefined;
    if (indices) pieces.push(indices);
    else parts.drop(`${name}.g_idx`);
    const layout = layoutOf(tensor, { rows: out, cols, groups, scaleType: pieces[2].dtype, symmetric, ordered });
    return matrixOf(`${name}.weight`, layout.format, [out, cols], pieces, ([codes, zeros, scales, order]) =>
      groupRows(layout, gptqCodes(layout, { codes, zeros, scales, order }, format === 'gptq' ? 1 : 0)),
    );
  };
}

function awq(settings: Fields): Reader {
  const bits = settings.has('w_bit') ? 'w_bit' : 'bits';
  if (settings.integer(bits, { min: 1, max: 16 }) !== 4) settings.fail(bits, '4');
  const version = settings.string('version', 'gemm').toLowerCase();
  if (version !== 'gemm') settings.fail('version', 'gemm');
  const group = settings.integer(settings.has('q_group_size') ? 'q_group_size' : 'group_size', GROUP_SIZE, 128);
  return (tensor, parts) => {
    const name = stem(tensor, '.qweight');
    if (name === undefined) return undefined;
    const [cols, packedOut] = tensor.shape;
    const out = 8 * packedOut;
    const groups = groupsOf(tensor, cols, group);
    const pieces = [
      parts.take(tensor.name, ['I32'], [-1, -1]),
      parts.take(`${name}.qzeros`, ['I32'], [groups, packedOut]),
      parts.take(`${name}.scales`, SCALES, [groups, out]),
    ];
    const layout = layoutOf(tensor, { rows: out, cols, groups, scaleType: pieces[2].dtype, symmetric: false });
    return matrixOf(`${name}.weight`, layout.format, [out, cols], pieces, ([codes, zeros, scales]) =>
      groupRows(layout, awqCodes(layout, { codes, zeros, scales })),
    );
  };
}

function compressedTensors(settings: Fields): Reader {
  const format = settings.string('format', 'pack-quantized');
  if (format === 'float-quantized' || format === 'int-quantized' || format === 'naive-quantized') return readScaled;
  if (format !== 'pack-quantized') {
    settings.fail('format', 'pack-quantized, float-quantized, int-quantized or naive-quantized');
  }
  return (tensor, parts) => {
    const name = stem(tensor, '.weight_packed');
    if (name === undefined) return undefined;
    const [out, packedCols] = tensor.shape;
    const cols = 8 * packedCols;
    parts.take(tensor.name, ['I32'], [-1, -1]);
    parts.drop(`${name}.weight_shape`);
    const scales = parts.take(`${name}.weight_scale`, SCALES, [out, -1]);
    const groups = scales.shape[1];
    const zeros = parts.find(`${name}.weight_zero_point`, ['I32'], [out / 8, groups]);
    const order = parts.find(`${name}.weight_g_idx`, ['I32'], [cols]);
    const symmetric = zeros === undefined;
    const layout = layoutOf(tensor, {
      ...{ rows: out, cols, groups, scaleType: scales.dtype, symmetric },
      ordered: order !== undefined,
    });
    const pieces = [tensor, scales, ...(zeros ? [zeros] : []), ...(order ? [order] : [])];
    return matrixOf(`${name}.weight`, layout.format, [out, cols], pieces, ([codes, s, ...rest]) =>
      groupRows(
        layout,
        packedCodes(layout, { codes, scales: s, zeros: zeros && rest[0], order: order && rest.at(-1) }),
      ),
    );
  };
}

function groupsOf(tensor: TensorInfo, cols: number, size: number): number {
  if (size === -1) return 1;
  if (size < 1) throw new CheckpointError(`${tensor.file}: group_size is ${size}; expected −1 or at least 1`);
  return Math.ceil(cols / size);
}

/** Blocks of 32 where each lies within one group, else F16. */
function layoutOf(
  tensor: TensorInfo,
  sizes: Pick<GroupLayout, 'rows' | 'cols' | 'groups' | 'scaleType' | 'symmetric'> & { readonly ordered?: boolean },
): GroupLayout {
  const { rows, cols, groups, symmetric, ordered } = sizes;
  if (!Number.isInteger(rows / 8) || groups < 1 || cols % groups !== 0) {
    throw new CheckpointError(`${tensor.file}: tensor ${show(tensor.name)} has ${groups} groups for ${rows} × ${cols}`);
  }
  const maps = !ordered && (cols / groups) % 32 === 0;
  return { ...sizes, file: tensor.file, name: tensor.name, format: maps ? (symmetric ? 'Q4_0' : 'Q4_1') : 'F16' };
}
