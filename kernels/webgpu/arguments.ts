/** What a kernel is told besides its buffers: the fields of the struct `Params` that its text declares, four bytes each. */

import { DeviceError } from '../errors.ts';

/** A float where it is written as one, else an unsigned integer. */
export type Argument = number | { readonly float: number };

/**
 * Where a kernel finds its arguments: in a uniform buffer, in immediates (`immediate_address_space`), or in its own text,
 * which takes a pipeline for each set of them.
 */
export type ArgumentForm = 'uniform' | 'immediate' | 'constant';

/** The arguments as they lie in a buffer. */
export function argumentBytes(args: readonly Argument[]): ArrayBuffer {
  const words = new DataView(new ArrayBuffer(4 * args.length));
  for (const [i, value] of args.entries()) {
    if (typeof value === 'number') words.setUint32(4 * i, value, true);
    else words.setFloat32(4 * i, value.float, true);
  }
  return words.buffer;
}

/** The arguments as a declaration in a kernel's text. */
export function constantParams(args: readonly Argument[]): string {
  const values = args.map((value) => (typeof value === 'number' ? `${value}u` : `${Math.fround(value.float)}f`));
  return `const params = Params(${values.join(', ')});`;
}

/** @throws DeviceError unless a kernel's text declares a field for each argument */
export function checkParams(name: string, text: string, args: readonly Argument[]): void {
  const fields = [...(/^struct Params \{([^}]*)\}/m.exec(text)?.[1] ?? '').matchAll(/^ *\w+: (\w+),/gm)];
  const wanted = fields.map(([, type]) => type).join();
  const given = args.map((value) => (typeof value === 'number' ? 'u32' : 'f32')).join();
  if (wanted !== given) throw new DeviceError(`kernel ${name}: arguments ${given}, expected ${wanted}`);
}
