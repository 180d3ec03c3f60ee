/** What a kernel asks of an adapter, computed from its WGSL text. */

/** What WebGPU grants everywhere. */
export const GRANTED = { workgroupBytes: 16384, threads: 256, storageBuffers: 8 };

export interface Demands {
  /** Of all variables in workgroup memory. */
  readonly workgroupBytes: number;
  readonly threads: number;
}

/** @param text  with its constants set */
export function demandsOf(text: string): Demands {
  const constants = constantsOf(text);
  const structs = new Map([...text.matchAll(/^struct (\w+) \{([^}]+)\}/gm)].map(([, name, body]) => [name, body]));
  for (const [, name, type] of text.matchAll(/^alias (\w+) = ([^;]+);/gm)) structs.set(name, `  only: ${type},`);
  let workgroupBytes = 0;
  for (const [, type] of text.matchAll(/^var<workgroup> \w+: ([^;]+);/gm)) {
    workgroupBytes += 16 * Math.ceil(sizeOf(type, structs, constants).bytes / 16);
  }
  return {
    workgroupBytes,
    threads: constants(/@workgroup_size\(([^)]+)\)/.exec(text)?.[1] ?? ''),
  };
}

/** The value of an expression over the text's module constants. */
function constantsOf(text: string): (expression: string) => number {
  const declared = new Map(
    [...text.matchAll(/^const (\w+)(?:: \w+)? = ([^;]+);/gm)].map(([, name, value]) => [name, value]),
  );
  // Big integers divide as WGSL's do.
  const evaluate = (expression: string): bigint => {
    const names = [...new Set(expression.match(/\b[A-Z]\w*\b/g) ?? [])];
    const values = names.map((name) => evaluate(declared.get(name) ?? `undeclared ${name}`));
    const body = `return ${expression.replace(/\b(\d+)u?\b/g, '$1n')}`;
    return new Function(...names, body)(...values);
  };
  return (expression) => Number(evaluate(expression));
}

/** WGSL section 14.4.1, "Alignment and Size". */
function sizeOf(
  type: string,
  structs: ReadonlyMap<string, string>,
  constants: (expression: string) => number,
): { bytes: number; align: number } {
  if (/^([fiu]32|atomic<[iu]32>)$/.test(type)) return { bytes: 4, align: 4 };
  const vector = /^vec([234])[fiu]$/.exec(type);
  if (vector) return { bytes: 4 * Number(vector[1]), align: 4 * 2 ** Math.ceil(Math.log2(Number(vector[1]))) };
  const array = /^array<(.+), ([^,>]+)>$/.exec(type);
  if (array) {
    const { bytes, align } = sizeOf(array[1], structs, constants);
    return { bytes: constants(array[2]) * align * Math.ceil(bytes / align), align };
  }
  const members = structs.get(type);
  if (members === undefined) throw new Error(`no size is known of ${type}`);
  const whole = { bytes: 0, align: 4 };
  for (const [, member] of members.matchAll(/^\s*\w+: ([^,]+),/gm)) {
    const { bytes, align } = sizeOf(member, structs, constants);
    whole.bytes = align * Math.ceil(whole.bytes / align) + bytes;
    whole.align = Math.max(whole.align, align);
  }
  return { bytes: whole.align * Math.ceil(whole.bytes / whole.align), align: whole.align };
}
