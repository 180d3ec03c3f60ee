/** The GGUF reader: what it gives, what it refuses, and that no damaged file harms it. */

import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { describeDecoder } from '../../engine/architectures/index.ts';
import { matchTensors } from '../../engine/architectures/match-tensors.ts';
import { openCheckpoint } from '../../engine/checkpoint/checkpoint.ts';
import { parseGgufHeader, readGgufHeader } from '../../engine/checkpoint/gguf/header.ts';
import { CheckpointError } from '../../engine/errors.ts';
import { ChatTemplate, Tokenizer, TokenizerError } from '../../tokenizer/index.ts';
import { type GgufEntry, type GgufTensor, ggufFile } from './gguf-file.ts';
import { memorySource } from './memory-source.ts';
import { rejects } from './rejects.ts';

const test = suite('gguf');

const read = (file: Uint8Array) => readGgufHeader(memorySource({ 'm.gguf': file }), 'm.gguf');
const f32 = (name: string, dims: number[], changes: Partial<GgufTensor> = {}): GgufTensor => ({
  name,
  dims,
  type: 0,
  data: changes.data ?? new Uint8Array(4 * dims.reduce((product, n) => product * n, 1)),
  ...changes,
});

test('metadata of every type, and tensors with row-major shapes', async () => {
  const { metadata, tensors } = await read(
    ggufFile(
      [
        ['u8', 'u8', 200],
        ['i64', 'i64', -5],
        ['huge', 'u64', 2n ** 63n],
        ['yes', 'bool', true],
        ['half', 'f32', 0.5],
        ['text', 'string', 'Übung'],
        ['texts', 'string[]', ['a', '', '𝄞']],
        ['ints', 'i32[]', [1, -2]],
        ['flags', 'bool[]', [false, true]],
        ['big', 'u64[]', [7]],
      ],
      [f32('a', [3, 2]), { name: 'b', dims: [32], type: 8, data: new Uint8Array(34) }],
    ),
  );
  assert.equal(
    [...metadata],
    [
      ['u8', 200],
      ['i64', -5],
      ['huge', 2n ** 63n],
      ['yes', true],
      ['half', 0.5],
      ['text', 'Übung'],
      ['texts', ['a', '', '𝄞']],
      ['ints', Int32Array.of(1, -2)],
      ['flags', [false, true]],
      ['big', [7n]],
    ],
  );
  const [a, b] = [...tensors.values()];
  assert.equal([a.shape, a.dtype, a.byteLength, a.offset % 32], [[2, 3], 'F32', 24, 0]);
  assert.equal([b.shape, b.dtype, b.byteLength, b.offset], [[32], 'Q8_0', 34, a.offset + 32]);
});

test('a Buffer is read like any other bytes', () => {
  const file = Buffer.from(ggufFile([['ints', 'i32[]', [1, -2]]]));
  assert.equal(parseGgufHeader('m.gguf', file, file.length).metadata.get('ints'), Int32Array.of(1, -2));
});

test('a header longer than the first read is read whole', async () => {
  const texts = Array.from({ length: 300_000 }, (_, i) => `token ${i}`);
  const { metadata, tensors } = await read(ggufFile([['texts', 'string[]', texts]], [f32('a', [1])]));
  assert.equal((metadata.get('texts') as string[]).at(-1), 'token 299999');
  assert.is(tensors.size, 1);
});

