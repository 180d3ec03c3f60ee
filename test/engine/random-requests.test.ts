/** Whatever stands in a request, it is answered or refused: no fault of a client is one of the engine, and nothing leaks. */

import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { chatRequestSchema } from '../../engine/chat/index.ts';
import { completionRequestSchema } from '../../engine/completions/index.ts';
import { embeddingRequestSchema } from '../../engine/embeddings/index.ts';
import { Engine } from '../../engine/index.ts';
import { responseRequestSchema } from '../../engine/responses/index.ts';
import { toHttpError } from '../../server/errors.ts';
import { until } from '../server/with-server.ts';

const test = suite('random requests');
const engine = await Engine.load('tiny-chat', { threads: 1 });
test.after(() => engine.close());

const scalar = fc.constantFrom<unknown>(
  ...[null, true, false, 0, 1, -1, 2.5, 3, 20, 1e308, 2 ** 53, 2n ** 63n, '', 'a', '1', 'true', '{}', '[]'],
  ...[
    '{"type":"object"}',
    'function',
    'text',
    'none',
    'auto',
    'required',
    'user',
    '\ud800',
    '<tool_call>',
    'x'.repeat(300),
  ],
);
const part = fc.constantFrom<unknown>(
  ...[null, 1, 'a', -1, {}, [], true, [1], { type: 'text', text: 'a' }, { role: 'user', content: 'hi' }],
  { type: 'function', function: { name: 'f' } },
  { function: { name: 'f', parameters: { type: 'object', properties: { a: { $ref: '#/x' } } } } },
);
const key = fc.constantFrom(
  ...['type', 'function', 'name', 'json_schema', 'schema', 'json', 'regex', 'choice', 'grammar', 'include_usage', '1'],
  ...['-1', 'format', 'max_pattern_size', 'min_count', 'structures', 'triggers', 'toString', '__proto__'],
);
const member = fc.constantFrom<unknown>(
  ...[null, 1, 2, 3, 'a', {}, [], true, 'object', 'json_schema', 'structural_tag', { name: 'x' }, ['a']],
);
const value = fc.oneof(scalar, fc.array(part, { maxLength: 3 }), fc.dictionary(key, member, { maxKeys: 3 }));

type Create = (body: never, options: { signal: AbortSignal }) => Promise<unknown>;
const endpoints: [name: string, schema: { shape: object }, base: object, create: Create][] = [
  [
    'chat',
    chatRequestSchema,
    { messages: [{ role: 'user', content: 'hi' }], max_tokens: 2 },
    (body, options) => engine.chat.completions.create(body, options),
  ],
  [
    'completions',
    completionRequestSchema,
    { prompt: 'hi', max_tokens: 2 },
    (body, options) => engine.completions.create(body, options),
  ],
  [
    'responses',
    responseRequestSchema,
    { input: 'hi', max_output_tokens: 2 },
    (body, options) => engine.responses.create(body, options),
  ],
  ['embeddings', embeddingRequestSchema, { input: 'hi' }, (body, options) => engine.embeddings.create(body, options)],
];

for (const [name, { shape }, base, create] of endpoints) {
  test(name, async () => {
    const fields = fc.uniqueArray(fc.tuple(fc.constantFrom(...Object.keys(shape)), value), {
      minLength: 1,
      maxLength: 4,
      selector: ([field]) => field,
    });
    await fc.assert(
      fc.asyncProperty(fields, async (entries) => {
        const body = { ...base, ...Object.fromEntries(entries) } as never;
        const signal = AbortSignal.timeout(500);
        try {
          const answer = await create(body, { signal });
          if (typeof answer === 'object' && answer !== null && Symbol.asyncIterator in answer) {
            for await (const chunk of answer as AsyncIterable<unknown>) JSON.stringify(chunk);
          } else JSON.stringify(answer);
        } catch (error) {
          if (!signal.aborted) assert.is.not(toHttpError(error, 'id').status, 500, String(error));
        }
      }),
      { numRuns: 150 },
    );
    // Responses in the background may go on for a while.
    await until(() => engine.stats.running + engine.stats.waiting === 0, 'all is done');
    assert.is(engine.stats.freeBlocks, engine.stats.totalBlocks);
  });
}

test.run();
