/** GGUF files in memory, for tests: metadata and tensors as they are given, right or wrong. */

export type GgufEntry = readonly [key: string, type: GgufType, value: unknown];
export type GgufType = keyof typeof TYPES | `${keyof typeof TYPES}[]`;

export interface GgufTensor {
  readonly name: string;
  /** In GGUF's order: the contiguous dimension first. */
  readonly dims: readonly number[];
  /** Number of the type in GGUF. */
  readonly type: number;
  /** From the start of the data. Default: behind the tensor before, aligned to 32. */
  readonly offset?: number;
  readonly data: Uint8Array;
}

const TYPES = {
  u8: 0,
  i8: 1,
  u16: 2,
  i16: 3,
  u32: 4,
  i32: 5,
  f32: 6,
  bool: 7,
  string: 8,
  u64: 10,
  i64: 11,
  f64: 12,
} as const;

const SIZES = { u8: 1, i8: 1, u16: 2, i16: 2, u32: 4, i32: 4, f32: 4, bool: 1, string: 0, u64: 8, i64: 8, f64: 8 };
const ALIGNMENT = 32;

export function ggufFile(
  entries: readonly GgufEntry[],
  tensors: readonly GgufTensor[] = [],
  { version = 3, magic = 'GGUF' }: { readonly version?: number; readonly magic?: string } = {},
): Uint8Array {
  const out = new Writer();
  out.bytes(new TextEncoder().encode(magic));
  out.number('u32', version);
  out.number('u64', tensors.length);
  out.number('u64', entries.length);
  for (const [key, type, value] of entries) {
    out.string(key);
    out.value(type, value);
  }
  let end = 0;
  const offsets = tensors.map(({ name, dims, type, offset = end, data }) => {
    out.string(name);
    out.number('u32', dims.length);
    for (const dim of dims) out.number('u64', dim);
    out.number('u32', type);
    out.number('u64', offset);
    end = align(offset + data.length);
    return offset;
  });
  const start = align(out.length);
  const file = new Uint8Array(Math.max(start, ...tensors.map(({ data }, i) => start + offsets[i] + data.length)));
  file.set(out.finish());
  for (const [i, { data }] of tensors.entries()) file.set(data, start + offsets[i]);
  return file;
}

function align(n: number): number {
  return Math.ceil(n / ALIGNMENT) * ALIGNMENT;
}

class Writer {
  readonly #parts: Uint8Array[] = [];
  length = 0;

  bytes(bytes: Uint8Array): void {
    this.#parts.push(bytes);
    this.length += bytes.length;
  }

  number(type: keyof typeof TYPES, value: number | bigint): void {
    const view = new DataView(new ArrayBuffer(SIZES[type]));
    if (type === 'u64') view.setBigUint64(0, BigInt(value), true);
    else if (type === 'i64') view.setBigInt64(0, BigInt(value), true);
    else if (type === 'f32') view.setFloat32(0, Number(value), true);
    else if (type === 'f64') view.setFloat64(0, Number(value), true);
    else for (let i = 0; i < view.byteLength; i++) view.setUint8(i, (Number(value) >> (8 * i)) & 255);
    this.bytes(new Uint8Array(view.buffer));
  }

  string(text: string): void {
    const bytes = new TextEncoder().encode(text);
    this.number('u64', bytes.length);
    this.bytes(bytes);
  }

  value(type: GgufType, value: unknown): void {
    const element = type.replace('[]', '') as keyof typeof TYPES;
    const put = (item: unknown) =>
      element === 'string' ? this.string(item as string) : this.number(element, item as number);
    if (type === element) {
      this.number('u32', TYPES[element]);
      put(value);
      return;
    }
    const list = value as readonly unknown[];
    this.number('u32', 9);
    this.number('u32', TYPES[element]);
    this.number('u64', list.length);
    for (const item of list) put(item);
  }

  finish(): Uint8Array {
    const all = new Uint8Array(this.length);
    let at = 0;
    for (const part of this.#parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }
}