test('what is wrong is said in one line', async () => {
  const one = (changes: Partial<GgufTensor>, dims = [32]) => ggufFile([], [f32('t', dims, changes)]);
  const patched = (file: Uint8Array, at: number, value: number) => {
    new DataView(file.buffer).setUint32(at, value, true);
    return file;
  };
  const cases: readonly [Uint8Array, RegExp][] = [
    [new Uint8Array(0), /^m.gguf: begins with ""; a GGUF file begins with "GGUF"$/],
    [ggufFile([], [], { magic: 'GGML' }), /begins with "GGML"/],
    [ggufFile([], [], { version: 1 }), /GGUF version 1; versions 2 and 3/],
    [ggufFile([], [], { version: 0x3000000 }), /big-endian/],
    [patched(ggufFile([]), 8, 0xffffffff), /the number of tensors is 4294967295, which does not fit/],
    [patched(ggufFile([]), 12, 0xffffffff), /the number of tensors is \d+; expected at most 2\^53/],
    [patched(ggufFile([['k', 'u8', 1]]), 24, 0x7fffffff), /length of the key of metadata entry 0 is 2147483647, which/],
    [
      ggufFile([
        ['k', 'u8', 1],
        ['k', 'u8', 1],
      ]),
      /metadata key "k" occurs twice/,
    ],
    [patched(ggufFile([['k', 'u8', 1]]), 33, 13), /"k" has type 13; expected 0 to 12/],
    [ggufFile([['k', 'bool', 2]]), /"k" is a boolean of value 2/],
    [patched(ggufFile([['k', 'u8[]', [1]]]), 37, 9), /"k" is an array of arrays/],
    [patched(ggufFile([['k', 'string[]', ['a']]]), 41, 1 << 30), /length of "k" is 1073741824, which does not fit/],
    [ggufFile([['general.alignment', 'u32', 48]]), /general.alignment is "48"; expected a power of two/],
    [one({ type: 99 }), /tensor "t" has type number 99, which is not supported/],
    [one({ type: 16 }), /tensor "t" has type IQ2_XXS, which is not supported/],
    [one({ type: 8, data: new Uint8Array(34) }, [31]), /rows of 31 elements; Q8_0 needs a multiple of 32/],
    [one({}, [1, 1, 1, 1, 1]), /5 dimensions; expected at most 4/],
    [one({ data: new Uint8Array(4) }, [2 ** 30, 2 ** 30]), /tensor "t" has \d+ elements, which is too many/],
    [one({ data: new Uint8Array(127) }), /ends at byte \d+ of a file of \d+ bytes; is it cut short/],
    [one({ offset: 8 }), /tensor "t" is at offset 8, no multiple of 32/],
    [ggufFile([], [f32('t', [1]), f32('t', [1])]), /tensor "t" occurs twice/],
    [ggufFile([], [f32('a', [9]), f32('b', [1], { offset: 32 })]), /tensor "b" begins at byte \d+, where another goes/],
    [ggufFile([['k', 'string', 'long enough']]).slice(0, 50), /length of "k" is 11, which does not fit/],
  ];
  for (const [file, message] of cases) await rejects(() => read(file), message);
});

test('an array that would take far more memory than its bytes is refused', async () => {
  const flags = ggufFile([['k', 'bool[]', [true]]]);
  const file = new Uint8Array(flags.length + 2 ** 24);
  file.set(flags);
  new DataView(file.buffer).setBigUint64(41, 2n ** 23n + 1n, true);
  await rejects(() => read(file), /"k" has 8388609 elements; expected at most 8388608 strings, booleans/);
});

test('invalid UTF-8 is refused, in a short text and a long one', async () => {
  for (const text of ['ab', 'a'.repeat(40)]) {
    const file = ggufFile([['k', 'string', text]]);
    file[45] = 0xff;
    await rejects(() => read(file), /"k" is not valid UTF-8/);
  }
});

const SIZES: readonly GgufEntry[] = [
  ['general.architecture', 'string', 'llama'],
  ['llama.embedding_length', 'u32', 32],
  ['llama.block_count', 'u32', 1],
  ['llama.context_length', 'u32', 64],
  ['llama.feed_forward_length', 'u32', 48],
  ['llama.attention.head_count', 'u32', 4],
];
const split = (no: number, count: number, tensors: number): readonly GgufEntry[] => [
  ['split.no', 'u16', no],
  ['split.count', 'u16', count],
  ['split.tensors.count', 'i32', tensors],
];

test('a model in parts is joined, and parts that do not belong together are refused', async () => {
  const [first, second] = ['m-00001-of-00002.gguf', 'm-00002-of-00002.gguf'];
  const parts = (own: readonly GgufEntry[], other: readonly GgufEntry[], tensor = 'output_norm.weight') => ({
    [first]: ggufFile([...SIZES, ...own], [f32('token_embd.weight', [32, 40])]),
    [second]: ggufFile(other, [f32(tensor, [32])]),
  });
  const open = async (files: Record<string, Uint8Array>) => (await openCheckpoint(memorySource(files))).readModel();
  const { tensors } = await open(parts(split(0, 2, 2), split(1, 2, 2)));
  assert.equal([...tensors.tensors.keys()], ['model.embed_tokens.weight', 'model.norm.weight']);
  assert.is(tensors.tensors.get('model.norm.weight')?.file, second);
  await rejects(() => open(parts(split(0, 3, 2), split(1, 2, 2))), /split.count is "3"; the name says 2/);
  await rejects(() => open(parts(split(0, 2, 2), split(0, 2, 2))), /00002.*: split.no is "0"; expected 1/);
  await rejects(() => open(parts(split(0, 2, 5), split(1, 2, 5))), /split.tensors.count is 5; the parts hold 2/);
  await rejects(
    () => open(parts(split(0, 2, 2), split(1, 2, 2), 'token_embd.weight')),
    /tensor "token_embd.weight" is in another part, too/,
  );
  const { [first]: alone } = parts(split(0, 2, 2), []);
  await rejects(() => open({ [first]: alone }), /m-00002-of-00002.gguf: no such file/);
  await rejects(
    () => open({ 'a.gguf': alone, 'b.gguf': alone }),
    /2 GGUF models \(a.gguf, b.gguf\); expected the path of one/,
  );
});

