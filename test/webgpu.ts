/** The GPU that tests run on: one for a test process, since each compiles its kernels anew. */

import { DeviceError } from '../kernels/index.ts';
import { type AdapterFeatures, openAdapter } from '../kernels/webgpu/adapter.ts';
import { Gpu } from '../kernels/webgpu/gpu.ts';
import { enterSwiftShader, swiftShaderEnv } from './swiftshader.ts';

let opened: Promise<Gpu | undefined> | undefined;

/** The test process's GPU, named in a line of its own; undefined, and said so, where there is no adapter. */
export function testGpu(): Promise<Gpu | undefined> {
  enterSwiftShader();
  opened ??= open();
  return opened;
}

async function open(): Promise<Gpu | undefined> {
  try {
    const opened = await openAdapter('any');
    const features = crashesOnMatrices(opened.features) ? { ...opened.features, matrixShapes: [] } : opened.features;
    const gpu = new Gpu({ ...opened, features });
    console.log(`note: webgpu on ${gpu.features.description}`);
    return gpu;
  } catch (error) {
    // Where SwiftShader runs there is an adapter: not to find it is a fault.
    if (!(error instanceof DeviceError) || swiftShaderEnv().VK_ICD_FILENAMES) throw error;
    console.log(`note: webgpu is not tested: ${error.message}`);
    return undefined;
  }
}

/** Mesa's llvmpipe lists matrix units for subgroups of 16 threads, and ends the process when it compiles a product. */
function crashesOnMatrices({ description, subgroupThreads }: AdapterFeatures): boolean {
  return description.startsWith('llvmpipe') && subgroupThreads?.most === 16;
}
