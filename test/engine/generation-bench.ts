/** Requests on a fake model, and what tests ask of them. */

import * as assert from 'uvu/assert';
import { createSearch, type SearchTools } from '../../engine/create-search.ts';
import { Generation } from '../../engine/generation.ts';
import { StepLoop, type StepLoopOptions } from '../../engine/step-loop.ts';
import type { GenerateOutput, GenerateRequest } from '../../engine/types.ts';
import { type Grammar, GrammarError } from '../../grammar/index.ts';
import type { SamplingParams } from '../../sampling/index.ts';
import { type FakeLimits, FakeModel } from './fake-model.ts';

/** Token i is the i-th letter; the last two end a text. */
export const VOCABULARY = 28;
export const EOS = [26, 27];
const limits: FakeLimits = {
  vocabSize: VOCABULARY,
  maxModelLen: 512,
  kvBlocks: 64,
  maxRows: 32,
  maxSeqs: 8,
  maxLogitRows: 16,
};

export class Bench {
  readonly model: FakeModel;
  readonly loop: StepLoop;

  constructor(more: Partial<FakeLimits> = {}, options: StepLoopOptions = {}, ModelClass: typeof FakeModel = FakeModel) {
    this.model = new ModelClass({ ...limits, ...more });
    this.loop = new StepLoop(this.model, options);
  }

  start(
    prompt: string,
    params: SamplingParams = {},
    more: Pick<GenerateRequest, 'grammar' | 'signal' | 'bestOf' | 'beam' | 'priority'> & { draftLength?: number } = {},
  ): Generation {
    const { draftLength = 0, signal, ...request } = more;
    const tools = { tokenizer: TOKENIZER, vocabSize: VOCABULARY, eosTokenIds: EOS, draftLength };
    const search = createSearch(request, ids(prompt), params, { maxTokens: 20, temperature: 0 }, tools);
    return new Generation(this.loop, search, signal);
  }

  isIdle(): boolean {
    const { running, waiting, freeBlocks, totalBlocks } = this.loop.stats;
    return running === 0 && waiting === 0 && freeBlocks === totalBlocks;
  }
}

export const ids = (text: string): number[] => Array.from(text, (char) => char.charCodeAt(0) - 97);
const TOKENIZER = {
  streamDecoder: () => ({ push: letter }),
  encode: ids,
  tokenBytes: (id: number) => new TextEncoder().encode(letter(id)),
} as unknown as SearchTools['tokenizer'];
export const letter = (id: number): string => (EOS.includes(id) ? '' : String.fromCharCode(97 + id));

/** The outputs of each choice put together. */
export async function collect(outputs: AsyncIterable<GenerateOutput>): Promise<GenerateOutput[]> {
  const choices: GenerateOutput[] = [];
  for await (const output of outputs) {
    const before = choices[output.index];
    assert.is(before?.finishReason ?? null, null, 'an output came after the last one');
    choices[output.index] = before
      ? {
          ...output,
          text: before.text + output.text,
          tokenIds: [...before.tokenIds, ...output.tokenIds],
          ...(output.logprobs && { logprobs: [...before.logprobs!, ...output.logprobs] }),
        }
      : output;
  }
  for (const choice of choices) assert.is.not(choice.finishReason, null);
  return choices;
}

export async function errorOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => assert.unreachable('no error came'),
    (error) => error,
  );
}

/** Lets the loop run `turns` turns of the event loop. */
export async function wait(turns: number): Promise<void> {
  for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** The language `{words}`: letters of one word in order, then the end, where it counts its matchers. */
export function wordGrammar(
  word: string,
  faults: { refuse?: boolean; deadEnd?: boolean; throws?: boolean } = {},
): Grammar {
  return {
    matcher: () => {
      let at = 0;
      return {
        fillMask: (mask) => {
          mask.fill(0);
          if (faults.throws && at === 2) throw new GrammarError('broken');
          if (at < word.length && !(faults.deadEnd && at === 2)) {
            const id = ids(word)[at];
            mask[id >> 5] |= 1 << (id & 31);
          }
        },
        accept: (id) => !(faults.refuse && at === 2) && id === ids(word)[at] && ++at > 0,
        canFinish: () => at === word.length,
        rollback: (count) => {
          at -= count;
        },
        forcedTokens: () => [],
        reset: () => {},
      };
    },
  };
}
