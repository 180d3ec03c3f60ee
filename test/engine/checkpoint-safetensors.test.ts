import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readTensorIndex } from '../../engine/checkpoint/safetensors.ts';
import { readSafetensorsHeader } from '../../engine/checkpoint/safetensors-header.ts';
import { CheckpointError } from '../../engine/errors.ts';
import { openDirectory } from '../../engine/node/directory-source.ts';
import { memorySource, safetensorsFile } from './memory-source.ts';
import { rejects } from './rejects.ts';

const MODELS = new URL('../oracle/models/', import.meta.url).pathname;
const entry = (dtype: string, shape: unknown, begin: unknown, end: unknown) => ({
  dtype,
  shape,
  data_offsets: [begin, end],
});
const readFile = (file: Uint8Array) => readSafetensorsHeader(memorySource({ 'm.safetensors': file }), 'm.safetensors');

const test = suite('safetensors');

test('a header gives name, type, shape and place of every tensor', async () => {
  const header = JSON.stringify({
    __metadata__: { format: 'pt' },
    b: entry('F16', [2, 3], 4, 16),
    a: entry('F32', [], 0, 4),
    empty: entry('I64', [0, 7], 4, 4),
    ['__proto__' as string]: entry('U8', [1], 16, 17),
  });
  const tensors = await readFile(safetensorsFile(`${header}   `, 17));
  const start = 8 + header.length + 3;
  assert.equal([...tensors.keys()].sort(), ['__proto__', 'a', 'b', 'empty']);
  assert.equal(tensors.get('b'), {
    name: 'b',
    file: 'm.safetensors',
    dtype: 'F16',
    shape: [2, 3],
    offset: start + 4,
    byteLength: 12,
  });
  assert.is(tensors.get('a')?.offset, start);
  assert.is(tensors.get('empty')?.byteLength, 0);
});

test('names may hold quotes, braces and backslashes', async () => {
  const names = ['a"', 'a\\', 'a\\"', '"{', ']":', ''];
  const tensors = await readFile(
    safetensorsFile(Object.fromEntries(names.map((name) => [name, entry('U8', [0], 0, 0)])), 0),
  );
  assert.equal([...tensors.keys()], names);
});

test('a file without tensors is allowed', async () => {
  assert.is((await readFile(safetensorsFile('{}', 0))).size, 0);
});

test('files that other software wrote are read', async () => {
  for (const [model, tensorCount] of [
    ['llama-gqa', 30],
    ['mixtral', 41],
  ] as const) {
    const source = await openDirectory(`${MODELS}${model}`);
    const { tensors } = await readTensorIndex(source);
    assert.is(tensors.size, tensorCount, model);
    await source.close();
  }
});

const two64 = new Uint8Array(8).fill(255);
const header = (length: bigint, rest = 100) => {
  const file = new Uint8Array(8 + rest);
  new DataView(file.buffer).setBigUint64(0, length, true);
  return file;
};
const tooDeep = `{"a":${'['.repeat(100)}${']'.repeat(100)}}`;
const ONE = entry('F32', [2], 0, 8);

