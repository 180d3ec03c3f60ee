/** The device that a load option stands for. */

import {
  checkTunedTiles,
  type Device,
  DeviceError,
  ReferenceDevice,
  WasmDevice,
  WebGpuDevice,
  type WebGpuDeviceOptions,
} from '../kernels/index.ts';
import { RequestError } from './errors.ts';
import type { LoadOptions } from './types.ts';

/**
 * Makes the device. `webgpu` takes any adapter, one that computes on the CPU too; `auto` takes WebGPU on a GPU that passes
 * its self-check, else WASM.
 * @throws DeviceError when it cannot run here or `tunedTiles` is none, RequestError for a name that is none
 */
export async function createDevice(options: LoadOptions): Promise<Device> {
  const { device = 'auto', threads } = options;
  const tunedTiles = findTunedTiles(options);
  switch (device) {
    case 'auto':
      return (await hardwareDevice(tunedTiles)) ?? WasmDevice.create({ threads });
    case 'wasm':
      return WasmDevice.create({ threads });
    case 'reference':
      return new ReferenceDevice();
    case 'webgpu':
      return WebGpuDevice.create({ tunedTiles });
    default:
      throw new RequestError(`device is ${String(device)}; expected auto, webgpu, wasm or reference`, 'device');
  }
}

async function hardwareDevice(tunedTiles: WebGpuDeviceOptions['tunedTiles']): Promise<Device | undefined> {
  if (inNode() && !(await import('./node/has-gpu.ts')).mayHaveGpu()) return undefined;
  try {
    return await WebGpuDevice.create({ adapter: 'hardware', tunedTiles });
  } catch (error) {
    if (error instanceof DeviceError) return undefined;
    throw error;
  }
}

/** Those of the options, checked; else those that are kept for the adapter. */
function findTunedTiles({ tunedTiles, onWarning = console.warn }: LoadOptions): WebGpuDeviceOptions['tunedTiles'] {
  if (tunedTiles) return checkTunedTiles(tunedTiles);
  return async (adapter) => {
    const kept = inNode() ? await import('./node/tuned-tiles.ts') : await import('./browser/tuned-tiles.ts');
    return kept.readTunedTiles(adapter, onWarning);
  };
}

function inNode(): boolean {
  return globalThis.process?.versions?.node !== undefined;
}
