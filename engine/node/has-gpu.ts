/** Whether this machine may have a GPU, told without loading a driver, which would print its complaints where there is none. */

// Bundlers for browsers, which see this file in a package's code, would stumble over an import.
const { existsSync } = process.getBuiltinModule('node:fs');

/** What Linux shows of a GPU: a render node, NVIDIA's own device, or the one of Windows around it. */
const LINUX_DEVICES = ['/dev/dri', '/dev/nvidia0', '/dev/dxg'];

export function mayHaveGpu(): boolean {
  return process.platform !== 'linux' || LINUX_DEVICES.some(existsSync);
}
