/** The device that a load option stands for. */

import { type Device, DeviceError, ReferenceDevice, WasmDevice } from '../kernels/index.ts';
import { RequestError } from './errors.ts';
import type { LoadOptions } from './types.ts';

/**
 * Makes the device; `auto` takes the fastest one there is.
 * @throws DeviceError when it cannot run here, RequestError for a name that is none
 */
export async function createDevice({ device = 'auto', threads }: LoadOptions): Promise<Device> {
  switch (device) {
    case 'auto':
    case 'wasm':
      return WasmDevice.create({ threads });
    case 'reference':
      return new ReferenceDevice();
    case 'webgpu':
      throw new DeviceError('device webgpu: not available yet; expected auto, wasm or reference');
    default:
      throw new RequestError(`device is ${String(device)}; expected auto, webgpu, wasm or reference`, 'device');
  }
}
