import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Activation, DeviceKind, OpRecorder, StepInput, Tensor } from '../../kernels/index.ts';
import { erf } from '../../kernels/reference/ops.ts';
import { Random } from '../random.ts';
import {
  type Bench,
  kernelDevices,
  maxDifference,
  openBench,
  plainStep,
  referenceDevice,
  sameBits,
} from './harness.ts';

const test = suite('norm, gated activation, gather');
const devices = await kernelDevices();

const benches: { name: string; kind: DeviceKind; family: string; bench: Bench }[] = [];
test.before(async () => {
  for (const { create, ...device } of [referenceDevice, ...devices])
    benches.push({ ...device, bench: await openBench(await create()) });
});
test.after(async () => {
  for (const { bench } of benches) await bench.device.close();
});

/** WGSL promises less of division, exp and tanh than IEEE arithmetic gives: as a share of the greatest result. */
const WEBGPU_TOLERANCE = 4e-6;

/**
 * Builds the same plan on every device and compares what it leaves in the output with the reference; devices of one family
 * must agree in every bit.
 */
async function sameOnAllDevices(
  build: (bench: Bench) => { ops: (record: OpRecorder) => void; out: Tensor; rows: number; step?: StepInput },
  tolerance: number,
): Promise<void> {
  let reference: Float32Array = new Float32Array();
  const first = new Map<string, Float32Array>();
  for (const { name, kind, family, bench } of benches) {
    const { ops, out, rows, step } = build(bench);
    await bench.run(ops, step ?? plainStep(rows));
    const values = await bench.read(out, rows);
    if (kind === 'reference') reference = values;
    const allowed =
      kind === 'webgpu' && tolerance > 0 ? Math.max(tolerance, greatest(reference) * WEBGPU_TOLERANCE) : tolerance;
    const difference = maxDifference(values, reference);
    assert.ok(difference <= allowed, `${name}: off by ${difference}`);
    if (!first.has(family)) first.set(family, values);
    assert.ok(sameBits(values, first.get(family)!), `${name} differs in bits from the first ${family} device`);
  }
}

function greatest(values: Float32Array): number {
  return values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
}

test('norm, with and without a residual, in place and not, at odd widths', async () => {
  for (const cols of [1, 4, 6, 63, 64, 257]) {
    for (const inPlace of [false, true]) {
      for (const residual of [false, true]) {
        const random = new Random(cols);
        const [x, add, w] = [random.floats(5 * cols), random.floats(5 * cols), random.floats(cols)];
        await sameOnAllDevices((bench) => {
          const [tableX, tableAdd] = [bench.input('x', x, cols), bench.input('add', add, cols)];
          const [tensorX, tensorAdd, other] = [bench.output(cols), bench.output(cols), bench.output(cols)];
          const weight = bench.constant(w);
          const out = inPlace ? tensorX : other;
          return {
            out,
            rows: 5,
            ops(record) {
              record.embed({ table: tableX, out: tensorX });
              record.embed({ table: tableAdd, out: tensorAdd });
              record.norm({ x: tensorX, add: residual ? tensorAdd : undefined, weight, eps: 1e-6, out });
            },
          };
        }, 2e-6);
      }
    }
  }
});

test('norm leaves the sum in x', async () => {
  const random = new Random(3);
  const [x, add] = [random.floats(2 * 20), random.floats(2 * 20)];
  await sameOnAllDevices((bench) => {
    const [tableX, tableAdd] = [bench.input('x', x, 20), bench.input('add', add, 20)];
    const [tensorX, tensorAdd, out] = [bench.output(20), bench.output(20), bench.output(20)];
    const weight = bench.constant(new Float32Array(20).fill(1));
    return {
      out: tensorX,
      rows: 2,
      ops(record) {
        record.embed({ table: tableX, out: tensorX });
        record.embed({ table: tableAdd, out: tensorAdd });
        record.norm({ x: tensorX, add: tensorAdd, weight, eps: 1e-5, out });
      },
    };
  }, 0);
});