const HOSTILE: readonly [what: string, file: Uint8Array, message: RegExp][] = [
  ['an empty file', new Uint8Array(0), /0 bytes/],
  ['a file shorter than its length field', new Uint8Array(7), /7 bytes/],
  ['a header length of 2^64 - 1', two64, /header of 18446744073709551615 bytes/],
  ['a header length of 0', header(0n), /header of 0 bytes/],
  ['a header length over the limit', header(100_000_001n), /expected 2 to 100000000/],
  ['a header longer than the file', header(109n), /header of 109 bytes in a file of 108 bytes/],
  ['a header that is not JSON', safetensorsFile('{"a":', 0), /not valid JSON/],
  ['a header that is a list', safetensorsFile('[1,2]', 0), /starts with byte 91/],
  ['a header that starts with a space', safetensorsFile(' {}', 0), /starts with byte 32/],
  ['a header that is not UTF-8', safetensorsFile(Uint8Array.of(0x7b, 0x22, 0xff, 0x22, 0x7d), 0), /UTF-8/],
  ['a header nested without end', safetensorsFile(tooDeep, 0), /nested deeper than 64/],
  ['a key that occurs twice', safetensorsFile('{"a":1,"a":2}', 0), /key "a" occurs twice/],
  ['a key that occurs twice in other letters', safetensorsFile('{"a":1,"\\u0061" :2}', 0), /key "a" occurs twice/],
  ['a member that occurs twice', safetensorsFile('{"a":{"dtype":"F32","dtype":"U8"}}', 0), /"dtype" occurs twice/],
  ['an entry that is a number', safetensorsFile({ a: 3 }, 0), /tensor "a" is 3/],
  ['an unknown dtype', safetensorsFile({ a: entry('F31', [2], 0, 8) }, 8), /dtype "F31"/],
  ['a dtype from the prototype', safetensorsFile({ a: entry('constructor', [2], 0, 8) }, 8), /dtype "constructor"/],
  ['a shape that is a string', safetensorsFile({ a: entry('F32', '2', 0, 8) }, 8), /shape "2"/],
  ['a negative size', safetensorsFile({ a: entry('F32', [-2], 0, 8) }, 8), /shape \[-2\]/],
  ['a size with a fraction', safetensorsFile({ a: entry('F32', [0.5], 0, 2) }, 2), /shape \[0.5\]/],
  ['a size beyond 2^53', safetensorsFile({ a: entry('F32', [2 ** 60], 0, 8) }, 8), /shape/],
  ['nine dimensions', safetensorsFile({ a: entry('F32', Array(9).fill(1), 0, 4) }, 4), /at most 8 sizes/],
  [
    'a product that wraps around at 2^64',
    safetensorsFile({ a: entry('F32', [2 ** 31, 2 ** 31, 4], 0, 0) }, 0),
    /0 bytes of data; expected 590295810358705651712 bits/,
  ],
  ['one offset', safetensorsFile({ a: { dtype: 'F32', shape: [2], data_offsets: [0] } }, 8), /data_offsets \[0\]/],
  ['offsets that go backwards', safetensorsFile({ a: entry('F32', [2], 8, 0) }, 8), /data_offsets \[8,0\]/],
  ['a negative offset', safetensorsFile({ a: entry('F32', [2], -8, 0) }, 8), /data_offsets \[-8,0\]/],
  ['an offset beyond 2^53', safetensorsFile({ a: entry('F32', [2], 0, 2 ** 63) }, 8), /data_offsets/],
  ['fewer bytes than the shape needs', safetensorsFile({ a: entry('F32', [3], 0, 8) }, 8), /8 bytes of data/],
  ['half a byte', safetensorsFile({ a: entry('F4', [3], 0, 1) }, 1), /12 bits/],
  ['a hole', safetensorsFile({ a: ONE, b: entry('U8', [1], 9, 10) }, 10), /begins at byte 9 .* expected 8 \(hole\)/],
  ['an overlap', safetensorsFile({ a: ONE, b: entry('U8', [4], 4, 8) }, 8), /expected 8 \(overlap\)/],
  ['a start after the first byte', safetensorsFile({ a: entry('U8', [1], 1, 2) }, 2), /expected 0 \(hole\)/],
  ['data that is cut short', safetensorsFile({ a: ONE }, 7), /ends at byte 8 .* which has 7; is it cut short/],
  ['bytes behind the last tensor', safetensorsFile({ a: ONE }, 9), /9 bytes of data, of which the tensors cover 8/],
  ['metadata that is no text', safetensorsFile({ __metadata__: { n: 1 }, a: ONE }, 8), /__metadata__/],
  ['a name of control characters', safetensorsFile({ '\n\u001b[2J\u009b': 1 }, 0), /tensor "\\n\\u001b\[2J\?"/],
];

