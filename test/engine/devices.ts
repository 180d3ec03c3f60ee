/** The devices that the engine's tests run on. */

import { type Device, ReferenceDevice, WasmDevice } from '../../kernels/index.ts';

export interface TestDevice {
  readonly kind: Device['kind'];
  readonly create: () => Promise<Device>;
}

export const DEVICES: readonly TestDevice[] = [
  { kind: 'reference', create: async () => new ReferenceDevice() },
  { kind: 'wasm', create: () => WasmDevice.create({ threads: 2 }) },
];
