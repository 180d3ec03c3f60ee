import { execFileSync } from 'node:child_process';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { readText } from '../../engine/checkpoint/model-source.ts';
import { openDirectory } from '../../engine/node/directory-source.ts';
import { rejects } from './rejects.ts';

const test = suite<{ folder: string }>('model directory');

test.before.each(async (context) => {
  context.folder = await mkdtemp(join(tmpdir(), 'quern-test-'));
});

test.after.each(({ folder }) => rm(folder, { recursive: true }));

test('files are read at any place', async ({ folder }) => {
  await writeFile(join(folder, 'a.bin'), 'abcdefgh');
  await writeFile(join(folder, 'b.txt'), '\ufeffgrün');
  const source = await openDirectory(folder);
  assert.equal(source.files, ['a.bin', 'b.txt']);
  assert.is(await source.size('a.bin'), 8);
  const bytes = new Uint8Array(3);
  await source.read('a.bin', 5, bytes);
  assert.is(new TextDecoder().decode(bytes), 'fgh');
  assert.is(await readText(source, 'b.txt', 100), 'grün');
  await source.close();
});

test('a file behind a symbolic link is read, as download caches have them', async ({ folder }) => {
  await writeFile(join(folder, 'blob'), 'abc');
  await symlink('blob', join(folder, 'model.safetensors'));
  const source = await openDirectory(folder);
  assert.is(await source.size('model.safetensors'), 3);
  await source.close();
});

test('reading beyond the end is an error', async ({ folder }) => {
  await writeFile(join(folder, 'a'), 'abc');
  const source = await openDirectory(folder);
  await rejects(() => source.read('a', 1, new Uint8Array(3)), /^a: 3 bytes; expected 3 more from byte 1/);
  await rejects(() => source.read('a', -1, new Uint8Array(1)), /from byte -1/);
  await rejects(() => source.read('a', Number.NaN, new Uint8Array(1)), /from byte NaN/);
  await source.close();
});

test('only files of the folder can be opened', async ({ folder }) => {
  const source = await openDirectory(folder);
  await rejects(() => source.size('../x'), /^\.\.\/x: no such file in/);
  await rejects(() => source.size('/etc/passwd'), /no such file in/);
});

test('what is not a regular file is refused and never waited for', async ({ folder }) => {
  execFileSync('mkfifo', [join(folder, 'pipe')]);
  await symlink('/dev/zero', join(folder, 'device'));
  await symlink('.', join(folder, 'folder'));
  await symlink('nowhere', join(folder, 'dangling'));
  const source = await openDirectory(folder);
  await rejects(() => source.size('pipe'), /^pipe: not a regular file/);
  await rejects(() => source.size('device'), /^device: not a regular file/);
  await rejects(() => source.size('folder'), /^folder: not a regular file/);
  await rejects(() => source.size('dangling'), /^dangling: no such file or directory/);
  await source.close();
});

test('a path that is no folder is refused', async ({ folder }) => {
  await writeFile(join(folder, 'a'), '');
  await rejects(
    () => openDirectory(join(folder, 'none')),
    /none: no such file or directory; expected a model directory/,
  );
  await rejects(() => openDirectory(join(folder, 'a')), /not a directory; expected a model directory/);
});

test('a closed source reads no more', async ({ folder }) => {
  await writeFile(join(folder, 'a'), 'abc');
  const source = await openDirectory(folder);
  await source.size('a');
  await source.close();
  await source.close();
  await rejects(() => source.size('a'), /is closed/);
});

test('text must be UTF-8 and of moderate length', async ({ folder }) => {
  await writeFile(join(folder, 'a'), Uint8Array.of(0xc3, 0x28));
  const source = await openDirectory(folder);
  await rejects(() => readText(source, 'a', 100), /^a: not valid UTF-8/);
  await rejects(() => readText(source, 'a', 1), /^a: 2 bytes; at most 1 are read/);
  await source.close();
});

test.run();
