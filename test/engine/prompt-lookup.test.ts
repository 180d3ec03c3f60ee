import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { lookUpDraft, PromptLookup } from '../../engine/prompt-lookup.ts';

const test = suite('prompt lookup');

test('what followed the last tokens before is proposed', () => {
  assert.equal(lookUpDraft([1, 2, 3, 4, 5, 1, 2], 3), [3, 4, 5]);
  assert.equal(lookUpDraft([1, 2, 3, 4, 5, 1, 2], 9), [3, 4, 5, 1, 2]);
  assert.equal(lookUpDraft([7, 7, 7], 2), [7]);
});

test('nothing is proposed when less than two tokens are the same', () => {
  assert.equal(lookUpDraft([1, 2, 3, 4, 2], 3), []);
  assert.equal(lookUpDraft([1], 3), []);
  assert.equal(lookUpDraft([], 3), []);
});

test('a longer match wins, and of equally long ones the latest', () => {
  assert.equal(lookUpDraft([9, 1, 2, 50, 1, 2, 60, 9, 1, 2], 1), [50]);
  assert.equal(lookUpDraft([1, 2, 50, 1, 2, 60, 1, 2], 1), [60]);
  // Four tokens are enough.
  assert.equal(lookUpDraft([8, 1, 2, 3, 4, 50, 7, 1, 2, 3, 4, 60, 8, 1, 2, 3, 4], 1), [60]);
});

test('drafts grow while they are right, and shrink to what was right', () => {
  const lookup = new PromptLookup(5);
  const cycle = (length: number) => Array.from({ length }, (_, i) => i % 10);
  const lengths: number[] = [];
  let length = 20;
  for (let i = 0; i < 5; i++) {
    lengths.push(lookup.draft(cycle(length)).length);
    // All of it was right, and one more token came.
    length += lengths.at(-1)! + 1;
  }
  assert.equal(lengths, [1, 2, 4, 5, 5]);
  // Of five, two were right, then none.
  length -= 3;
  for (let i = 0; i < 4; i++) lengths.push(lookup.draft(cycle(length++)).length);
  assert.equal(lengths.slice(5), [2, 1, 1, 1]);
});

test('a text without a draft says nothing about the next one', () => {
  const lookup = new PromptLookup(8);
  assert.equal(lookup.draft([1, 2, 3, 4, 5, 1, 2]), [3]);
  assert.equal(lookup.draft([1, 2, 3, 4, 5, 1, 2, 3, 4]), [5, 1]);
  assert.equal(lookup.draft([1, 2, 3, 4, 5, 1, 2, 3, 9]), []);
  assert.is(lookup.draft([1, 2, 3, 4, 5, 1, 2, 3, 9, 1, 2]).length, 1);
});

test('every draft stands in the text after the last two tokens, and is no longer than asked', () => {
  fc.assert(
    fc.property(fc.array(fc.nat({ max: 3 }), { maxLength: 40 }), fc.integer({ min: 1, max: 6 }), (tokens, length) => {
      const draft = lookUpDraft(tokens, length);
      assert.ok(draft.length <= length);
      const wanted = [...tokens.slice(-2), ...draft].join();
      const places = tokens.map((_, i) => tokens.slice(i, i + 2 + draft.length).join());
      assert.ok(draft.length === 0 || places.slice(0, -2).includes(wanted));
    }),
  );
});

test.run();
