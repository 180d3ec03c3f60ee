/**
 * Each kernel alone, against what bounds it: GB/s of weights or keys and values beside the bandwidth measured in the same
 * run, and operations a second for products. Weights of several copies are used in turn, so that no cache holds them.
 *
 * `--tune` tries the tiles of linear for one row on the matrices of a model, and keeps the best of each in the user's cache
 * folder, where the engine finds them. Results go to bench/results/ too, with a plot.
 */

import { keepTunedTiles } from '../engine/node/tuned-tiles.ts';
import type { DotMethods } from '../kernels/wasm/features.ts';
import { TILE_SIZES } from '../kernels/webgpu/tuned-tiles.ts';
import type { LinearTile } from '../kernels/webgpu/variants.ts';
import { type BenchDevice, GpuBench, openWasm, parseVariants, VARIANTS } from './support/bench-device.ts';
import type { GpuPeaks } from './support/gpu-peaks.ts';
import {
  type CaseGroup,
  caseGroups,
  KERNEL_SHAPES,
  type KernelCase,
  MAX_ROWS,
  STEP_LIMITS,
  stepOf,
} from './support/kernel-cases.ts';
import { modelShape } from './support/model-shape.ts';
import { INTEGER, listOf, oneOf, readOptions, SWITCH, string } from './support/options.ts';
import { writeResult } from './support/results.ts';
import { machine, median, printTable, rounded } from './support/table.ts';

const DOTS: Record<string, DotMethods> = {
  wide: { Q8_0: 'wide', Q4_0: 'wide' },
  dot16: { Q8_0: 'wide', Q4_0: 'dot16' },
  dot32: { Q8_0: 'dot32', Q4_0: 'dot32' },
  bytes: { Q8_0: 'bytes', Q4_0: 'dot32' },
};
const options = readOptions({
  about: 'Each kernel alone: microseconds, operations and bytes a second beside the bandwidth of the same run.',
  examples: [
    ['', 'wasm: all kernels, 1 thread, shapes of Qwen2.5-0.5B'],
    ['--only "linear Q4_0" --threads 2 --dots wide', 'wasm: one kernel, one way to multiply'],
    ['--device webgpu', "all kernels at the shapes of a 7B model, by the GPU's own clock"],
    ['--device webgpu --only "linear Q4_0" --rows 1,4 --set outs=2,threads=64 --set packedDot=false', 'side by side'],
    ['--device webgpu --only "linear Q4_0" --rows 64,512 --set "" --set matrices=false', 'without an optional feature'],
    ['--device webgpu --tune --model path/to/model', 'finds the fastest tiles for a model, and keeps them'],
  ],
  options: {
    device: { kind: oneOf('wasm', 'webgpu'), fallback: 'wasm', help: 'where the kernels run' },
    only: { kind: string('TEXT'), fallback: '', help: 'kernels whose names hold this' },
    shape: { kind: oneOf(...Object.keys(KERNEL_SHAPES)), help: 'whose matrices; 0.5b on wasm, 7b on webgpu' },
    model: { kind: string('MODEL'), help: 'matrices of a model instead' },
    rows: { kind: listOf(INTEGER), help: 'row counts of the linear kernels' },
    set: { kind: VARIANTS, fallback: '', repeated: true, help: 'variants of webgpu, side by side' },
    tune: { kind: SWITCH, help: 'tries the tiles of linear for one row on webgpu, and keeps the best of each matrix' },
    threads: { kind: INTEGER, fallback: '1', help: 'threads of wasm' },
    dots: { kind: oneOf(...Object.keys(DOTS)), help: 'how wasm multiplies integers' },
    repeat: { kind: INTEGER, help: 'runs, of which the median counts; 7 on wasm, 3 on webgpu' },
    megabytes: { kind: INTEGER, help: 'weights used in turn; 128 on wasm, 256 on webgpu' },
  },
});
const onGpu = options.device === 'webgpu';
const repeat = options.repeat ?? (onGpu ? 3 : 7);
if (options.tune && !onGpu) throw new Error('bench kernels: --tune is for --device webgpu');