test('an unknown architecture and settings of the wrong kind are named', async () => {
  const open = async (...changes: GgufEntry[]) => {
    const changed = new Map([...SIZES, ...changes].map((entry) => [entry[0], entry]));
    const file = ggufFile([...changed.values()], [f32('token_embd.weight', [32, 40])]);
    return (await openCheckpoint(memorySource({ 'm.gguf': file }))).readModel();
  };
  await rejects(
    () => open(['general.architecture', 'string', 'rwkv6']),
    /^m.gguf: general.architecture is "rwkv6"; expected one of llama,/,
  );
  await rejects(() => open(['llama.block_count', 'string', '2']), /llama.block_count is "2"; expected a number/);
  await rejects(
    () => open(['llama.block_count', 'u32', 2 ** 31]),
    /llama.block_count is 2147483648; expected 1 to 1024/,
  );
  await rejects(() => open(['llama.block_count', 'f32', 2.5]), /llama.block_count is 2.5; expected an integer/);
  await rejects(
    () => open(['llama.attention.head_count_kv', 'i32[]', [1, 2]]),
    /llama.attention.head_count_kv is a list; expected the same number for each layer/,
  );
  await rejects(() => open(['llama.rope.scaling.type', 'string', 'abc']), /rope.scaling.type is "abc"; expected none/);
});

test('a damaged file is read or refused, in one line, without a large allocation', async () => {
  const folder = new URL('../oracle/models/', import.meta.url);
  const files = [
    'llama-gqa/llama-gqa-f16.gguf',
    'llama-q256/llama-q256-q4_k.gguf',
    'phi3-longrope/phi3-longrope-f16.gguf',
  ];
  const contents = files.map((file) => new Uint8Array(readFileSync(new URL(file, folder))));
  const damage = fc.record({
    file: fc.nat(files.length - 1),
    // Most of what a header says stands in its first kilobytes, the tensors at its end.
    edits: fc.array(
      fc.record({
        at: fc.oneof(fc.nat(1500), fc.nat(40_000)),
        kind: fc.constantFrom('flip', 'set', 'insert', 'delete', 'cut'),
        bytes: fc.oneof(fc.uint8Array({ minLength: 1, maxLength: 8 }), fc.constant(new Uint8Array(8).fill(255))),
      }),
      { minLength: 1, maxLength: 3 },
    ),
  });
  await fc.assert(
    fc.asyncProperty(damage, async ({ file, edits }) => {
      let bytes: Uint8Array = contents[file];
      for (const { at, kind, bytes: patch } of edits) bytes = damaged(bytes, at, kind, patch);
      try {
        const checkpoint = await openCheckpoint(memorySource({ 'm.gguf': bytes }));
        const { config, tensors } = await checkpoint.readModel();
        // No more layers than tensors would be described before the tensors are looked for.
        matchTensors(describeDecoder(config), tensors);
        const { tokenizerJson, config: names, chatTemplate } = await checkpoint.readTokenizer();
        const tokenizer = await Tokenizer.fromJson(tokenizerJson, names);
        tokenizer.decode(tokenizer.encode('Hello, wörld <s> 12'));
        if (chatTemplate !== undefined) new ChatTemplate(chatTemplate);
      } catch (error) {
        assert.ok(error instanceof CheckpointError || error instanceof TokenizerError, String((error as Error).stack));
        if (error instanceof CheckpointError) assert.not.match(error.message, /[\r\n]/);
      }
    }),
    { numRuns: 300 },
  );
});

function damaged(bytes: Uint8Array, at: number, kind: string, patch: Uint8Array): Uint8Array {
  const place = Math.min(at, bytes.length);
  if (kind === 'cut') return bytes.slice(0, place);
  const isLonger = kind === 'insert';
  const isShorter = kind === 'delete';
  const before = bytes.subarray(0, place);
  const after = bytes.subarray(Math.min(bytes.length, place + (isLonger ? 0 : patch.length)));
  const middle = isShorter
    ? new Uint8Array(0)
    : kind === 'flip'
      ? bytes.slice(place, place + patch.length).map((byte, i) => byte ^ patch[i])
      : patch;
  return new Uint8Array(Buffer.concat([before, middle, after]));
}

test.run();
