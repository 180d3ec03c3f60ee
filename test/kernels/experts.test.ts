import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { type Device, quantize, type WeightFormat } from '../../kernels/index.ts';
import { Random } from '../random.ts';
import { kernelDevices, MAX_ROWS, maxDifference, openBench, plainStep, referenceDevice, sameBits } from './harness.ts';

const test = suite('mixtures of experts');
const devices = await kernelDevices();

interface Shape {
  readonly experts: number;
  readonly perToken: number;
  readonly cols: number;
  /** Width of an expert; its matrices are `[outs, cols]` and `[cols, outs / 2]`. */
  readonly outs: number;
  readonly format: WeightFormat;
  readonly normalize: boolean;
  readonly bias?: boolean;
  readonly groups?: { readonly count: number; readonly chosen: number };
}

/** The mixture of two layers of experts for some of 40 rows, each of which has random inputs and scores. */
async function mix(device: Device, shape: Shape, tokens: readonly number[]): Promise<Float32Array> {
  const { experts, perToken, cols, outs, format, normalize } = shape;
  const random = new Random(experts + cols);
  const bench = await openBench(device);
  const input = bench.input('x', random.floats(MAX_ROWS * cols), cols);
  const scoreTable = bench.input('scores', random.floats(MAX_ROWS * experts), experts);
  const routes = device.createRoutes({ experts, perToken });
  const matrices = async (name: string, rows: number, width: number) => {
    const weight = device.createWeight({ name, rows: experts * rows, cols: width, format, matrices: experts });
    // In two pieces, with a cut inside of a matrix.
    const [values, first] = [quantize(format, random.floats(experts * rows * width, 0.3)), rows + 3];
    const rowBytes = values.length / (experts * rows);
    await device.writeWeight(weight, 0, values.subarray(0, first * rowBytes), format);
    await device.writeWeight(weight, first, values.subarray(first * rowBytes), format);
    return weight;
  };
  const up = await matrices('up', outs, cols);
  const down = await matrices('down', cols, outs / 2);
  const bias = shape.bias ? bench.constant(random.floats(experts * outs)) : undefined;
  const [x, scores, out] = [bench.output(cols), bench.output(experts), bench.output(cols)];
  const routed = (name: string, width: number) =>
    device.createTensor({ name, maxRows: perToken * MAX_ROWS, cols: width, perRow: perToken });
  const [each, wide, narrow, results] = [
    routed('each', cols),
    routed('wide', outs),
    routed('narrow', outs / 2),
    routed('results', cols),
  ];
  await bench.run(
    (record) => {
      record.embed({ table: input, out: x });
      record.embed({ table: scoreTable, out: scores });
      record.route({ scores, normalize, scale: 1.25, groups: shape.groups, routes });
      record.gatherRoutes({ x, routes, out: each });
      record.expertLinear({ x: each, routes, weights: [up], bias, out: wide });
      record.gatedActivation({ x: wide, activation: 'silu', out: narrow });
      record.expertLinear({ x: narrow, routes, weights: [down], out: results });
      record.mixRoutes({ x: results, routes, out });
    },
    plainStep(tokens.length, { tokens }),
  );
  const values = await bench.read(out, tokens.length);
  await device.close();
  return values;
}

const SHAPES: readonly Shape[] = [
  { experts: 4, perToken: 2, cols: 24, outs: 20, format: 'F32', normalize: true },
  { experts: 9, perToken: 3, cols: 20, outs: 12, format: 'BF16', normalize: false, bias: true },
  { experts: 8, perToken: 2, cols: 64, outs: 128, format: 'Q8_0', normalize: true },
  { experts: 3, perToken: 3, cols: 32, outs: 64, format: 'Q4_0', normalize: false },
  { experts: 12, perToken: 3, cols: 16, outs: 8, format: 'F32', normalize: false, groups: { count: 4, chosen: 2 } },
  { experts: 8, perToken: 5, cols: 160, outs: 192, format: 'Q8_0', normalize: true, bias: true },
  { experts: 5, perToken: 1, cols: 40, outs: 16, format: 'F16', normalize: true },
];

const ALL = Array.from({ length: MAX_ROWS }, (_, i) => i);

for (const shape of SHAPES) {
  const { experts, perToken, format } = shape;
  test(`${perToken} of ${experts} experts, ${format}: equal the reference, alone and in any company`, async () => {
    const want = await mix(await referenceDevice.create(), shape, ALL);
    const greatest = want.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    // Integer formats round activations to 8 bits, twice over.
    const tolerance = format.startsWith('Q') ? 0.03 * greatest : 3e-6 * greatest;
    const firsts = new Map<string, Float32Array>();
    for (const { name, family, create } of devices) {
      const got = await mix(await create(), shape, ALL);
      assert.ok(maxDifference(got, want) <= tolerance, `${name}: off by ${maxDifference(got, want)}`);
      const first = firsts.get(family) ?? got;
      assert.ok(sameBits(got, first), `${name} differs in bits from the first ${family} device`);
      if (firsts.has(family)) continue;
      firsts.set(family, got);
      for (const tokens of [[7], [39, 0], [3, 3, 5, 8, 21, 22, 23], ALL.slice().reverse()]) {
        const some = await mix(await create(), shape, tokens);
        for (const [r, token] of tokens.entries()) {
          const [row, wanted] = [some.subarray(r * shape.cols), got.subarray(token * shape.cols)];
          assert.ok(
            sameBits(row.slice(0, shape.cols), wanted.slice(0, shape.cols)),
            `${name}: row ${token} of ${tokens}`,
          );
        }
      }
    }
  });
}

test('of equal scores the first experts are taken; scores that are no numbers reach no memory but their own', async () => {
  for (const { name, create } of [referenceDevice, ...devices]) {
    const device = await create();
    const bench = await openBench(device);
    const table = bench.input('scores', Float32Array.from([1, 2, 2, 2, 0, ...new Array(5).fill(Number.NaN)]), 5);
    const identity = bench.input('x', Float32Array.from([1, 1]), 1);
    const routes = device.createRoutes({ experts: 5, perToken: 2 });
    const weight = device.createWeight({ name: 'numbers', rows: 5, cols: 1, format: 'F32', matrices: 5 });
    await device.writeWeight(weight, 0, new Uint8Array(Float32Array.from([1, 10, 100, 1000, 10000]).buffer), 'F32');
    const [scores, x, out] = [bench.output(5), bench.output(1), bench.output(1)];
    const [each, results] = ['each', 'results'].map((of) =>
      device.createTensor({ name: of, maxRows: 2 * MAX_ROWS, cols: 1, perRow: 2 }),
    );
    await bench.run((record) => {
      record.embed({ table, out: scores });
      record.embed({ table: identity, out: x });
      record.route({ scores, normalize: true, routes });
      record.gatherRoutes({ x, routes, out: each });
      record.expertLinear({ x: each, routes, weights: [weight], out: results });
      record.mixRoutes({ x: results, routes, out });
    }, plainStep(2));
    const [first, second] = await bench.read(out, 2);
    assert.is(first, 55, name);
    // A GPU may take NaN for a number.
    assert.ok(Number.isNaN(second) || second === 1, `${name}: ${second}`);
    await device.close();
  }
});

test.run();
