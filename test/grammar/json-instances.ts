/** Instances of schemas, and how a grammar takes them: as bytes, as long tokens, as tokens cut at random. */

import type { CompiledGrammar } from '../../grammar/index.ts';
import { Random } from '../random.ts';
import { EOS, MASK_WORDS, tokens } from './vocabulary.ts';

export interface Instance {
  readonly text: string;
  readonly valid: boolean;
}

/** What a grammar made of the instances of one schema. */
export type Outcome = 'right' | 'rejects a valid instance' | 'accepts an invalid instance' | 'refused';

const byFirstByte = new Map<number, { id: number; bytes: Uint8Array }[]>();
tokens.forEach((bytes, id) => {
  if (bytes.length === 0) return;
  byFirstByte.set(bytes[0], [...(byFirstByte.get(bytes[0]) ?? []), { id, bytes }]);
});
for (const list of byFirstByte.values()) list.sort((a, b) => b.bytes.length - a.bytes.length);

/** The ids of a text's tokens; `pick` chooses among those that fit, longest first. */
export function tokenise(text: string, pick: (count: number) => number): number[] {
  const bytes = new TextEncoder().encode(text);
  const ids: number[] = [];
  for (let at = 0; at < bytes.length; ) {
    const fitting = byFirstByte
      .get(bytes[at])!
      .filter((token) => token.bytes.every((byte, i) => bytes[at + i] === byte));
    const token = fitting[pick(fitting.length)];
    ids.push(token.id);
    at += token.bytes.length;
  }
  return ids;
}

/** True when every token of every tokenisation is taken, and the text may end; they must all say the same. */
export function takes(grammar: CompiledGrammar, text: string, seed = 1): boolean {
  const random = new Random(seed);
  const ways = [
    tokenise(text, (count) => count - 1),
    tokenise(text, () => 0),
    tokenise(text, (count) => Math.floor(random.uniform() * count)),
  ];
  const answers = ways.map((ids) => takesTokens(grammar, ids));
  if (answers.some((answer) => answer !== answers[0])) throw new Error(`tokenisations differ for ${text}`);
  return answers[0];
}

const mask = new Uint32Array(MASK_WORDS);

/** The mask must allow what is accepted, and the end token where the text may end. */
function takesTokens(grammar: CompiledGrammar, ids: readonly number[]): boolean {
  const matcher = grammar.matcher();
  const inMask = (id: number) => ((mask[id >> 5] >>> (id & 31)) & 1) === 1;
  for (const [i, id] of ids.entries()) {
    const checked = i % 16 === 3 || i === ids.length - 1;
    if (checked) matcher.fillMask(mask);
    const accepted = matcher.accept(id);
    if (checked && accepted !== inMask(id)) throw new Error(`the mask and accept differ at token ${i}`);
    if (!accepted) return false;
  }
  matcher.fillMask(mask);
  if (inMask(EOS) !== matcher.canFinish()) throw new Error('the mask allows the end token elsewhere than at an end');
  return matcher.canFinish();
}

/** The worst that happens to the instances of a schema. */
export function judge(
  compile: () => CompiledGrammar,
  instances: readonly Instance[],
  isRefusal: (error: unknown) => boolean,
): Outcome {
  try {
    const grammar = compile();
    let outcome: Outcome = 'right';
    for (const { text, valid } of instances) {
      const taken = takes(grammar, text);
      if (taken && !valid) return 'accepts an invalid instance';
      if (!taken && valid) outcome = 'rejects a valid instance';
    }
    return outcome;
  } catch (error) {
    if (isRefusal(error)) return 'refused';
    throw error;
  }
}
