/**
 * A WebGPU adapter for tests on a machine without a GPU: SwiftShader, Google's Vulkan on the CPU, as it comes with the
 * npm package `@sparticuz/chromium`.
 *
 * Dawn finds it through two environment variables that the dynamic loader reads when a process starts, so a test must be
 * started with them: `test/run.ts` does so, and a test file that is run alone starts itself once more. With
 * QUERN_TEST_ADAPTER=hardware the machine's own adapter is tested.
 */

import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliDecompressSync } from 'node:zlib';

const MODULES = fileURLToPath(new URL('../node_modules/', import.meta.url));
const ARCHIVE = join(MODULES, '@sparticuz/chromium/bin/swiftshader.tar.br');
const FOLDER = join(MODULES, '.cache/quern-swiftshader');
const FILES = new Set(['libvk_swiftshader.so', 'libvulkan.so.1', 'vk_swiftshader_icd.json']);

/** The variables that make Dawn find SwiftShader; none where it does not run or is not wanted. */
export function swiftShaderEnv(): Record<string, string> {
  const wanted = process.env.QUERN_TEST_ADAPTER !== 'hardware';
  if (!wanted || process.platform !== 'linux' || process.arch !== 'x64' || !existsSync(ARCHIVE)) return {};
  if (!existsSync(FOLDER)) unpack();
  const libraries = [FOLDER, ...(process.env.LD_LIBRARY_PATH?.split(':') ?? [])];
  return { LD_LIBRARY_PATH: libraries.join(':'), VK_ICD_FILENAMES: join(FOLDER, 'vk_swiftshader_icd.json') };
}

/** Runs this process again with SwiftShader in its environment and ends with its exit code, unless it is there. */
export function enterSwiftShader(): void {
  const env = swiftShaderEnv();
  if (env.VK_ICD_FILENAMES === undefined || process.env.VK_ICD_FILENAMES === env.VK_ICD_FILENAMES) return;
  const args = [...process.execArgv, ...process.argv.slice(1)];
  const { status } = spawnSync(process.execPath, args, { env: { ...process.env, ...env }, stdio: 'inherit' });
  process.exit(status ?? 1);
}

/** Into a folder of its own first, since several test processes may do this at once. */
function unpack(): void {
  mkdirSync(join(FOLDER, '..'), { recursive: true });
  const folder = mkdtempSync(`${FOLDER}-`);
  for (const { name, data } of tarEntries(brotliDecompressSync(readFileSync(ARCHIVE)))) {
    if (FILES.has(name)) writeFileSync(join(folder, name), data);
  }
  try {
    renameSync(folder, FOLDER);
  } catch {
    rmSync(folder, { recursive: true });
  }
}

/** The files of a tar archive: a header of 512 bytes each (name, octal size at 124), then the data in blocks of 512. */
function* tarEntries(tar: Buffer): Generator<{ name: string; data: Buffer }> {
  let at = 0;
  while (at + 512 <= tar.length && tar[at] !== 0) {
    const name = tar.toString('latin1', at, at + 100).replace(/\0.*$/, '');
    const size = Number.parseInt(tar.toString('latin1', at + 124, at + 136), 8);
    yield { name, data: tar.subarray(at + 512, at + 512 + size) };
    at += 512 + 512 * Math.ceil(size / 512);
  }
}
