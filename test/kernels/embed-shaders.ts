/**
 * Makes kernels/webgpu/shaders.ts from the WGSL files beside it, so that they come along in the package and in a
 * browser's bundle: `npm run shaders` after every change of a kernel.
 */

import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const FOLDER = new URL('../../kernels/webgpu/shaders/', import.meta.url);
export const SHADER_MODULE = new URL('../shaders.ts', FOLDER);

/** The text of the module that holds all WGSL files. */
export function shaderModule(): string {
  const files = readdirSync(FOLDER)
    .filter((file) => file.endsWith('.wgsl'))
    .sort();
  const entries = files.map((file) => {
    const name = file.slice(0, -'.wgsl'.length);
    const text = readFileSync(new URL(file, FOLDER), 'utf8').replace(/[\\`]|\$\{/g, '\\$&');
    return `  ${/^[a-z]+$/.test(name) ? name : `'${name}'`}: \`${text}\`,\n`;
  });
  return `/** The files of shaders/, made by \`npm run shaders\`: change those. */

export const SHADERS = {
${entries.join('')}} as const;

export type ShaderName = keyof typeof SHADERS;
`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(SHADER_MODULE, shaderModule());