test('norm: centred, with a bias, a scaled residual, at odd widths', async () => {
  for (const cols of [1, 4, 6, 63, 257]) {
    for (const [centered, withBias] of [
      [true, false],
      [true, true],
      [false, true],
    ]) {
      const random = new Random(cols);
      const [x, add, w, b] = [
        random.floats(5 * cols),
        random.floats(5 * cols),
        random.floats(cols),
        random.floats(cols),
      ];
      for (const i of x.keys()) x[i] += 3;
      await sameOnAllDevices((bench) => {
        const [tableX, tableAdd] = [bench.input('x', x, cols), bench.input('add', add, cols)];
        const [tensorX, tensorAdd, out] = [bench.output(cols), bench.output(cols), bench.output(cols)];
        const [weight, bias] = [bench.constant(w), withBias ? bench.constant(b) : undefined];
        return {
          out,
          rows: 5,
          ops(record) {
            record.embed({ table: tableX, out: tensorX });
            record.embed({ table: tableAdd, out: tensorAdd });
            record.norm({ x: tensorX, add: tensorAdd, addScale: 0.22, centered, weight, bias, eps: 1e-5, out });
          },
        };
      }, 4e-6);
    }
  }
});

test('norm of a range of columns leaves the others alone', async () => {
  const random = new Random(9);
  const [x, w] = [random.floats(3 * 44), random.floats(12)];
  for (const inPlace of [true, false]) {
    await sameOnAllDevices((bench) => {
      const [table, other] = [bench.input('x', x, 44), bench.input('y', x.slice().reverse(), 44)];
      const [tensor, apart] = [bench.output(44), bench.output(44)];
      const weight = bench.constant(w);
      const out = inPlace ? tensor : apart;
      return {
        out,
        rows: 3,
        ops(record) {
          record.embed({ table: other, out: apart });
          record.embed({ table, out: tensor });
          record.norm({ x: tensor, weight, eps: 1e-6, columns: { first: 24 }, out });
        },
      };
    }, 2e-6);
  }
});

test('addScaled: plain, scaled, and behind a gate', async () => {
  for (const cols of [1, 6, 64, 1027, 2050]) {
    for (const [scale, gated] of [
      [undefined, false],
      [0.3, false],
      [1.5, true],
    ] as const) {
      const random = new Random(cols);
      const [x, add, g] = [random.floats(3 * cols), random.floats(3 * cols), random.floats(3, 3)];
      await sameOnAllDevices((bench) => {
        const tables = [bench.input('x', x, cols), bench.input('add', add, cols), bench.input('gate', g, 1)];
        const tensors = [bench.output(cols), bench.output(cols), bench.output(1)];
        const [out, added, gate] = tensors;
        return {
          out,
          rows: 3,
          ops(record) {
            for (const [i, table] of tables.entries()) record.embed({ table, out: tensors[i] });
            record.addScaled({ x: out, add: added, scale, gate: gated ? gate : undefined });
          },
        };
      }, 1e-6);
    }
  }
});

test('scaleAndCap: scaled only, and capped from end to end', async () => {
  for (const cols of [1, 7, 64, 1500]) {
    for (const cap of [undefined, 5, 30]) {
      const x = new Random(cols).floats(2 * cols, 20);
      x.set([0, -0, 1e4, -1e4].slice(0, cols));
      await sameOnAllDevices(
        (bench) => {
          const table = bench.input('x', x, cols);
          const out = bench.output(cols);
          return {
            out,
            rows: 2,
            ops(record) {
              record.embed({ table, out });
              record.scaleAndCap({ x: out, scale: 0.7, cap });
            },
          };
        },
        cap === undefined ? 0 : 3e-7 * cap,
      );
    }
  }
});

const ACTIVATIONS: readonly Activation[] = ['silu', 'quick_gelu', 'gelu', 'gelu_tanh', 'relu'];

test('activation: every kind, odd widths, far ends, in place', async () => {
  for (const activation of ACTIVATIONS) {
    for (const cols of [4, 7, 514]) {
      const x = new Random(cols).floats(3 * cols, 4);
      x.set([0, -0, 100, -100, 88.5, -88.5, 1e-20].slice(0, cols));
      await sameOnAllDevices((bench) => {
        const table = bench.input('x', x, cols);
        const out = bench.output(cols);
        return {
          out,
          rows: 3,
          ops(record) {
            record.embed({ table, out });
            record.activation({ x: out, activation, out });
          },
        };
      }, 1e-5);
    }
  }
});

