/** The trie of tokens, against sorting them. */

import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { buildTrie, NODE_WORDS } from '../../grammar/token-trie.ts';

const test = suite('token trie');

/** The texts of a trie's nodes with their tokens, depth first; each node's subtree must end where its parent or sibling goes on. */
function listed(trie: Int32Array): [text: string, token: number][] {
  const found: [string, number][] = [];
  const walk = (node: number, text: string): number => {
    const end = trie[node * NODE_WORDS];
    if (trie[node * NODE_WORDS + 2] >= 0) found.push([text, trie[node * NODE_WORDS + 2]]);
    let longest = trie[node * NODE_WORDS + 2] >= 0 ? text.length / 2 : 0;
    for (let child = node + 1; child < end; child = trie[child * NODE_WORDS]) {
      const word = trie[child * NODE_WORDS + 1];
      assert.is(word >> 8, text.length / 2 + 1);
      longest = Math.max(longest, walk(child, text + (word & 0xff).toString(16).padStart(2, '0')));
    }
    assert.is(trie[node * NODE_WORDS + 3], longest);
    return longest;
  };
  walk(0, '');
  return found;
}

test('holds each text once, in order, with all its tokens', () => {
  const bytes = fc.constantFrom(0, 1, 97, 255);
  const token = fc.array(bytes, { minLength: 1, maxLength: 12 }).map((list) => Uint8Array.from(list));
  fc.assert(
    fc.property(fc.array(token, { minLength: 1, maxLength: 200 }), (tokens) => {
      const sameBytes = new Int32Array(tokens.length).fill(-1);
      const trie = buildTrie(tokens, Uint32Array.from(tokens.keys()), sameBytes);
      const texts = tokens.map((token) => Buffer.from(token).toString('hex'));
      const found = listed(trie);
      assert.equal(
        found.map(([text]) => text),
        [...new Set(texts)].sort(),
      );
      for (const [text, first] of found) {
        const ids: number[] = [];
        for (let id = first; id >= 0; id = sameBytes[id]) ids.push(id);
        assert.equal(
          ids.sort((a, b) => a - b),
          [...texts.keys()].filter((id) => texts[id] === text),
        );
      }
    }),
    { seed: 5, numRuns: 60 },
  );
});

test.run();
