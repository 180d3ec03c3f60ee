/** One choice's reply, taken apart as it comes: reasoning, content and calls. */

import type { ChatTool } from '../../../tokenizer/index.ts';
import { type CallFormat, plain } from './formats.ts';
import { type Parsing, type ReplyPart, ReplyText } from './reply-text.ts';
import { THINK, type ThinkTags } from './thinking.ts';

export interface ReplyRules {
  /** How calls are written; undefined: there are none to be found. */
  readonly calls?: CallFormat;
  readonly tools?: readonly ChatTool[];
  /** Where reasoning is: `open` when the prompt has its opening tag already. */
  readonly reasoning?: 'open' | 'tagged';
  /** Default: those of most models. */
  readonly tags?: ThinkTags;
}

export class ReplyParser {
  readonly #text = new ReplyText();
  readonly #parsing: Parsing;

  constructor({ calls = plain, tools = [], reasoning, tags = THINK }: ReplyRules) {
    this.#parsing = parse(this.#text, calls, tools, reasoning && { reasoning, tags });
    this.#parsing.next();
  }

  push(text: string): ReplyPart[] {
    if (text === '') return [];
    this.#text.append(text);
    this.#parsing.next();
    return this.#text.take();
  }

  /** The text has ended. */
  finish(): ReplyPart[] {
    this.#text.end();
    return this.#text.take();
  }
}

/** Reasoning comes first, if there is any; blanks around it belong to nobody. */
function* parse(
  text: ReplyText,
  calls: CallFormat,
  tools: readonly ChatTool[],
  thinking: { readonly reasoning: ReplyRules['reasoning']; readonly tags: ThinkTags } | undefined,
): Parsing {
  if (thinking !== undefined) {
    const { reasoning, tags } = thinking;
    text.mark();
    yield* text.blanks();
    const begins = yield* text.skip(tags.open);
    if (begins || reasoning === 'open') {
      text.unmark();
      if (begins) yield* text.blanks();
      yield* text.until([tags.close], 'reasoning');
      yield* text.blanks();
    } else {
      text.retreat();
    }
  }
  yield* calls(text, tools);
}
