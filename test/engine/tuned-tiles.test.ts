import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { keepTunedTiles, readTunedTiles, tunedTilesPath } from '../../engine/node/tuned-tiles.ts';
import { tiledKernels } from '../../kernels/webgpu/tuned-tiles.ts';

interface Context {
  cache: string;
  warnings: string[];
  read: (adapter: string) => ReturnType<typeof readTunedTiles>;
  keep: (adapter: string, tiles: object) => Promise<string>;
}

const test = suite<Context>('tuned tiles');

const ADAPTER = 'Some GPU (driver 1.2)';
const [SMALL, LARGE] = [
  { threads: 64, outs: 1, loads: 4 },
  { threads: 256, outs: 4, loads: 16 },
];

test.before.each(async (context) => {
  context.cache = await mkdtemp(join(tmpdir(), 'quern-tiles-'));
  context.warnings = [];
  const environment = { XDG_CACHE_HOME: context.cache };
  context.read = (adapter) => readTunedTiles(adapter, (message) => context.warnings.push(message), environment);
  context.keep = (adapter, tiles) => keepTunedTiles({ adapter, tiles: tiles as never }, environment);
});

test.after.each(({ cache }) => rm(cache, { recursive: true }));

test('what is kept is found again for its adapter, and for no other', async ({ cache, warnings, read, keep }) => {
  assert.is(await read(ADAPTER), undefined);
  const path = await keep(ADAPTER, { 'Q4_0 4096×4096': SMALL });
  assert.is(path, join(cache, `quern/tiles/some-gpu-driver-1-2-${tiledKernels()}.json`));
  assert.equal(await read(ADAPTER), {
    adapter: ADAPTER,
    kernels: tiledKernels(),
    tiles: { 'Q4_0 4096×4096': SMALL },
  });
  assert.is(await read('another GPU'), undefined);
  assert.is(await read('some gpu-driver 1.2!'), undefined, 'which has the same file name');
  assert.equal(warnings, []);
});

test('later tiles are added to those that are there, and nothing else is left', async ({ read, keep }) => {
  const path = await keep(ADAPTER, { 'Q4_0 64×64': SMALL, 'Q8_0 64×64': SMALL });
  await keep(ADAPTER, { 'Q8_0 64×64': LARGE });
  assert.equal((await read(ADAPTER))?.tiles, { 'Q4_0 64×64': SMALL, 'Q8_0 64×64': LARGE });
  assert.equal(await readdir(dirname(path)), [path.slice(dirname(path).length + 1)]);
});

const whole = { adapter: ADAPTER, kernels: tiledKernels(), tiles: { 'Q4_0 64×64': SMALL } };
const BAD: readonly [name: string, text: string, reason: RegExp][] = [
  ['an empty file', '', /not JSON/],
  ['half a file', JSON.stringify(whole).slice(0, 50), /not JSON/],
  ['null', 'null', /adapter is missing; expected a text/],
  ['no kernels', JSON.stringify({ ...whole, kernels: 1 }), /kernels is 1; expected a text/],
  ['no tiles', JSON.stringify({ ...whole, tiles: 'none' }), /tiles is "none"; expected an object/],
  ['tiles of what is no weight', JSON.stringify({ ...whole, tiles: { Q4_0: SMALL } }), /"Q4_0" names no weights/],
  ['a format that is none', JSON.stringify({ ...whole, tiles: { 'Q9 64×64': SMALL } }), /"Q9 64×64" names no weights/],
  ['an own __proto__', '{"adapter":"a","kernels":"k","tiles":{"__proto__":{}}}', /"__proto__" names no weights/],
  [
    'no tile',
    JSON.stringify({ ...whole, tiles: { 'F32 1×1': null } }),
    /threads of F32 1×1 is missing; expected one of/,
  ],
  [
    'a size that the kernels do not take',
    JSON.stringify({ ...whole, tiles: { 'Q4_0 64×64': { ...SMALL, outs: 1e9 } } }),
    /outs of Q4_0 64×64 is 1000000000; expected one of 1, 2, 4/,
  ],
];

for (const [name, text, reason] of BAD) {
  test(`${name} is passed over with a warning of one line, and written anew`, async ({
    cache,
    warnings,
    read,
    keep,
  }) => {
    const path = tunedTilesPath(ADAPTER, { XDG_CACHE_HOME: cache });
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
    assert.is(await read(ADAPTER), undefined);
    assert.is(warnings.length, 1);
    assert.ok(warnings[0].startsWith(`${path} is passed over: `) && !warnings[0].includes('\n'));
    assert.match(warnings[0], reason);
    await keep(ADAPTER, whole.tiles);
    assert.equal(JSON.parse(await readFile(path, 'utf8')), whole);
  });
}

test('a folder in the place of the file is passed over, too', async ({ cache, warnings, read }) => {
  await mkdir(tunedTilesPath(ADAPTER, { XDG_CACHE_HOME: cache }), { recursive: true });
  assert.is(await read(ADAPTER), undefined);
  assert.match(warnings.join(), /EISDIR/);
});

test.run();
