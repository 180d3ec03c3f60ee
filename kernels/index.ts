/** `quern/kernels`: the device contract, weight formats and the devices. */

export type {
  Activation,
  BlockCopy,
  Constant,
  Device,
  DeviceKind,
  KvCache,
  KvFormat,
  KvShape,
  LogitReduction,
  OpRecorder,
  Plan,
  ReducedLogits,
  Reduction,
  Routes,
  RowDomain,
  StepInput,
  StepLimits,
  Tensor,
  TensorShape,
  Weight,
  WeightShape,
} from './contract.ts';
export { KV_BLOCK_SIZE, MAX_REDUCTION_PICKS, MAX_REDUCTION_TOP } from './contract.ts';
export { DeviceError } from './errors.ts';
export type {
  BlockShape,
  FileFormat,
  FloatFormat,
  QuantizedFormat,
  QuantizedWeightFormat,
  WeightFormat,
} from './formats.ts';
export {
  blockShape,
  convert,
  dequantize,
  FILE_FORMATS,
  floatToBfloat,
  floatToHalf,
  halfToFloat,
  isQuantized,
  kernelFormat,
  putNearestHalf,
  quantize,
  rowBytes,
  WEIGHT_FORMATS,
} from './formats.ts';
export { ReferenceDevice } from './reference/device.ts';
export type { WasmDeviceOptions } from './wasm/device.ts';
export { WasmDevice } from './wasm/device.ts';
export type { WebGpuDeviceOptions } from './webgpu/device.ts';
export { WebGpuDevice } from './webgpu/device.ts';
export type { TunedTiles } from './webgpu/tuned-tiles.ts';
export { checkTunedTiles } from './webgpu/tuned-tiles.ts';
