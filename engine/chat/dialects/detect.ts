/** Which dialect a model speaks, told by its chat template. */

import type { ReplyFormat } from '../api-engine.ts';
import type { CallFormatName } from './formats.ts';
import { THINK, type ThinkTags } from './thinking.ts';

const MARKS: readonly [mark: string | RegExp, name: CallFormatName][] = [
  ['<start_function_call>', 'functiongemma'],
  ['[TOOL_CALLS]', 'mistral'],
  ['<|tool_call|>', 'granite'],
  [/<\|channel\|>[\s\S]*functions\./, 'openai'],
  [/<tool_call>[\s\S]*<function=/, 'qwen3_coder'],
  ['<tool_call>', 'hermes'],
  [/<\|python_start\|>|\[\w+\(\w+=/, 'pythonic'],
  [/<\|python_tag\|>|"parameters": |ipython/, 'llama3_json'],
];

/** Most models; Mistral; Seed; Command. */
const TAGS: readonly ThinkTags[] = [
  THINK,
  { open: '[THINK]', close: '[/THINK]' },
  { open: '<seed:think>', close: '</seed:think>' },
  { open: '<|START_THINKING|>', close: '<|END_THINKING|>' },
];

/** Undefined when the template shows no calls that are known. */
export function callFormatOf(template: string): CallFormatName | undefined {
  return MARKS.find(([mark]) => (typeof mark === 'string' ? template.includes(mark) : mark.test(template)))?.[1];
}

/** @param calls  how calls are written, if it is not to be told by the template */
export function replyFormatOf(template: string, calls = callFormatOf(template)): ReplyFormat {
  const tags = TAGS.find(({ close }) => template.includes(close));
  return { calls, reasoning: tags !== undefined, tags };
}

/** How a reply begins after a prompt with this end. Undefined: no reasoning comes any more. */
export function reasoningAfter(promptEnd: string, tags: ThinkTags): 'open' | 'tagged' | undefined {
  const open = promptEnd.lastIndexOf(tags.open);
  const close = promptEnd.lastIndexOf(tags.close);
  if (open > close) return 'open';
  return close >= 0 && promptEnd.slice(close + tags.close.length).trim() === '' ? undefined : 'tagged';
}
