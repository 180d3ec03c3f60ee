/**
 * docs/api.md says what the schemas say. `QUERN_UPDATE_DOCS=1 npx tsx test/server/api-docs.test.ts` writes its tables anew.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Metrics } from '../../server/metrics.ts';
import { bodySchema } from '../../server/openapi.ts';
import { createRoutes } from '../../server/routes.ts';
import { FakeEngine } from './fake-engine.ts';

const test = suite('docs/api.md');

const FILE = new URL('../../docs/api.md', import.meta.url);
const TABLES = /<!-- fields: (\S+) -->\n([\s\S]*?)<!-- end -->/g;
const options = { modelNames: ['m'], trustRequestChatTemplate: false, metrics: new Metrics() };
const routes = createRoutes(new FakeEngine(), options);

interface FieldSchema {
  readonly type?: string | readonly string[];
  readonly enum?: readonly unknown[];
  readonly anyOf?: readonly FieldSchema[];
  readonly items?: FieldSchema;
  readonly default?: unknown;
  readonly description?: string;
}

function typeName({ type, enum: words, anyOf, items }: FieldSchema): string {
  if (words) return words.map((word) => `\`${word}\``).join(', ');
  if (anyOf) {
    const names = anyOf.filter((option) => option.type !== 'null').map(typeName);
    return [...new Set(names)].join(' or ');
  }
  if (type === 'array') return `list of ${items ? typeName(items) : 'anything'}`;
  return typeof type === 'string' ? type : (type?.join(' or ') ?? '');
}

function tableOf(path: string): string {
  const { schema } = routes.find((route) => route.path === path && route.schema)!;
  const { properties } = bodySchema(schema!) as { properties: Record<string, FieldSchema> };
  const rows = Object.entries(properties).map(([name, schema]) => {
    const standard = schema.default === undefined ? '' : `\`${schema.default}\``;
    return `| \`${name}\` | ${typeName(schema)} | ${standard} | ${schema.description?.replaceAll('|', '\\|')} |`;
  });
  return ['| field | type | default | |', '| --- | --- | --- | --- |', ...rows, ''].join('\n');
}

if (process.env.QUERN_UPDATE_DOCS === '1') {
  const text = readFileSync(FILE, 'utf8');
  writeFileSync(
    FILE,
    text.replace(TABLES, (_, path) => `<!-- fields: ${path} -->\n${tableOf(path)}<!-- end -->`),
  );
}

const docs = readFileSync(FILE, 'utf8');

test('every table is that of the schema', () => {
  const tables = new Map([...docs.matchAll(TABLES)].map(([, path, table]) => [path, table]));
  for (const { path, schema } of routes) if (schema) assert.is(tables.get(path), tableOf(path), path);
});

test('every endpoint is named, and none that is not there', () => {
  const named = [...docs.matchAll(/(GET|POST|DELETE) (\/[\w/{}.]+)/g)].map(([, method, path]) => `${method} ${path}`);
  const there = routes.map(({ path, method }) => `${method} ${path}`);
  assert.equal([...new Set(named)].filter((name) => name !== 'GET /health').sort(), there.sort());
});

test.run();
