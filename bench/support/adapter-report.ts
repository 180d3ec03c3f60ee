/** What the machine's WebGPU adapter offers, as JSON: `node bench/support/adapter-report.ts`. */

import { openAdapter } from '../../kernels/webgpu/adapter.ts';

const { device, features, gpu } = await openAdapter('any');
const adapter = await gpu.requestAdapter({ powerPreference: 'high-performance' });
const { info, limits } = adapter as GPUAdapter;
console.log(
  JSON.stringify(
    {
      chosen: features,
      info: ownAndInherited(info),
      features: [...(adapter as GPUAdapter).features].sort(),
      language: [...gpu.wgslLanguageFeatures].sort(),
      limits: ownAndInherited(limits),
    },
    null,
    1,
  ),
);
device.destroy();
process.exit();

/** All readable fields of an object whose fields are getters of its class. */
function ownAndInherited(object: object): Record<string, unknown> {
  const names = Object.keys(Object.getOwnPropertyDescriptors(Object.getPrototypeOf(object)));
  return Object.fromEntries(names.map((name) => [name, (object as Record<string, unknown>)[name]]));
}
