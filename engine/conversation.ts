/**
 * From a conversation to token ids. Special tokens come from the chat template alone: one that a message spells out, to
 * end its turn and begin another's, say, stays plain text.
 */

import type { ChatMessage, ChatTemplate, Tokenizer } from '../tokenizer/index.ts';
import { RequestError } from './errors.ts';
import type { PromptSource } from './types.ts';

type Conversation = Required<Pick<PromptSource, 'messages'>> &
  Pick<PromptSource, 'tools' | 'chatTemplateKwargs' | 'documents' | 'addSpecialTokens'> &
  Pick<PromptSource, 'addGenerationPrompt' | 'continueFinalMessage'>;

export class ConversationEncoder {
  readonly #tokenizer: Tokenizer;
  readonly #template: ChatTemplate;
  readonly #specialTokens: readonly string[];
  /** Matches any special token. Undefined when there are none. */
  readonly #special: RegExp | undefined;

  constructor(tokenizer: Tokenizer, template: ChatTemplate) {
    this.#tokenizer = tokenizer;
    this.#template = template;
    const texts = tokenizer.specialTokenIds.map((id) => tokenizer.decode([id])).filter((text) => text !== '');
    this.#specialTokens = texts.sort((a, b) => b.length - a.length);
    if (texts.length > 0) this.#special = anyOf(this.#specialTokens);
  }

  /**
   * The token ids of a conversation, with the beginning of the answer unless the conversation says otherwise.
   * @throws TokenizerError what the template throws
   * @throws RequestError when the last message cannot be continued
   */
  encode(conversation: Conversation): number[] {
    const { text, mark } = this.#render(conversation);
    const ids = mark === undefined ? this.#tokenizer.encode(text, PLAIN) : this.#encodeMarked(text, mark);
    return conversation.addSpecialTokens ? this.#tokenizer.withSpecialTokens(ids) : ids;
  }

  /** The text of a conversation; with a mark, special tokens that a message spells out have it in them. */
  #render({ messages, tools, documents, chatTemplateKwargs: variables, ...options }: Conversation) {
    const { addGenerationPrompt = true, continueFinalMessage = false } = options;
    const { marked, mark } = this.#markSpecial({ messages, tools, documents, variables });
    const render = (shown: readonly ChatMessage[], withPrompt: boolean) =>
      this.#template.render({
        ...marked,
        messages: fitted(shown, this.#template.source),
        addGenerationPrompt: withPrompt,
      });
    if (!continueFinalMessage) return { text: render(marked.messages, addGenerationPrompt), mark };
    const end = unusedCharacter({ marked, mark });
    const text = render(withEnd(marked.messages, end), false);
    const length = text.lastIndexOf(end);
    if (length < 0)
      throw new RequestError('the chat template does not show the last message', 'continue_final_message');
    return { text: text.slice(0, length).replaceAll(end, ''), mark };
  }

  /** Pieces that a mark shows to come from a message are plain text; what stands between them is the template's. */
  #encodeMarked(text: string, mark: string): number[] {
    const markedTokens = anyOf(this.#specialTokens.map((token) => afterFirst(token, mark)));
    let ids: number[] = [];
    let end = 0;
    for (const { index, 0: token } of text.matchAll(markedTokens)) {
      ids = ids.concat(this.#encodePiece(text.slice(end, index), mark), this.#encodePiece(token, mark));
      end = index + token.length;
    }
    return ids.concat(this.#encodePiece(text.slice(end), mark));
  }

  /** Where a mark is, also one that lost its token on the way, nothing counts as special. */
  #encodePiece(piece: string, mark: string): number[] {
    const options = { addSpecialTokens: false, parseSpecialTokens: !piece.includes(mark) };
    return this.#tokenizer.encode(piece.replaceAll(mark, ''), options);
  }

  /** Puts a mark after the first character of every special token; no mark when the conversation spells none. */
  #markSpecial<T>(conversation: T): { marked: T; mark?: string } {
    const special = this.#special;
    if (special === undefined || !someString(conversation, (text) => text.search(special) >= 0)) {
      return { marked: conversation };
    }
    const mark = unusedCharacter(conversation);
    const markToken = (token: string) => afterFirst(token, mark);
    return { marked: mapStrings(conversation, (text) => text.replace(special, markToken)) as T, mark };
  }
}

const PLAIN = { addSpecialTokens: false };

/** A template goes through the parts of a content by itself. */
const WALKS_PARTS = /\bfor\s+\w+\s+in\s+[\w.[\]]*(?:content\b|\[\s*['"]content['"]\s*\])/;

/**
 * Messages as a template can take them: parts become one text for a template that does not walk through them, texts become
 * parts for one that does nothing else, and where the developer's role is unknown it is the system's.
 */
function fitted(messages: readonly ChatMessage[], template: string): ChatMessage[] {
  const walksParts = WALKS_PARTS.test(template);
  const takesText = !walksParts || /\bis\s+(?:not\s+)?string\b/.test(template);
  const knowsDeveloper = template.includes('developer');
  return messages.map((message) => {
    const { role, content } = message;
    const isText = typeof content === 'string';
    return {
      ...message,
      role: role === 'developer' && !knowsDeveloper ? 'system' : role,
      ...(isText && !takesText ? { content: [{ type: 'text', text: content }] } : {}),
      ...(content && !isText && !walksParts ? { content: textOf(content) } : {}),
    };
  });
}

/** The text of a message: its parts with line ends between them. @throws RequestError for a part that is not text */
export function textOf(content: ChatMessage['content']): string {
  if (content == null || typeof content === 'string') return content ?? '';
  return content
    .map(({ type, text }) => {
      if (typeof text === 'string') return text;
      throw new RequestError(`messages have a part of type ${type}, but the model is not multimodal`, 'messages');
    })
    .join('\n');
}

/** The messages with a mark at the end of the last one's text. */
function withEnd(messages: readonly ChatMessage[], end: string): ChatMessage[] {
  const last = messages[messages.length - 1];
  if (last?.content == null) {
    throw new RequestError('messages must end with a text, for it to be continued', 'continue_final_message');
  }
  return [...messages.slice(0, -1), { ...last, content: textOf(last.content) + end }];
}

function anyOf(texts: readonly string[]): RegExp {
  return new RegExp(texts.map((text) => text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&')).join('|'), 'g');
}

/** The token with the mark in it. */
function afterFirst(token: string, mark: string): string {
  const [first] = token;
  return first + mark + token.slice(first.length);
}

/** A character for private use that the conversation does not have. */
function unusedCharacter(conversation: unknown): string {
  for (let code = 0xe000; code < 0xf8ff; code++) {
    const character = String.fromCharCode(code);
    if (!someString(conversation, (text) => text.includes(character))) return character;
  }
  throw new RequestError('messages have every character for private use; expected one to be free', 'messages');
}

function someString(value: unknown, predicate: (text: string) => boolean): boolean {
  if (typeof value === 'string') return predicate(value);
  if (typeof value !== 'object' || value === null) return false;
  return Object.entries(value).some(([key, member]) => predicate(key) || someString(member, predicate));
}

function mapStrings(value: unknown, map: (text: string) => string): unknown {
  if (typeof value === 'string') return map(value);
  if (typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map((member) => mapStrings(member, map));
  return Object.fromEntries(Object.entries(value).map(([key, member]) => [map(key), mapStrings(member, map)]));
}
