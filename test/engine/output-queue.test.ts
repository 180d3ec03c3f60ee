import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { OutputQueue } from '../../engine/output-queue.ts';
import type { GenerateOutput } from '../../engine/types.ts';

const test = suite('output queue');

function output(index: number, text: string, more: Partial<GenerateOutput> = {}): GenerateOutput {
  const logprobs = [{ tokenId: text.length, logprob: -1, top: [] }];
  return {
    index,
    text,
    tokenIds: [text.length],
    logprobs,
    finishReason: null,
    stopReason: null,
    promptTokens: 1,
    cachedTokens: 0,
    ...more,
  };
}

test('a reader that waits gets each output as it is', async () => {
  const queue = new OutputQueue();
  const reads = [queue.next(), queue.next()];
  queue.push(output(0, 'a'));
  queue.push(output(0, 'b'));
  assert.equal(
    (await Promise.all(reads)).map(({ value }) => value!.text),
    ['a', 'b'],
  );
});

test('unread outputs of one choice become one', async () => {
  const queue = new OutputQueue();
  const first = output(0, 'a');
  queue.push(first);
  queue.push(output(1, 'x'));
  queue.push(output(0, 'bc'));
  queue.push(output(0, 'def', { finishReason: 'stop', stopReason: 7 }));
  queue.end();
  const { value } = await queue.next();
  assert.is(value!.text, 'abcdef');
  assert.equal(value!.tokenIds, [1, 2, 3]);
  assert.equal(
    value!.logprobs!.map(({ tokenId }) => tokenId),
    [1, 2, 3],
  );
  assert.equal([value!.finishReason, value!.stopReason], ['stop', 7]);
  assert.is((await queue.next()).value!.text, 'x');
  assert.equal(await queue.next(), { done: true, value: undefined });
  assert.equal(first.tokenIds, [1], 'the output that was pushed is not changed');
});

test('an error drops what is unread, is told once, and ends the queue', async () => {
  const queue = new OutputQueue();
  queue.push(output(0, 'a'));
  queue.fail(new Error('broken'));
  queue.fail(new Error('broken again'));
  queue.push(output(0, 'b'));
  let message = '';
  await queue.next().catch((error) => (message = error.message));
  assert.is(message, 'broken');
  assert.is((await queue.next()).done, true);
});

test('an error reaches the first reader that waits, the others find the end', async () => {
  const queue = new OutputQueue();
  const reads = Promise.allSettled([queue.next(), queue.next()]);
  queue.fail(undefined);
  const [first, second] = await reads;
  assert.is(first.status, 'rejected');
  assert.is(second.status, 'fulfilled');
});

test('dropping ends every read', async () => {
  const queue = new OutputQueue();
  const read = queue.next();
  queue.drop();
  assert.is((await read).done, true);
  queue.push(output(0, 'late'));
  assert.is((await queue.next()).done, true);
});

test.run();