test('gated activation with a limit clamps gate and up, and adds one to up', async () => {
  const x = new Random(2).floats(3 * 60, 8);
  await sameOnAllDevices((bench) => {
    const table = bench.input('x', x, 60);
    const [input, out] = [bench.output(60), bench.output(30)];
    return {
      out,
      rows: 3,
      ops(record) {
        record.embed({ table, out: input });
        record.gatedActivation({ x: input, activation: 'quick_gelu', limit: 7, out });
      },
    };
  }, 2e-5);
});

test('the error function has the values of the table', () => {
  // Abramowitz and Stegun, table 7.1.
  for (const [x, value] of [
    [0, 0],
    [0.5, 0.5204998778],
    [1, 0.8427007929],
    [-1, -0.8427007929],
    [2, 0.995322265],
    [3, 0.9999779095],
    [3.5, 0.9999992569],
    [7, 1],
  ]) {
    assert.ok(Math.abs(erf(x) - value) < 1e-10, `${x}: ${erf(x)}`);
  }
});

test('gated activation: every kind, odd widths, far ends', async () => {
  for (const activation of ACTIVATIONS) {
    for (const cols of [4, 5, 64, 511, 514, 1030]) {
      const random = new Random(cols);
      const x = random.floats(3 * 2 * cols, 4);
      x.set([0, -0, 100, -100, 88.5, -88.5, 1e-20, -1e-20].slice(0, cols));
      await sameOnAllDevices((bench) => {
        const table = bench.input('x', x, 2 * cols);
        const [input, out] = [bench.output(2 * cols), bench.output(cols)];
        return {
          out,
          rows: 3,
          ops(record) {
            record.embed({ table, out: input });
            record.gatedActivation({ x: input, activation, out });
          },
        };
      }, 2e-5);
    }
  }
});

test('gatherRows picks the rows in order, repeats included', async () => {
  const random = new Random(5);
  const x = random.floats(9 * 33);
  await sameOnAllDevices((bench) => {
    const table = bench.input('x', x, 33);
    const [input, out] = [bench.output(33), bench.output(33, 'logits')];
    return {
      out,
      rows: 4,
      step: plainStep(9, { logitRows: [0, 3, 3, 8] }),
      ops(record) {
        record.embed({ table, out: input });
        record.gatherRows({ x: input, out });
      },
    };
  }, 0);
});

test('wrong shapes and steps out of range are refused with the numbers', async () => {
  for (const { create } of [referenceDevice, devices[0], ...devices.slice(-1)]) {
    const device = await create();
    const bench = await openBench(device);
    const table = bench.input('x', new Float32Array(4 * 8), 8);
    const [eight, nine] = [bench.output(8), bench.output(9)];
    const weight = bench.constant(new Float32Array(7));
    const message = (ops: (record: OpRecorder) => void) => {
      try {
        device.record(4, ops);
      } catch (error) {
        return (error as Error).message;
      }
      return 'nothing thrown';
    };
    assert.match(
      message((record) => record.embed({ table, out: nine })),
      /has 9 columns, expected 8/,
    );
    assert.match(
      message((record) => record.norm({ x: eight, weight, eps: 1, out: eight })),
      /7 values, expected 8/,
    );
    const plan = device.record(4, (record) => record.embed({ table, out: eight }));
    const rejects = async (step: StepInput) => {
      try {
        await device.run(plan, step);
      } catch (error) {
        return (error as Error).message;
      }
      return 'nothing thrown';
    };
    assert.match(await rejects(plainStep(1, { tokens: [4] })), /token id 4 at 0 is outside 0 … 3/);
    assert.match(await rejects(plainStep(5)), /5 token rows, at most 4/);
    assert.match(await rejects(plainStep(1, { positions: [16] })), /position 16 needs 2 blocks; its table has 1/);
    assert.match(await rejects(plainStep(1, { logitRows: [1] })), /logit row 1/);
    await device.close();
    let closed = '';
    await device.run(plan, plainStep(1)).catch((error) => {
      closed = error.message;
    });
    assert.match(closed, /is closed/);
  }
});

test.run();