interface Result {
  readonly name: string;
  readonly rows: number;
  /** What was set; empty for the defaults. */
  readonly set: string;
  readonly microseconds: number;
  readonly gigaflops?: number;
  readonly gigabytes?: number;
  /** Of the read bandwidth. */
  readonly share?: number;
}

const groups = caseGroups({
  shape: options.model ? await modelShape(options.model) : KERNEL_SHAPES[options.shape ?? (onGpu ? '7b' : '0.5b')],
  rows: options.rows ?? (onGpu ? [1, 2, 4, 8, 16, 64, 512] : [1, 2, 4, 8, 64, 512]),
  weightBytes: (options.megabytes ?? (onGpu ? 256 : 128)) * 2 ** 20,
  widest: !onGpu,
});

if (options.tune) await tune();
else if (onGpu) await measureWebGpu();
else await measureWasm(options.threads);

async function measureWasm(threads: number): Promise<void> {
  const bench = await openWasm(threads, options.dots ? DOTS[options.dots] : undefined);
  const bandwidth = await bench.device.readBandwidth(256 * 2 ** 20, 10);
  bench.device.setStepLimits(STEP_LIMITS);
  const results: Result[] = [];
  for (const group of groups) results.push(...(await measure(bench, group, '', bandwidth)));
  const { description } = bench.device;
  await bench.device.close();
  await report(results, description, { readBandwidth: bandwidth });
}

/** A device for each group of cases, since a GPU's memory does not hold the weights of all. */
async function measureWebGpu(): Promise<void> {
  const gpu = await GpuBench.open();
  const results: Result[] = [];
  for (const group of groups) {
    for (const set of options.set) {
      const bench = gpu.device(parseVariants(set));
      bench.device.setStepLimits(STEP_LIMITS);
      try {
        results.push(...(await measure(bench, group, set, gpu.peaks.readBandwidth)));
      } catch (error) {
        console.error(`${group.name} ${set}: ${(error as Error).message}`);
      }
      await bench.device.close();
    }
  }
  gpu.close();
  await report(results, gpu.gpu.features.description, gpu.peaks);
}

/** Tries every tile on the weights of a layer, one row of x at a time, and keeps the best of each. */
async function tune(): Promise<void> {
  const gpu = await GpuBench.open();
  const candidates = candidateTiles();
  const tiles: Record<string, LinearTile> = {};
  const times: Record<string, number[]> = {};
  for (const group of groups.filter(isWanted)) {
    for (const [i, tile] of candidates.entries()) {
      const bench = gpu.device({ linearTile: tile, plainLinear: false });
      bench.device.setStepLimits(STEP_LIMITS);
      for (const one of await group.cases(bench)) {
        // Two matrices of a layer may be of one shape.
        if (one.rows !== 1 || !one.tileKey || times[one.tileKey]?.length > i) continue;
        const { microseconds } = await measureCase(bench, one, '', gpu.peaks.readBandwidth);
        times[one.tileKey] ??= [];
        times[one.tileKey].push(microseconds);
        if (microseconds === Math.min(...times[one.tileKey])) tiles[one.tileKey] = tile;
      }
      await bench.device.close();
    }
  }
  gpu.close();
  for (const [key, all] of Object.entries(times)) {
    const best = [...all.keys()].sort((a, b) => all[a] - all[b]).slice(0, 5);
    const worst = rounded(Math.max(...all));
    const shown = best.map((i) => `${rounded(all[i])} µs ${JSON.stringify(candidates[i])}`);
    console.log(`${key}: ${shown.join(', ')}; worst ${worst} µs`);
  }
  const { description: adapter, software } = gpu.gpu.features;
  writeResult(`tiles-${adapter}`, { bench: 'tiles', tiles, times });
  console.log(`kept in ${await keepTunedTiles({ adapter, tiles })}`);
  if (software) console.log('this adapter computes on the CPU, where models run without tiles');
}

function candidateTiles(): LinearTile[] {
  return TILE_SIZES.threads.flatMap((threads) =>
    TILE_SIZES.outs.flatMap((outs) => TILE_SIZES.loads.map((loads) => ({ threads, outs, loads }))),
  );
}

/** Groups whose names have nothing of what is wanted are not made at all; what is left is told apart by its own name. */
function isWanted(group: CaseGroup): boolean {
  return group.name.includes(options.only.split(' ').slice(0, 2).join(' '));
}

