/** The device that a load option stands for. */

import { type Device, DeviceError, ReferenceDevice, WasmDevice, WebGpuDevice } from '../kernels/index.ts';
import { RequestError } from './errors.ts';
import type { LoadOptions } from './types.ts';

/**
 * Makes the device. `webgpu` takes any adapter, one that computes on the CPU too; `auto` takes WebGPU on a GPU that passes
 * its self-check, else WASM.
 * @throws DeviceError when it cannot run here, RequestError for a name that is none
 */
export async function createDevice({ device = 'auto', threads }: LoadOptions): Promise<Device> {
  switch (device) {
    case 'auto':
      return (await hardwareDevice()) ?? WasmDevice.create({ threads });
    case 'wasm':
      return WasmDevice.create({ threads });
    case 'reference':
      return new ReferenceDevice();
    case 'webgpu':
      return WebGpuDevice.create();
    default:
      throw new RequestError(`device is ${String(device)}; expected auto, webgpu, wasm or reference`, 'device');
  }
}

async function hardwareDevice(): Promise<Device | undefined> {
  const inNode = globalThis.process?.versions?.node !== undefined;
  if (inNode && !(await import('./node/has-gpu.ts')).mayHaveGpu()) return undefined;
  try {
    return await WebGpuDevice.create({ adapter: 'hardware' });
  } catch (error) {
    if (error instanceof DeviceError) return undefined;
    throw error;
  }
}
