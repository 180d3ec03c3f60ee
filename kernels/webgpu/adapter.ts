/** Where WebGPU comes from: `navigator.gpu` in a browser, else the npm package `webgpu` (Dawn), which Node needs. */

import { DeviceError } from '../errors.ts';

/**
 * What Dawn may leave out: checks of every index, of divisors, and zeros in workgroup memory. A step's indices are checked
 * on the host before it runs, and kernels write workgroup memory before they read it. Browsers always check. Without its
 * validation (`skip_validation`) a step would be encoded in nine tenths of the time, but a kernel that does not compile would end
 * the process.
 */
const TOGGLES = [
  'disable_robustness',
  'disable_workgroup_init',
  'disable_polyfills_on_integer_div_and_mod',
  // Dawn hides the halves of NVIDIA's drivers before 615.71 (its change 8f96ae09), and with them their matrices of halves.
  'vulkan_enable_f16_on_nvidia',
  // Matrix units are an experiment of Dawn's.
  'allow_unsafe_apis',
];

/** Optional features that variants of kernels and benches use where an adapter has them; no kernel is without a plain form. */
const FEATURES = ['timestamp-query', 'shader-f16', 'subgroups', 'chromium-experimental-subgroup-matrix'];

/** `hardware` refuses adapters that compute on the CPU; `any` takes them too. */
export type AdapterChoice = 'any' | 'hardware';

/** A product of an m × k matrix and a k × n one, both of `component`, that a subgroup computes as one. */
export interface MatrixShape {
  readonly component: 'f32' | 'f16' | 'u8' | 'i8';
  readonly result: 'f32' | 'f16' | 'u32' | 'i32';
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

/** What the kernels know of the machine. */
export interface AdapterFeatures {
  readonly description: string;
  /** WGSL has `dot4I8Packed`. */
  readonly packedDot: boolean;
  /** Bounds of the threads that a subgroup has (`subgroups`); undefined where kernels cannot use them. */
  readonly subgroupThreads: { readonly least: number; readonly most: number } | undefined;
  /** WGSL has `f16` (`shader-f16`). */
  readonly halves: boolean;
  /** What the adapter's matrix units multiply (`chromium-experimental-subgroup-matrix`). */
  readonly matrixShapes: readonly MatrixShape[];
  /** Bytes of `var<immediate>` that a kernel may have; 0 where WGSL has none. */
  readonly immediateBytes: number;
  /** The adapter computes on the CPU. */
  readonly software: boolean;
  /** The GPU can tell when a pass begins and ends. */
  readonly timestamps: boolean;
}

export interface OpenedAdapter {
  readonly device: GPUDevice;
  readonly features: AdapterFeatures;
  /** Held as long as the device: without it the implementation may go away. */
  readonly gpu: GPU;
}

/**
 * Opens a device with the adapter's own limits on buffers.
 * @throws DeviceError when there is no WebGPU here, or no adapter of that kind.
 */
export async function openAdapter(choice: AdapterChoice): Promise<OpenedAdapter> {
  const gpu = await findGpu();
  const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
  if (!adapter) throw new DeviceError('device webgpu: this machine has no WebGPU adapter; use --device wasm');
  const info: ExperimentalInfo = adapter.info;
  const software = info.isFallbackAdapter || info.architecture === 'swiftshader';
  const description = info.description || info.device || info.architecture || info.vendor || 'unnamed adapter';
  if (choice === 'hardware' && software) {
    throw new DeviceError(`device webgpu: the only adapter is ${description}, which computes on the CPU`);
  }
  const { maxBufferSize, maxStorageBufferBindingSize } = adapter.limits;
  const device = await adapter
    .requestDevice({
      requiredFeatures: FEATURES.filter((feature) => adapter.features.has(feature)) as GPUFeatureName[],
      requiredLimits: { maxBufferSize, maxStorageBufferBindingSize },
    })
    .catch((error) => {
      throw new DeviceError(`device webgpu: ${description} does not open: ${(error as Error).message}`);
    });
  return {
    gpu,
    device,
    features: {
      description,
      packedDot: gpu.wgslLanguageFeatures.has('packed_4x8_integer_dot_product'),
      subgroupThreads: subgroupThreads(device, info),
      halves: device.features.has('shader-f16'),
      matrixShapes: matrixShapes(device, info),
      immediateBytes: immediateBytes(gpu, device),
      software,
      timestamps: device.features.has('timestamp-query'),
    },
  };
}

/** What adapters tell of beyond what TypeScript's own types know. */
interface ExperimentalLimits extends GPUSupportedLimits {
  readonly maxImmediateSize?: number;
}

interface ExperimentalInfo extends GPUAdapterInfo {
  readonly subgroupMatrixConfigs?: readonly {
    readonly componentType: MatrixShape['component'];
    readonly resultComponentType: MatrixShape['result'];
    readonly M: number;
    readonly N: number;
    readonly K: number;
  }[];
}

/** A compute pass where kernels may have immediates. */
export interface ImmediatesEncoder extends GPUComputePassEncoder {
  setImmediates?(offset: number, data: ArrayBuffer): void;
}

function immediateBytes({ wgslLanguageFeatures }: GPU, device: GPUDevice): number {
  const limits: ExperimentalLimits = device.limits;
  const pass: ImmediatesEncoder = device.createCommandEncoder().beginComputePass();
  if (!wgslLanguageFeatures.has('immediate_address_space') || !pass.setImmediates) return 0;
  return limits.maxImmediateSize ?? 0;
}

function subgroupThreads({ features }: GPUDevice, { subgroupMinSize, subgroupMaxSize }: GPUAdapterInfo) {
  if (!features.has('subgroups') || !subgroupMinSize || !subgroupMaxSize) return undefined;
  return { least: subgroupMinSize, most: subgroupMaxSize };
}

function matrixShapes({ features }: GPUDevice, { subgroupMatrixConfigs = [] }: ExperimentalInfo): MatrixShape[] {
  if (!features.has('chromium-experimental-subgroup-matrix' as GPUFeatureName)) return [];
  return subgroupMatrixConfigs.map(({ componentType, resultComponentType, M, N, K }) => ({
    component: componentType,
    result: resultComponentType,
    m: M,
    n: N,
    k: K,
  }));
}

async function findGpu(): Promise<GPU> {
  if (globalThis.navigator?.gpu) return navigator.gpu;
  try {
    return await createGpu();
  } catch (error) {
    throw new DeviceError(
      `device webgpu: no navigator.gpu, and the npm package "webgpu" does not load (${(error as Error).message}); run npm install webgpu, or use --device wasm`,
    );
  }
}

/** Opens the npm package `webgpu`. @param backend  one of Dawn's, rather than the system's own */
export async function createGpu(backend?: string): Promise<GPU> {
  // Not a literal, so that bundlers leave the import alone: in a browser it is never reached.
  const name = 'webgpu';
  const { create } = (await import(/* @vite-ignore */ name)) as { create: (options: string[]) => GPU };
  return create([
    `enable-dawn-features=${TOGGLES.join()}`,
    // Else times are rounded to a tenth of a millisecond.
    'disable-dawn-features=timestamp_quantization',
    ...(backend ? [`backend=${backend}`] : []),
  ]);
}
