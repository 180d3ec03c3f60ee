/**
 * Speed of encoding and decoding against the tokenizers that JavaScript has: `@huggingface/tokenizers` (JavaScript) and
 * `@mlc-ai/web-tokenizers` (the reference implementation in Rust, as WASM), in the same run, turn by turn. All must give the
 * same ids.
 */

import { readdirSync, readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Tokenizer as JavaScriptPeer } from '@huggingface/tokenizers';
import { readGgufHeader } from '../engine/checkpoint/gguf/header.ts';
import { openFiles } from '../engine/node/directory-source.ts';
import { Tokenizer, tokenizerFilesOfGguf } from '../tokenizer/index.ts';
import { INTEGER, readOptions, string } from './support/options.ts';
import { machine, median, printTable, rounded } from './support/table.ts';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
const VOCABULARIES = join(ROOT, '../shared/data/vocabs');
const options = readOptions({
  about: 'Speed of encoding and decoding against the tokenizers that JavaScript has, in the same run.',
  examples: [['--file TEXT --vocabs DIR --repeat 7', '']],
  options: {
    file: { kind: string('FILE'), help: "a text; this repository's own, 1 MB, when it is not given" },
    vocabs: { kind: string('DIR'), fallback: VOCABULARIES, help: 'GGUF files with vocabularies' },
    repeat: { kind: INTEGER, fallback: '5', help: 'runs, of which the median counts' },
  },
});

const MEGABYTE = 2 ** 20;
const text = (options.file ? readFileSync(options.file, 'utf8') : ownTexts(ROOT)).slice(0, MEGABYTE);
const bytes = new TextEncoder().encode(text).length;

/** What is measured of a tokenizer. */
interface Subject {
  readonly name: string;
  readonly loadMs: number;
  readonly encode: (text: string) => ArrayLike<number>;
  readonly decode: (ids: number[]) => string;
}

// A script for `require` that calls itself a module.
const { Tokenizer: WasmPeer } = createRequire(import.meta.url)(
  '@mlc-ai/web-tokenizers',
) as typeof import('@mlc-ai/web-tokenizers');

const ADDED_TOKEN = { single_word: false, lstrip: false, rstrip: false, normalized: false, special: false };
const MEMBERS: Readonly<Record<string, object>> = {
  Split: { invert: false },
  ByteLevel: { trim_offsets: true },
  BPE: { dropout: null, unk_token: null, continuing_subword_prefix: null, end_of_word_suffix: null, fuse_unk: false },
};

const files = readdirSync(options.vocabs).filter((name) => name.endsWith('.gguf'));
const rows: (string | number)[][] = [];
const results: object[] = [];
for (const file of files) {
  const source = openFiles(join(options.vocabs, file), [file]);
  const { metadata } = await readGgufHeader(source, file);
  await source.close();
  const { tokenizerJson } = tokenizerFilesOfGguf(metadata);
  const subjects = await open(JSON.stringify(withEveryMember({ ...(tokenizerJson as object), post_processor: null })));
  const vocabulary = basename(file, '.gguf').replace('ggml-vocab-', '');
  for (const result of measure(subjects)) {
    rows.push([vocabulary, ...Object.values(result)]);
    results.push({ vocabulary, ...result });
  }
}
console.log(`${bytes} bytes of text, median of ${options.repeat}; ${machine().cpu}, Node ${process.version}\n`);
printTable(['vocabulary', 'tokenizer', 'load ms', 'encode MB/s', 'of the fastest peer', 'decode MB/s', 'ids'], rows);
console.log(`\n${JSON.stringify({ bench: 'tokenizer', ...machine(), bytes, results })}`);

/** The reference implementation wants members that others take as given. */
function withEveryMember(json: unknown): unknown {
  if (Array.isArray(json)) return json.map(withEveryMember);
  if (typeof json !== 'object' || json === null) return json;
  const { type } = json as { type?: unknown };
  if (type === undefined && !('model' in json)) return 'content' in json ? { ...ADDED_TOKEN, ...json } : json;
  const members = Object.entries(json).map(([name, value]) => [
    name,
    name === 'vocab' || name === 'merges' ? value : withEveryMember(value),
  ]);
  return { ...(MEMBERS[type as string] ?? {}), ...Object.fromEntries(members) };
}

async function open(json: string): Promise<Subject[]> {
  const timed = async <T>(load: () => T | Promise<T>) => {
    const start = performance.now();
    const tokenizer = await load();
    return { tokenizer, loadMs: performance.now() - start };
  };
  const own = await timed(() => Tokenizer.fromJson(json));
  const peer = await timed(() => new JavaScriptPeer(JSON.parse(json), {}));
  const wasm = await timed(() => WasmPeer.fromJSON(new TextEncoder().encode(json).buffer));
  const plain = { addSpecialTokens: false };
  return [
    {
      name: 'quern',
      loadMs: own.loadMs,
      encode: (input) => own.tokenizer.encode(input, plain),
      decode: (ids) => own.tokenizer.decode(ids),
    },
    {
      name: '@huggingface/tokenizers',
      loadMs: peer.loadMs,
      encode: (input) => peer.tokenizer.encode(input, { add_special_tokens: false }).ids,
      decode: (ids) => peer.tokenizer.decode(ids),
    },
    {
      name: '@mlc-ai/web-tokenizers',
      loadMs: wasm.loadMs,
      encode: (input) => wasm.tokenizer.encode(input),
      decode: (ids) => wasm.tokenizer.decode(Int32Array.from(ids)),
    },
  ];
}

function measure(subjects: readonly Subject[]) {
  const times = subjects.map(() => ({ encode: [] as number[], decode: [] as number[] }));
  const ids = subjects.map(({ encode }) => Array.from(encode(text)));
  for (let i = 0; i < options.repeat; i++) {
    subjects.forEach((subject, s) => {
      times[s].encode.push(milliseconds(() => subject.encode(text)));
      times[s].decode.push(milliseconds(() => subject.decode(ids[0])));
    });
  }
  const rates = times.map((of) => ({ encode: rate(of.encode), decode: rate(of.decode) }));
  const fastest = Math.max(...rates.slice(1).map(({ encode }) => encode));
  return subjects.map(({ name, loadMs }, s) => ({
    name,
    loadMs: rounded(loadMs, 0),
    encode: rounded(rates[s].encode),
    ofFastest: rounded(rates[s].encode / fastest, 2),
    decode: rounded(rates[s].decode),
    ids: ids[s].length === ids[0].length && ids[s].every((id, i) => id === ids[0][i]) ? 'same' : 'differ',
  }));
}

function rate(times: readonly number[]): number {
  return bytes / median(times) / 1000;
}

function milliseconds(work: () => unknown): number {
  const start = performance.now();
  work();
  return performance.now() - start;
}

/** Sources and documents of this repository, one after the other. */
function ownTexts(root: string): string {
  const names = readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(ts|md|wgsl|py)$/.test(name) && !/node_modules|^dist/.test(name))
    .sort();
  return names
    .filter((name) => statSync(join(root, name)).isFile())
    .map((name) => readFileSync(join(root, name), 'utf8'))
    .join('\n');
}
