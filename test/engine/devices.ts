/** The devices that the engine's tests run on. */

import { type Device, ReferenceDevice, WasmDevice } from '../../kernels/index.ts';
import { WebGpuDevice } from '../../kernels/webgpu/device.ts';
import type { Gpu } from '../../kernels/webgpu/gpu.ts';
import { Pipelines } from '../../kernels/webgpu/pipelines.ts';
import { bestVariants } from '../../kernels/webgpu/variants.ts';
import { testGpu } from '../webgpu.ts';

export interface TestDevice {
  readonly kind: Device['kind'];
  readonly create: () => Promise<Device>;
  /** A GPU device that computes on the CPU. */
  readonly software?: boolean;
}

const gpu = await testGpu();
const pipelines = gpu && new Pipelines(gpu);

export const DEVICES: readonly TestDevice[] = [
  { kind: 'reference', create: async () => new ReferenceDevice() },
  { kind: 'wasm', create: () => WasmDevice.create({ threads: 2 }) },
  ...(gpu && pipelines ? [webgpu(gpu, pipelines)] : []),
];

function webgpu(gpu: Gpu, pipelines: Pipelines): TestDevice {
  const { software } = gpu.features;
  const create = async () => WebGpuDevice.share(gpu, pipelines, bestVariants(gpu.features));
  return { kind: 'webgpu', create, software };
}
