/**
 * What a GPU can do at best, measured in the same run as the kernels it is held against: bytes read and copied a second,
 * multiply-adds a second by each way there is, and what a dispatch costs that waits for the one before it.
 */

import type { Gpu } from '../../kernels/webgpu/gpu.ts';
import { GpuMemory } from '../../kernels/webgpu/gpu.ts';
import { Timestamps } from '../../kernels/webgpu/timestamps.ts';

export interface GpuPeaks {
  /** GB/s of a kernel that only reads. */
  readonly readBandwidth: number;
  /** GB/s of a buffer copied to another, reading and writing counted. */
  readonly copyBandwidth: number;
  /** Operations a second in 10⁹, a multiply-add being two; absent where the adapter has no such instruction. */
  readonly gigaflops: Readonly<Record<string, number>>;
  /** Microseconds of a small dispatch that needs what the one before it wrote. */
  readonly dispatchMicroseconds: number;
}

const TIMES = 5;

const READ = `
@group(0) @binding(0) var<storage, read> source: array<vec4u>;
@group(0) @binding(1) var<storage, read_write> sink: array<u32>;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) count: vec3u) {
  let step = count.x * 256u;
  let end = arrayLength(&source);
  var sum = vec4u(0u);
  for (var i = id.x; i < end; i += 4u * step) {
    sum ^= source[i] ^ source[min(i + step, end - 1u)] ^ source[min(i + 2u * step, end - 1u)]
      ^ source[min(i + 3u * step, end - 1u)];
  }
  if (sum.x == 0x12345678u && sum.y == 1u) { sink[0] = sum.z ^ sum.w; }
}`;

/** One small workgroup that adds to what the last one left. */
const CHAIN = `
@group(0) @binding(0) var<storage, read> source: array<vec4u>;
@group(0) @binding(1) var<storage, read_write> sink: array<u32>;
@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) thread: u32) { sink[thread] += source[0].x; }`;

/** `TURNS` turns of eight independent multiply-adds; the operands come from memory, so that nothing is folded. */
function arithmetic(head: string, type: string, operand: string, add: string, toWord: string): string {
  const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
  return `${head}
@group(0) @binding(0) var<storage, read> source: array<vec4u>;
@group(0) @binding(1) var<storage, read_write> sink: array<u32>;
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u) {
  let word = source[id.x % 16u];
  let x = ${operand};
  ${names.map((name, i) => `var ${name} = ${type}(${i});`).join(' ')}
  for (var turn = 0u; turn < TURNS; turn++) {
    ${names.map((name) => `${name} = ${add.replaceAll('$', name)};`).join(' ')}
  }
  let sum = ${names.join(' + ')};
  let left = ${toWord};
  if (left == 0x12345678u) { sink[0] = left; }
}
const TURNS = 512u;`;
}

/** Operations of one thread of each kernel. */
const ARITHMETIC: readonly { name: string; code: string; operations: number }[] = [
  {
    name: 'f32',
    code: arithmetic(
      '',
      'vec4f',
      'unpack4x8snorm(word.x)',
      'fma($, x, x)',
      'bitcast<u32>(sum.x + sum.y + sum.z + sum.w)',
    ),
    operations: 512 * 8 * 4 * 2,
  },
  {
    name: 'f16',
    code: arithmetic(
      'enable f16;',
      'vec4h',
      'vec4h(unpack4x8snorm(word.x))',
      'fma($, x, x)',
      'bitcast<u32>(vec2h(sum.xy + sum.zw))',
    ),
    operations: 512 * 8 * 4 * 2,
  },
  {
    name: 'dot4I8Packed',
    code: arithmetic('', 'i32', 'word.x', '($ + dot4I8Packed(x, bitcast<u32>($)))', 'bitcast<u32>(sum)'),
    operations: 512 * 8 * 4 * 2,
  },
];

/** @param bytes  of the buffers read and copied: more than any cache holds */
export async function measurePeaks(gpu: Gpu, bytes: number): Promise<GpuPeaks> {
  const memory = new GpuMemory(gpu);
  const { device } = gpu;
  const size = Math.min(bytes, gpu.limits.bufferBytes);
  const [source, target] = [memory.allocate(size, 'read from'), memory.allocate(size, 'written to')];
  const sink = memory.allocate(4096, 'sink');

  /** Least milliseconds of `count` dispatches in one pass; undefined when the kernel does not compile. */
  const time = async (code: string, workgroups: number, count: number): Promise<number | undefined> => {
    device.pushErrorScope('validation');
    const module = device.createShaderModule({ code });
    const pipeline = await device
      .createComputePipelineAsync({ layout: 'auto', compute: { module } })
      .catch(() => undefined);
    const error = await device.popErrorScope();
    if (!pipeline || error) return undefined;
    const group = device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: [source, sink].map((buffer, binding) => ({ binding, resource: { buffer } })),
    });
    let least = Number.POSITIVE_INFINITY;
    for (let i = 0; i < TIMES; i++) {
      const stamps = new Timestamps(gpu, memory, 1);
      const encoder = device.createCommandEncoder();
      const pass = encoder.beginComputePass(stamps.descriptor(0));
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, group);
      for (let j = 0; j < count; j++) pass.dispatchWorkgroups(workgroups);
      pass.end();
      const [milliseconds] = await stamps.submit(encoder);
      least = Math.min(least, milliseconds);
    }
    return least;
  };

  const gigaflops: Record<string, number> = {};
  const groups = gpu.features.software ? 8 : 8192;
  for (const { name, code, operations } of ARITHMETIC) {
    const milliseconds = await time(code, groups, 1);
    if (milliseconds !== undefined) gigaflops[name] = (groups * 256 * operations) / milliseconds / 1e6;
  }
  const chained = 100;
  const peaks = {
    readBandwidth: size / ((await time(READ, 4096, 1)) ?? Number.NaN) / 1e6,
    copyBandwidth: (2 * size) / (await copyTime(gpu, source, target, size)) / 1e6,
    gigaflops,
    dispatchMicroseconds: (1000 * ((await time(CHAIN, 1, chained)) ?? Number.NaN)) / chained,
  };
  memory.freeAll();
  return peaks;
}

/** Least milliseconds of a copy. Copies belong to no pass, so they are timed from the host, several at once. */
async function copyTime(gpu: Gpu, from: GPUBuffer, to: GPUBuffer, bytes: number): Promise<number> {
  const copies = 4;
  let least = Number.POSITIVE_INFINITY;
  for (let i = 0; i < TIMES; i++) {
    const encoder = gpu.device.createCommandEncoder();
    for (let j = 0; j < copies; j++) encoder.copyBufferToBuffer(from, 0, to, 0, bytes);
    const start = performance.now();
    gpu.device.queue.submit([encoder.finish()]);
    await gpu.device.queue.onSubmittedWorkDone();
    least = Math.min(least, (performance.now() - start) / copies);
  }
  return least;
}
