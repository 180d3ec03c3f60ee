/** From wasmati functions to the bytes of a module whose memory is imported. */

import { type Func, importMemory, Module } from 'wasmati';

/** Most pages of 64 KiB that a memory of 32-bit addresses can have. */
export const MAX_PAGES = 65536;

/** Bytes of a module that imports a memory and exports functions. */
export function moduleBytes(exports: Record<string, Func<'i32'[], []>>, shared = false): Uint8Array<ArrayBuffer> {
  // The builder wants a memory object although only its type goes into the bytes.
  const memory = importMemory({ min: 1, max: shared ? MAX_PAGES : undefined, shared }, {} as WebAssembly.Memory);
  return Module({ exports, memory }).toBytes() as Uint8Array<ArrayBuffer>;
}

/** The import object of a module made by {@link moduleBytes}. */
export function memoryImport(memory: WebAssembly.Memory): WebAssembly.Imports {
  return { '': { m0: memory } };
}
