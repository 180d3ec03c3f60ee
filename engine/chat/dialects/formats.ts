/** How models write calls: one parser for each family. */

import type { ChatTool } from '../../../tokenizer/index.ts';
import { jsonCall, jsonCalls, jsonValue } from './json-call.ts';
import { MAX_DEPTH, pythonItems, pythonValue, scalar, taggedValue } from './literals.ts';
import { NotACall, type Parsing, type ReplyText } from './reply-text.ts';

/** A parser of whole replies. It never ends by itself. */
export type CallFormat = (text: ReplyText, tools: readonly ChatTool[]) => Parsing;

/** `<tool_call>{"name": …, "arguments": {…}}</tool_call>`, or `<function=NAME><parameter=KEY>…` between the same tags. */
function* hermes(text: ReplyText, tools: readonly ChatTool[]): Parsing {
  const begin = '<tool_call>';
  const end = '</tool_call>';
  for (;;) {
    yield* text.until([begin]);
    yield* call(text, begin, function* () {
      yield* text.blanks();
      if ((yield* text.peek()) === '<') yield* taggedCall(text, tools);
      else yield* jsonCall(text);
      yield* text.blanks();
      yield* text.skip(end);
    });
  }
}

/** `{"name": …, "parameters": {…}}` as the whole reply, several with semicolons between them. */
function* llama3Json(text: ReplyText): Parsing {
  yield* call(text, '', function* () {
    yield* text.blanks();
    yield* text.skip('<|python_tag|>');
    do {
      yield* text.blanks();
      yield* jsonCall(text);
      yield* text.blanks();
    } while (yield* text.skip(';', ','));
  });
  yield* plain(text);
}

/** `[TOOL_CALLS]` with a list of objects, or with a name and its arguments. */
function* mistral(text: ReplyText): Parsing {
  const begin = '[TOOL_CALLS]';
  for (;;) {
    yield* text.until([begin]);
    yield* call(text, begin, function* () {
      yield* text.blanks();
      if ((yield* text.peek()) === '[') {
        yield* jsonCalls(text);
        return;
      }
      const name = yield* text.while(/[\w.-]/);
      if (name === '') throw new NotACall();
      if (yield* text.skip('[CALL_ID]')) yield* text.while(/\w/);
      yield* text.skip('[ARGS]');
      yield* text.blanks();
      if ((yield* text.peek()) !== '{') throw new NotACall();
      text.call(name);
      yield* jsonValue(text, (piece) => text.emit('arguments', piece));
    });
  }
}

/** `<|tool_call|>` or `<tool_call>` with a list of objects. */
function* granite(text: ReplyText): Parsing {
  for (;;) {
    const begin = yield* text.until(['<|tool_call|>', '<tool_call>']);
    yield* call(text, begin, function* () {
      yield* text.blanks();
      yield* jsonCalls(text);
    });
  }
}

/** `[f(a=1), g(b="x")]` as the whole reply. */
function* pythonic(text: ReplyText): Parsing {
  yield* call(text, '', function* () {
    yield* text.blanks();
    yield* text.skip('<|python_start|>');
    yield* text.expect('[');
    do {
      yield* text.blanks();
      yield* pythonCall(text);
      yield* text.blanks();
    } while (yield* text.skip(','));
    yield* text.expect(']');
    yield* text.skip('<|python_end|>');
  });
  yield* plain(text);
}

/** `<start_function_call>call:NAME{key:<escape>text<escape>,other:3}<end_function_call>`. */
function* functionGemma(text: ReplyText): Parsing {
  const begin = '<start_function_call>';
  for (;;) {
    yield* text.until([begin]);
    yield* call(text, begin, function* () {
      yield* text.expect('call:');
      const name = yield* text.while(/[\w.-]/);
      if (name === '' || (yield* text.peek()) !== '{') throw new NotACall();
      text.call(name);
      text.emit('arguments', yield* gemmaValue(text));
      yield* text.skip('<end_function_call>');
    });
  }
}

