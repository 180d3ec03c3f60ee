/** From wasmati functions to the bytes of a module whose memory is imported. */

import { type Func, importMemory, Module } from 'wasmati';

/** Most pages of 64 KiB that a memory of 32-bit addresses can have. */
export const MAX_PAGES = 65536;

/** Functions that are written at a time: the builder passes all bytes of a section as arguments, which must fit the stack. */
const FUNCTIONS_AT_ONCE = 8;

const PREAMBLE_BYTES = 8;
const CODE_SECTION = 10;

/** Bytes of a module that imports a memory and exports functions. */
export function moduleBytes(exports: Record<string, Func<'i32'[], []>>, shared = false): Uint8Array<ArrayBuffer> {
  // The builder wants a memory object although only its type goes into the bytes.
  const memory = importMemory({ min: 1, max: shared ? MAX_PAGES : undefined, shared }, {} as WebAssembly.Memory);
  const module = Module({ exports, memory });
  const whole = module.module;
  const write = (parts: Partial<typeof whole>): Uint8Array => {
    module.module = { ...whole, ...parts };
    return module.toBytes();
  };
  const bodies: Uint8Array[] = [];
  for (let first = 0; first < whole.funcs.length; first += FUNCTIONS_AT_ONCE) {
    const funcs = whole.funcs.slice(first, first + FUNCTIONS_AT_ONCE);
    const { payload } = sectionsOf(write({ funcs, imports: [], exports: [], elems: [], tables: [] })).get(
      CODE_SECTION,
    )!;
    bodies.push(payload.subarray(readSize(payload, 0).end));
  }
  const frame = write({ funcs: whole.funcs.map((func) => ({ ...func, locals: [], body: [] })) });
  const { start, end } = sectionsOf(frame).get(CODE_SECTION)!;
  const count = sizeBytes(whole.funcs.length);
  const length = bodies.reduce((sum, { length }) => sum + length, count.length);
  return concatenate([
    frame.subarray(0, start),
    [CODE_SECTION],
    sizeBytes(length),
    count,
    ...bodies,
    frame.subarray(end),
  ]);
}

interface Section {
  readonly start: number;
  readonly end: number;
  readonly payload: Uint8Array;
}

/** The sections of a module by number. */
function sectionsOf(module: Uint8Array): ReadonlyMap<number, Section> {
  const sections = new Map<number, Section>();
  for (let start = PREAMBLE_BYTES; start < module.length; ) {
    const size = readSize(module, start + 1);
    const end = size.end + size.value;
    sections.set(module[start], { start, end, payload: module.subarray(size.end, end) });
    start = end;
  }
  return sections;
}

/** An unsigned LEB128 number. */
function readSize(bytes: Uint8Array, at: number): { value: number; end: number } {
  let value = 0;
  for (let shift = 0; ; shift += 7, at++) {
    value |= (bytes[at] & 127) << shift;
    if (bytes[at] < 128) return { value, end: at + 1 };
  }
}

function sizeBytes(value: number): number[] {
  return value < 128 ? [value] : [(value & 127) | 128, ...sizeBytes(value >>> 7)];
}

function concatenate(parts: readonly ArrayLike<number>[]): Uint8Array<ArrayBuffer> {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** The import object of a module made by {@link moduleBytes}. */
export function memoryImport(memory: WebAssembly.Memory): WebAssembly.Imports {
  return { '': { m0: memory } };
}