async function measure(bench: BenchDevice, group: CaseGroup, set: string, bandwidth: number): Promise<Result[]> {
  const results: Result[] = [];
  if (!isWanted(group)) return results;
  for (const one of await group.cases(bench)) {
    if (!one.name.includes(options.only)) continue;
    try {
      results.push(await measureCase(bench, one, set, bandwidth));
      if (onGpu)
        console.error(`${one.name}, ${one.rows} rows ${set}: ${rounded(results[results.length - 1].microseconds)} µs`);
    } catch (error) {
      console.error(`${one.name}, ${one.rows} rows ${set}: ${(error as Error).message}`);
    }
  }
  return results;
}

async function measureCase(bench: BenchDevice, one: KernelCase, set: string, bandwidth: number): Promise<Result> {
  const plan = bench.device.record(MAX_ROWS, one.record);
  const step = stepOf(one.rows, one.position ?? 0, one.isBatch);
  const times: number[] = [];
  const warm = onGpu ? 1 : 3;
  for (let i = 0; i < warm + repeat; i++) {
    const milliseconds = await bench.time(plan, step);
    if (i >= warm) times.push(milliseconds / one.copies);
  }
  const milliseconds = median(times);
  const gigabytes = one.bytes && one.bytes / milliseconds / 1e6;
  return {
    name: one.name,
    rows: one.rows,
    set,
    microseconds: 1000 * milliseconds,
    gigaflops: one.macs && (2 * one.macs) / milliseconds / 1e6,
    gigabytes,
    share: gigabytes && gigabytes / bandwidth,
  };
}

async function report(results: readonly Result[], device: string, peaks: Partial<GpuPeaks>): Promise<void> {
  console.log(`${device}; ${machine().cpu}, Node ${process.version}`);
  for (const [name, value] of Object.entries(peaks)) {
    console.log(
      `${name}: ${typeof value === 'number' ? rounded(value, 2) : JSON.stringify(value, (_, n) => (typeof n === 'number' ? rounded(n) : n))}`,
    );
  }
  console.log();
  printTable(
    ['kernel', 'rows', 'set', 'µs', 'GFLOP/s', 'GB/s', 'of read'],
    results.map((r) => [
      r.name,
      r.rows,
      r.set,
      rounded(r.microseconds),
      r.gigaflops === undefined ? '' : rounded(r.gigaflops, 0),
      r.gigabytes === undefined ? '' : rounded(r.gigabytes),
      r.share === undefined ? '' : `${rounded(100 * r.share, 0)}%`,
    ]),
  );
  writeResult(`kernels-${device}`, { bench: 'kernels', device, peaks, results }, await plot(results, device));
}

/** What is bound by memory as GB/s, and products as GFLOP/s, for each setting. */
async function plot(results: readonly Result[], device: string): Promise<string | undefined> {
  // Figures are wanted too where the plotting library is not installed.
  const { plotSvg } = await import('./support/plot.ts').catch(() => ({ plotSvg: undefined }));
  if (!plotSvg) return undefined;
  const figures = [
    { name: 'GB/s', of: (r: Result) => r.gigabytes, rows: (r: Result) => r.rows === 1 },
    { name: 'GFLOP/s', of: (r: Result) => r.gigaflops, rows: (r: Result) => r.rows > 1 },
  ];
  const sets = [...new Set(results.map(({ set }) => set))];
  return plotSvg(
    figures.flatMap(({ name, of, rows }) => {
      const shown = results.filter((r) => rows(r) && of(r) !== undefined);
      const labelOf = (r: Result) => `${r.name}, ${r.rows}`;
      const labels = [...new Set(shown.map(labelOf))];
      const figureOf = (set: string) => (label: string) => {
        const result = shown.find((r) => r.set === set && labelOf(r) === label);
        return (result && of(result)) ?? null;
      };
      if (labels.length === 0) return [];
      return {
        title: `${name}, ${device}`,
        x: { name: 'kernel, rows', labels },
        y: { name },
        series: sets.map((set) => ({ name: set || 'as chosen', values: labels.map(figureOf(set)) })),
        kind: 'bar' as const,
      };
    }),
  );
}