for (const [what, file, message] of HOSTILE) {
  test(`${what} is refused`, () => rejects(() => readFile(file), new RegExp(`^m\\.safetensors: .*${message.source}`)));
}

test('a changed header is read or refused, and nothing is allocated from its numbers', async () => {
  const good = safetensorsFile({ 'a.weight': ONE, b: entry('BF16', [2, 2], 8, 16), __metadata__: { k: 'v' } }, 16);
  const change = fc.record({ at: fc.nat({ max: good.length - 17 }), byte: fc.nat({ max: 255 }) });
  const text = fc.constantFrom(
    '-',
    '9999999999999999999',
    '1e309',
    '"',
    '{',
    '}',
    '[',
    ']',
    ',',
    'null',
    '\\u0000',
    '',
  );
  const splice = fc.record({ at: fc.nat({ max: good.length - 17 }), cut: fc.nat({ max: 12 }), text });
  const outcome = async (file: Uint8Array) => {
    const error = await readFile(file).then(
      () => null,
      (thrown: unknown) => thrown,
    );
    assert.ok(error === null || error instanceof CheckpointError, String(error));
  };
  await fc.assert(
    fc.asyncProperty(fc.array(change, { maxLength: 4 }), async (changes) => {
      const file = good.slice();
      for (const { at, byte } of changes) file[at] = byte;
      await outcome(file);
    }),
    { numRuns: 3000 },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(splice, { minLength: 1, maxLength: 3 }), async (splices) => {
      let json = new TextDecoder().decode(good.subarray(8, good.length - 16));
      for (const { at, cut, text } of splices) json = json.slice(0, at) + text + json.slice(at + cut);
      await outcome(safetensorsFile(json, 16));
    }),
    { numRuns: 3000 },
  );
});

const shardA = safetensorsFile({ a: ONE }, 8);
const shardB = safetensorsFile({ b: ONE, extra: entry('U8', [1], 8, 9) }, 9);
const sharded = (weightMap: unknown, more: Record<string, Uint8Array> = {}) =>
  readTensorIndex(
    memorySource({
      'model.safetensors.index.json': { weight_map: weightMap },
      'a.safetensors': shardA,
      'b.safetensors': shardB,
      ...more,
    }),
  );

test('an index gathers its tensors from the shards', async () => {
  const { tensors, file } = await sharded({ a: 'a.safetensors', b: 'b.safetensors' });
  assert.is(file, 'model.safetensors.index.json');
  assert.equal(
    [...tensors.values()].map((tensor) => [tensor.name, tensor.file]),
    [
      ['a', 'a.safetensors'],
      ['b', 'b.safetensors'],
    ],
  );
});

for (const name of ['../secret', '/etc/passwd', 'sub/a.safetensors', '..', '.', 'a\0', 'a\\b', '', 7]) {
  test(`a shard named ${JSON.stringify(name)} is refused`, () =>
    rejects(() => sharded({ a: name }), /^model\.safetensors\.index\.json: tensor "a" .* expected a plain file name/));
}

test('an index at odds with its shards is refused', async () => {
  await rejects(() => sharded({ a: 'c.safetensors' }), /"a" is in c\.safetensors, which is not in memory/);
  await rejects(() => sharded({ a: 'b.safetensors' }), /^b\.safetensors: no tensor "a"/);
  await rejects(() => sharded(['a.safetensors']), /weight_map is \["a\.safetensors"\]; expected an object/);
  await rejects(() => sharded(undefined), /weight_map is missing/);
  await rejects(() => sharded({ a: 'x' }, { x: shardA.subarray(0, 30) }), /^x: header of/);
});

test('a folder without weights says what is looked for', async () => {
  await rejects(() => readTensorIndex(memorySource({ 'config.json': {} })), /no weights; expected model\.safetensors/);
});

test.run();
