/** Random combinations of components, against `tokenizers`; see test/oracle/tokenizer/make_components.py. */

import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { Tokenizer } from '../../tokenizer/index.ts';
import { oracle } from './models.ts';

const test = suite('tokenizer components');

interface Base {
  readonly model: object;
}

interface Components {
  readonly bases: Record<string, Base>;
  readonly cases: {
    base: string;
    patch: Record<string, unknown>;
    model: object;
    rows: { text: string; ids: number[]; plain: number[]; inert: number[]; decoded: string; skipped: string }[];
  }[];
}

const { bases, cases } = oracle<Components>('tokenizer/components.json');

for (const [i, { base, patch, model, rows }] of cases.entries()) {
  const { added_tokens, ...components } = patch;
  test(`case ${i}: ${base} with ${JSON.stringify(components).slice(0, 160)}`, async () => {
    const own = bases[base] ?? oracle<Base>(`models/${base}/tokenizer.json`);
    const tokenizer = await Tokenizer.fromJson({ ...own, ...patch, model: { ...own.model, ...model } });
    for (const { text, ids, plain, inert, decoded, skipped } of rows) {
      assert.equal(tokenizer.encode(text), ids, JSON.stringify(text));
      assert.equal(tokenizer.encode(text, { addSpecialTokens: false }), plain, JSON.stringify(text));
      const asText = { addSpecialTokens: false, parseSpecialTokens: false };
      assert.equal(tokenizer.encode(text, asText), inert, JSON.stringify(text));
      assert.is(tokenizer.decode(ids), decoded, JSON.stringify(text));
      assert.is(tokenizer.decode(ids, { skipSpecialTokens: true }), skipped, JSON.stringify(text));
    }
  });
}

test.run();
