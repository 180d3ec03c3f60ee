import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { StopMatcher, type StopRules } from '../../sampling/index.ts';

const test = suite('stop');

const EOS = 2;
const SECOND_EOS = 3;

function matcherFor(rules: Partial<StopRules>): StopMatcher {
  const none = { stop: [], stopTokenIds: [], ignoreEos: false, includeStopStrInOutput: false, minTokens: 0 };
  return new StopMatcher({ ...none, ...rules }, [EOS, SECOND_EOS]);
}

/** Feeds pieces of text as tokens 100, 101, …; gives the text after each token and how it ended. */
function run(rules: Partial<StopRules>, pieces: string[]): { deltas: string[]; text: string; reason: unknown } {
  const matcher = matcherFor(rules);
  const deltas: string[] = [];
  let reason: unknown = 'none';
  for (const [i, piece] of pieces.entries()) {
    const step = matcher.push(100 + i, piece);
    deltas.push(step.text);
    if (!step.stopped) continue;
    reason = step.stopReason;
    break;
  }
  if (reason === 'none') deltas.push(matcher.finish());
  return { deltas, text: deltas.join(''), reason };
}

test('text is cut before the stop string, also when it is spread over tokens', () => {
  assert.equal(run({ stop: ['three'] }, ['one ', 'two ', 'th', 'ree', ' four']), {
    deltas: ['one ', 'two ', '', ''],
    text: 'one two ',
    reason: 'three',
  });
});

test('text that only began like a stop string is released as soon as that is known', () => {
  assert.equal(run({ stop: ['###'] }, ['a #', '#', ' b']).deltas, ['a ', '', '## b', '']);
});

test('include_stop_str_in_output keeps the stop string, drops what follows, and holds nothing back', () => {
  assert.equal(run({ stop: ['END'], includeStopStrInOutput: true }, ['aE', 'N', 'D and more']).deltas, [
    'aE',
    'N',
    'D',
  ]);
});

test('of several stop strings in one token the first in the list wins, not the leftmost', () => {
  assert.equal(run({ stop: ['c', 'b'] }, ['abcd']), { deltas: ['ab'], text: 'ab', reason: 'c' });
});

test('a stop string that overlaps itself is found at its first place', () => {
  assert.is(run({ stop: ['aab'] }, ['a', 'a', 'a', 'a', 'b']).text, 'aa');
  assert.is(run({ stop: ['abab'] }, ['aba', 'abab']).text, 'aba');
});

test('what is held back comes out at the end of the tokens', () => {
  assert.equal(run({ stop: ['xyz'] }, ['w', 'xy']), { deltas: ['w', '', 'xy'], text: 'wxy', reason: 'none' });
});

test('an end token ends the text without a reason, a second one with its id, and leaves no text', () => {
  assert.equal(matcherFor({}).push(EOS, '</s>'), { text: '', stopped: true, stopReason: null });
  assert.equal(matcherFor({}).push(SECOND_EOS, '<end>'), { text: '', stopped: true, stopReason: SECOND_EOS });
  assert.equal(matcherFor({ includeStopStrInOutput: true }).push(EOS, '</s>').text, '</s>');
});

test('ignore_eos goes on after end tokens, but not after a stop token, even the same one', () => {
  assert.is(matcherFor({ ignoreEos: true }).push(EOS, '').stopped, false);
  assert.is(matcherFor({ ignoreEos: true }).push(SECOND_EOS, '').stopped, false);
  const both = matcherFor({ ignoreEos: true, stopTokenIds: [EOS] });
  assert.equal(both.push(EOS, ''), { text: '', stopped: true, stopReason: EOS });
});

test('a stop token leaves its text out and releases what was held back', () => {
  const matcher = matcherFor({ stop: ['abc'], stopTokenIds: [7] });
  assert.is(matcher.push(100, 'ab').text, '');
  assert.equal(matcher.push(7, 'c'), { text: 'ab', stopped: true, stopReason: 7 });
});

test('before min_tokens end and stop tokens are banned and nothing stops', () => {
  const matcher = matcherFor({ minTokens: 2, stopTokenIds: [7] });
  assert.equal(matcher.bannedIds, [EOS, SECOND_EOS, 7]);
  assert.is(matcher.push(7, 'x').stopped, false);
  assert.equal(matcher.bannedIds, [EOS, SECOND_EOS, 7]);
  matcher.push(100, 'y');
  assert.equal(matcher.bannedIds, []);
  assert.is(matcher.push(EOS, '').stopped, true);
});

test('a stop string inside the first min_tokens tokens never counts; one across the border does', () => {
  assert.equal(run({ stop: ['bc'], minTokens: 2 }, ['ab', 'c', 'd']), {
    deltas: ['a', 'bc', 'd', ''],
    text: 'abcd',
    reason: 'none',
  });
  assert.equal(run({ stop: ['cd'], minTokens: 2 }, ['ab', 'c', 'd']).text, 'ab');
});

test('a stop string with half a surrogate pair matches nowhere', () => {
  assert.is(run({ stop: ['\udc31', '\ud83d', 'x\ud83d'] }, ['a🐱', 'x🐱']).text, 'a🐱x🐱');
});

test('a very long repetitive stop string costs time linear in the text', () => {
  const half = 'a'.repeat(30_000);
  const { text, reason } = run({ stop: [`${half}b`] }, [half, 'a', half, 'b', 'c']);
  assert.is(text.length, 30_001);
  assert.is(reason, `${half}b`);
});

// Few letters, so that stop strings and their beginnings come up all the time.
const word = fc.string({ unit: fc.constantFrom('a', 'b', '🐱', '🐲'), minLength: 1, maxLength: 4 });
const pieces = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', '🐱', '🐲'), maxLength: 4 }), { maxLength: 12 });
const stops = fc.array(word, { maxLength: 3 });

test('what comes out is the text cut at the first match by the plain rule, and never half a character', () => {
  fc.assert(
    fc.property(stops, pieces, fc.boolean(), fc.nat({ max: 4 }), (stop, tokens, include, minTokens) => {
      const { deltas, text, reason } = run({ stop, includeStopStrInOutput: include, minTokens }, tokens);
      const expected = plainly(stop, tokens, include, minTokens);
      assert.is(text, expected.text);
      assert.is(reason, expected.reason);
      for (const delta of deltas) assert.ok(delta.isWellFormed(), JSON.stringify(delta));
    }),
    { numRuns: 2000 },
  );
});

test('no more is held back than may still become a stop string', () => {
  fc.assert(
    fc.property(stops, pieces, (stop, tokens) => {
      const matcher = matcherFor({ stop });
      let visible = '';
      let given = '';
      for (const [i, piece] of tokens.entries()) {
        const step = matcher.push(100 + i, piece);
        if (step.stopped) return;
        visible += piece;
        given += step.text;
        const held = visible.slice(given.length);
        assert.ok(held === '' || stop.some((s) => s.length > held.length && s.startsWith(held)), `held "${held}"`);
      }
    }),
  );
});

/** The rule as the reference states it: look for each string, in order, in the last d + |s| - 1 units. */
function plainly(stop: string[], tokens: string[], include: boolean, minTokens: number) {
  let text = '';
  for (const [i, piece] of tokens.entries()) {
    text += piece;
    if (i + 1 <= minTokens) continue;
    for (const s of stop) {
      const at = text.indexOf(s, Math.max(0, text.length - piece.length - s.length + 1));
      if (piece !== '' && at >= 0) return { text: text.slice(0, include ? at + s.length : at), reason: s };
    }
  }
  return { text, reason: 'none' };
}

test.run();