/** Messages on channels: analysis is reasoning, what goes to `functions.NAME` is a call, the rest is content. */
function* harmony(text: ReplyText): Parsing {
  const ends = ['<|end|>', '<|call|>', '<|return|>', '<|start|>'];
  for (;;) {
    text.mark();
    const header = yield* text.through('<|message|>');
    text.unmark();
    const [, name] = /to=functions\.([\w.-]+)/.exec(header) ?? [];
    const isReasoning = /<\|channel\|>\s*analysis/.test(header);
    if (name === undefined) {
      yield* text.until(ends, isReasoning ? 'reasoning' : 'content');
      continue;
    }
    text.call(name);
    yield* text.blanks();
    yield* jsonValue(text, (piece) => text.emit('arguments', piece));
    yield* text.while(/\s/);
    for (const end of ends) if (yield* text.skip(end)) break;
  }
}

/** `[{"name": …, "parameters": {…}}]`: what a reply is made to be when a call is required. What is cut short is nothing. */
export function* requiredCalls(text: ReplyText): Parsing {
  try {
    yield* jsonCalls(text);
  } catch (error) {
    if (!(error instanceof NotACall)) throw error;
  }
  yield* plain(text);
}

/** The arguments of a function that must be called are the whole reply. */
export function namedCall(name: string): CallFormat {
  return function* (text) {
    text.call(name);
    yield* text.rest('arguments');
  };
}

/** By the names that the command line has for them. */
export const CALL_FORMATS = {
  hermes,
  qwen3_coder: hermes,
  llama3_json: llama3Json,
  mistral,
  pythonic,
  granite,
  functiongemma: functionGemma,
  openai: harmony,
} satisfies Record<string, CallFormat>;

export type CallFormatName = keyof typeof CALL_FORMATS;

/** Text without calls. */
export function plain(text: ReplyText): Parsing {
  return text.rest('content');
}

/** Reads calls; where there are none the text is content. `begin`: what was read of them already. */
function* call(text: ReplyText, begin: string, read: () => Parsing): Parsing {
  text.mark(begin);
  try {
    yield* read();
  } catch (error) {
    if (!(error instanceof NotACall)) throw error;
  }
  text.retreat();
}

function* taggedCall(text: ReplyText, tools: readonly ChatTool[]): Parsing {
  yield* text.expect('<function=');
  const name = yield* text.while(/[\w.-]/);
  yield* text.expect('>');
  text.call(name);
  const parameters = tools.find((tool) => tool.function.name === name)?.function.parameters;
  const properties = (parameters as { properties?: Record<string, unknown> } | undefined)?.properties ?? {};
  let separator = '{';
  yield* text.blanks();
  while (yield* text.skip('<parameter=')) {
    const key = yield* text.while(/[^>]/);
    yield* text.expect('>');
    const value = (yield* text.through('</parameter>')).replace(/^\n|\n$/g, '');
    text.emit('arguments', `${separator}${JSON.stringify(key)}: ${taggedValue(value, properties[key])}`);
    separator = ', ';
    yield* text.blanks();
  }
  text.emit('arguments', separator === '{' ? '{}' : '}');
  yield* text.skip('</function>');
}

function* pythonCall(text: ReplyText): Parsing {
  const name = yield* text.while(/[\w.]/);
  if (name === '' || (yield* text.peek()) !== '(') throw new NotACall();
  text.call(name);
  let separator = '{';
  yield* pythonItems(text, '(', ')', function* () {
    const key = yield* text.while(/\w/);
    yield* text.blanks();
    yield* text.expect('=');
    yield* text.blanks();
    text.emit('arguments', `${separator}${JSON.stringify(key)}: ${yield* pythonValue(text)}`);
    separator = ', ';
    return '';
  });
  text.emit('arguments', separator === '{' ? '{}' : '}');
}

function* gemmaValue(text: ReplyText, depth = 0): Parsing<string> {
  if (depth > MAX_DEPTH) throw new NotACall();
  const first = yield* text.peek();
  if (first === '<') {
    yield* text.expect('<escape>');
    return JSON.stringify(yield* text.through('<escape>'));
  }
  if (first === '[') return `[${(yield* pythonItems(text, '[', ']', (t) => gemmaValue(t, depth + 1))).join(', ')}]`;
  if (first === '{') return `{${(yield* pythonItems(text, '{', '}', (t) => gemmaEntry(t, depth + 1))).join(', ')}}`;
  return scalar(yield* text.while(/[\w.+-]/));
}

function* gemmaEntry(text: ReplyText, depth: number): Parsing<string> {
  const key = yield* text.while(/[^:,{}]/);
  yield* text.expect(':');
  return `${JSON.stringify(key)}: ${yield* gemmaValue(text, depth)}`;
}
