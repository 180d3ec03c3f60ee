import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { splitStackedExperts } from '../../engine/checkpoint/stacked-experts.ts';
import type { TensorInfo } from '../../engine/checkpoint/tensor-info.ts';
import { dequantize, type FileFormat } from '../../kernels/index.ts';
import { Random } from '../random.ts';

const test = suite('stacked experts');
const [EXPERTS, ROWS, COLS] = [3, 6, 64];
const PREFIX = 'model.layers.0.mlp.experts.';

/** Tensors back to back in one file. */
class File {
  readonly tensors = new Map<string, TensorInfo>();
  #bytes: number[] = [];

  add(name: string, dtype: string, shape: readonly number[], bytes: Uint8Array): this {
    this.tensors.set(name, { name, file: 'f', dtype, shape, offset: this.#bytes.length, byteLength: bytes.length });
    this.#bytes.push(...bytes);
    return this;
  }

  split(modelType: string) {
    const { tensors } = splitStackedExperts({ file: 'f', tensors: this.tensors }, modelType);
    /** The values of a tensor, read as the loader does. */
    const valuesOf = (name: string): number[] => {
      const tensor = tensors.get(name);
      if (tensor === undefined) throw new Error(`no ${name} among ${[...tensors.keys()]}`);
      const { packed, dtype, offset, byteLength } = tensor;
      const piece = (of: { offset: number; byteLength: number }) =>
        Uint8Array.from(this.#bytes.slice(of.offset, of.offset + of.byteLength));
      const rows = packed ? packed.unpack(packed.pieces.map(piece)) : piece({ offset, byteLength });
      return [...dequantize(dtype as FileFormat, rows)];
    };
    return { names: [...tensors.keys()], shapeOf: (name: string) => tensors.get(name)?.shape, valuesOf };
  }
}

const floats = (values: readonly number[]) => new Uint8Array(Float32Array.from(values).buffer);
const count = (length: number) => Array.from({ length }, (_, i) => i);

test('experts one under the other: gate is the first half of the rows', () => {
  const values = count(EXPERTS * ROWS * COLS);
  const file = new File()
    .add(`${PREFIX}gate_up_proj`, 'F32', [EXPERTS, ROWS, COLS], floats(values))
    .add(`${PREFIX}down_proj`, 'F32', [EXPERTS, COLS, ROWS / 2], floats(values.slice(0, values.length / 2)))
    .add('model.norm.weight', 'F32', [1], floats([7]));
  const { names, shapeOf, valuesOf } = file.split('qwen3_moe');
  assert.is(names.length, 3 * EXPERTS + 1);
  const half = (ROWS / 2) * COLS;
  for (let e = 0; e < EXPERTS; e++) {
    assert.equal(shapeOf(`${PREFIX}${e}.gate_proj.weight`), [ROWS / 2, COLS]);
    assert.equal(valuesOf(`${PREFIX}${e}.gate_proj.weight`), values.slice(2 * e * half, (2 * e + 1) * half));
    assert.equal(valuesOf(`${PREFIX}${e}.up_proj.weight`), values.slice((2 * e + 1) * half, (2 * e + 2) * half));
    assert.equal(valuesOf(`${PREFIX}${e}.down_proj.weight`), values.slice(e * half, (e + 1) * half));
  }
  assert.ok(file.split('mixtral').names.includes(`${PREFIX}1.w3.weight`));
});

test('gpt-oss: matrices lie transposed, gate and up in turns, biases too', () => {
  for (const dtype of ['F32', 'BF16']) {
    const values = count(EXPERTS * ROWS * COLS).map((i) => i % 256);
    const bytes = dtype === 'F32' ? floats(values) : floats(values).filter((_, i) => i % 4 > 1);
    const { shapeOf, valuesOf } = new File()
      .add(`${PREFIX}gate_up_proj`, dtype, [EXPERTS, COLS, ROWS], bytes)
      .add(`${PREFIX}gate_up_proj_bias`, 'F32', [EXPERTS, ROWS], floats(count(EXPERTS * ROWS)))
      .add(`${PREFIX}down_proj`, dtype, [EXPERTS, ROWS / 2, 2 * COLS], bytes)
      .add(`${PREFIX}down_proj_bias`, 'F32', [EXPERTS, COLS], floats(count(EXPERTS * COLS)))
      .split('gpt_oss');
    for (let e = 0; e < EXPERTS; e++) {
      const at = (col: number, row: number) => values[(e * COLS + col) * ROWS + row];
      for (const [first, matrix] of [
        [0, 'gate_proj'],
        [1, 'up_proj'],
      ] as const) {
        const expected = count(ROWS / 2).flatMap((row) => count(COLS).map((col) => at(col, 2 * row + first)));
        assert.equal(shapeOf(`${PREFIX}${e}.${matrix}.weight`), [ROWS / 2, COLS]);
        assert.equal(valuesOf(`${PREFIX}${e}.${matrix}.weight`), expected);
        assert.equal(
          valuesOf(`${PREFIX}${e}.${matrix}.bias`),
          count(ROWS / 2).map((row) => e * ROWS + 2 * row + first),
        );
      }
      const down = count(2 * COLS).flatMap((row) =>
        count(ROWS / 2).map((col) => values[(e * (ROWS / 2) + col) * 2 * COLS + row]),
      );
      assert.equal(valuesOf(`${PREFIX}${e}.down_proj.weight`), down);
      assert.equal(
        valuesOf(`${PREFIX}${e}.down_proj.bias`),
        count(COLS).map((i) => e * COLS + i),
      );
    }
  }
});

test('gpt-oss: MXFP4 codes and scales become blocks that mean the same', () => {
  // E2M1, table 4 of the OCP Microscaling specification.
  const E2M1 = [0, 0.5, 1, 1.5, 2, 3, 4, 6, -0, -0.5, -1, -1.5, -2, -3, -4, -6];
  const random = new Random(1);
  const blocks = COLS / 32;
  const codes = Uint8Array.from({ length: EXPERTS * ROWS * blocks * 16 }, () => random.integer(0, 255));
  const scales = Uint8Array.from({ length: EXPERTS * ROWS * blocks }, () => random.integer(100, 140));
  const { shapeOf, valuesOf } = new File()
    .add(`${PREFIX}gate_up_proj_scales`, 'U8', [EXPERTS, ROWS, blocks], scales)
    .add(`${PREFIX}gate_up_proj_blocks`, 'U8', [EXPERTS, ROWS, blocks, 16], codes)
    .split('gpt_oss');
  for (let e = 0; e < EXPERTS; e++) {
    for (const [first, matrix] of [
      [0, 'gate_proj'],
      [1, 'up_proj'],
    ] as const) {
      const expected = count(ROWS / 2).flatMap((r) =>
        count(COLS).map((col) => {
          const block = (e * ROWS + 2 * r + first) * blocks + (col >> 5);
          const byte = codes[block * 16 + ((col & 31) >> 1)];
          return E2M1[col & 1 ? byte >> 4 : byte & 15] * 2 ** (scales[block] - 127);
        }),
      );
      assert.equal(shapeOf(`${PREFIX}${e}.${matrix}.weight`), [ROWS / 2, COLS]);
      valuesOf(`${PREFIX}${e}.${matrix}.weight`).forEach((value, i) => {
        assert.ok(value === expected[i], `${matrix} ${e}, ${i}: ${value}, not ${expected[i]}`);
      });
    }
  }
});

test('what is not of the right form stays as it is, for the matcher to refuse', () => {
  const { names } = new File()
    .add(`${PREFIX}gate_up_proj`, 'F32', [EXPERTS, 5, 2], floats(count(30)))
    .add(`${PREFIX}down_proj`, 'I8', [EXPERTS, 2, 2], new Uint8Array(12))
    .add(`${PREFIX}gate_up_proj_blocks`, 'U8', [EXPERTS, 2, 1, 16], new Uint8Array(96))
    .split('qwen3_moe');
  assert.equal(names, [`${PREFIX}gate_up_proj`, `${PREFIX}down_proj`, `${PREFIX}gate_up_proj_blocks`]);
});

test('a bomb of experts is refused in a line', () => {
  const file = new File();
  for (let i = 0; i < 20; i++) file.add(`${i}.experts.gate_up_proj`, 'F32', [4096, 2, 0], new Uint8Array(0));
  assert.throws(
    () => file.split('mixtral'),
    (error: Error) => error.message === 'f: experts of more than 131072 tensors',
  );
});

test.run();
