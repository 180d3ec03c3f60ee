/** The devices that kernels are timed on, each with what bounds it and its own way to tell the time. */

import { type Device, type Plan, quantize, type StepInput, WasmDevice, type Weight } from '../../kernels/index.ts';
import type { DotMethods } from '../../kernels/wasm/features.ts';
import { openAdapter } from '../../kernels/webgpu/adapter.ts';
import { WebGpuDevice } from '../../kernels/webgpu/device.ts';
import { Gpu } from '../../kernels/webgpu/gpu.ts';
import { Pipelines } from '../../kernels/webgpu/pipelines.ts';
import { bestVariants, type LinearTile, PLAIN_VARIANTS, type Variants } from '../../kernels/webgpu/variants.ts';
import { type GpuPeaks, measurePeaks } from './gpu-peaks.ts';
import type { Kind } from './options.ts';

export interface BenchDevice<D extends Device = Device> {
  readonly device: D;
  /** Milliseconds of one run of a step. */
  time(plan: Plan, step: StepInput): Promise<number>;
  /** Fills a weight with small numbers, none of which matters. */
  fill(weight: Weight): Promise<void>;
}

const PATTERN_ROWS = 64;

function pattern({ cols, format }: Weight): Uint8Array {
  return quantize(
    format,
    Float32Array.from({ length: cols * PATTERN_ROWS }, (_, i) => Math.sin(i) / 8),
  );
}

export async function openWasm(threads: number, dotMethods?: DotMethods): Promise<BenchDevice<WasmDevice>> {
  const device = await WasmDevice.create({ threads, dotMethods });
  return {
    device,
    async time(plan, step) {
      const start = performance.now();
      await device.run(plan, step);
      return performance.now() - start;
    },
    async fill(weight) {
      const piece = pattern(weight);
      for (let row = 0; row < weight.rows; row += PATTERN_ROWS) {
        const rows = Math.min(PATTERN_ROWS, weight.rows - row);
        const part = piece.subarray(0, (piece.length / PATTERN_ROWS) * rows);
        await device.writeWeight(weight, row, part, weight.format);
      }
    },
  };
}

/** A GPU for a whole bench: devices with other variants share it, and close one by one. */
export class GpuBench {
  readonly gpu: Gpu;
  readonly peaks: GpuPeaks;
  readonly #pipelines: Pipelines;

  static async open(): Promise<GpuBench> {
    const gpu = new Gpu(await openAdapter('any'));
    return new GpuBench(gpu, await measurePeaks(gpu, gpu.features.software ? 2 ** 26 : 2 ** 30));
  }

  private constructor(gpu: Gpu, peaks: GpuPeaks) {
    this.gpu = gpu;
    this.peaks = peaks;
    this.#pipelines = new Pipelines(gpu);
  }

  /** @param variants  other than those that suit the adapter best */
  device(variants: Partial<Variants> = {}): BenchDevice<WebGpuDevice> {
    const best = bestVariants(this.gpu.features);
    const device = WebGpuDevice.share(this.gpu, this.#pipelines, { ...best, compileAhead: false, ...variants });
    return {
      device,
      async time(plan, step) {
        const [{ milliseconds }] = await device.profile(plan, step);
        return milliseconds;
      },
      fill: (weight) => fillByCopies(device, weight),
    };
  }

  close(): void {
    this.gpu.close();
  }
}

/** Fills a weight by copies on the GPU of some rows of its own format. */
export async function fillByCopies(
  device: Pick<WebGpuDevice, 'createWeight' | 'writeWeight' | 'fillWeight'>,
  weight: Weight,
): Promise<void> {
  const { format, cols } = weight;
  const rows = device.createWeight({ name: 'pattern', rows: PATTERN_ROWS, cols, format });
  await device.writeWeight(rows, 0, pattern(weight), format);
  device.fillWeight(weight, rows);
}

/**
 * `--set wideRows=64,packedDot=false` as variants; numbers and booleans. `threads`, `outs` and `loads` are of linear for few
 * rows.
 */
export function parseVariants(text: string): Partial<Variants> {
  const values: Record<string, number | boolean> = {};
  const linearTile: Record<string, number> = {};
  for (const entry of text.split(',').filter(Boolean)) {
    const [name, value] = entry.split('=');
    if (TILE_FIELDS.has(name)) linearTile[name] = Number(value);
    else values[name] = value === 'true' || value === 'false' ? value === 'true' : Number(value);
  }
  return { ...values, linearTile };
}

const TILE_FIELDS = new Set<string>(['threads', 'outs', 'loads'] satisfies (keyof LinearTile)[]);

const VARIANT_NAMES = [
  ...Object.entries(PLAIN_VARIANTS).flatMap(([name, value]) => (typeof value === 'object' ? [] : [name])),
  ...TILE_FIELDS,
];

/** What {@link parseVariants} takes. */
export const VARIANTS: Kind<string> = {
  value: 'NAME=VALUE,…',
  expected: `numbers, true or false for ${VARIANT_NAMES.join(', ')}`,
  choices: VARIANT_NAMES,
  read: (text) => (text.split(',').filter(Boolean).every(isVariant) ? text : undefined),
};

function isVariant(entry: string): boolean {
  const [name, value] = entry.split('=');
  return VARIANT_NAMES.includes(name) && /^(true|false|\d+)$/.test(value);
}
