/**
 * Chat templates: a conversation becomes one text, by a Jinja template that comes with the model, exactly as
 * `transformers` renders it. Parsing is done by `@huggingface/jinja`; `template/` holds what goes around it.
 */

import { TokenizerError } from './errors.ts';
import { render } from './template/interpreter.ts';
import { type Block, parseTemplate } from './template/syntax.ts';
import { fromJson, type Value } from './template/values.ts';
import type { SpecialTokens } from './tokenizer.ts';

/** A message in the API's spelling; templates see it as it is. */
export interface ChatMessage {
  readonly role: string;
  readonly content?: string | null | readonly ChatContentPart[];
  readonly name?: string;
  readonly tool_calls?: readonly ChatToolCall[];
  readonly tool_call_id?: string;
  readonly reasoning_content?: string | null;
  readonly [member: string]: unknown;
}

export interface ChatContentPart {
  readonly type: string;
  readonly text?: string;
  readonly [member: string]: unknown;
}

export interface ChatToolCall {
  readonly id?: string;
  readonly type?: string;
  readonly function: {
    readonly name: string;
    /** Parsed; most templates write an object with `tojson`. */
    readonly arguments: unknown;
  };
}

export interface ChatTool {
  readonly type: 'function';
  readonly function: {
    readonly name: string;
    readonly description?: string;
    /** A JSON schema. */
    readonly parameters?: unknown;
    readonly strict?: boolean | null;
  };
}

/** The content of `chat_template.jinja`, or the `chat_template` of `tokenizer_config.json`. */
export type ChatTemplateSource = string | readonly { readonly name: string; readonly template: string }[];

export interface RenderOptions {
  readonly messages: readonly ChatMessage[];
  readonly tools?: readonly ChatTool[] | null;
  readonly documents?: readonly unknown[] | null;
  /** Ends with the beginning of the assistant's turn. Default false. */
  readonly addGenerationPrompt?: boolean;
  /** More names that the template sees. */
  readonly variables?: Readonly<Record<string, unknown>>;
  /** The clock of `strftime_now`. Default: the time of the call. */
  readonly now?: Date;
}

export class ChatTemplate {
  /** The text of all its templates. */
  readonly source: string;
  /** The template that is used without tools, and the one with tools. */
  readonly #plain: Block;
  readonly #withTools: Block;
  readonly #specialTokens: SpecialTokens;

  /**
   * @param source  one template, or several by name: `tool_use` is taken when there are tools, else `default`
   * @throws TokenizerError when there is no template or it is not well formed
   */
  constructor(source: unknown, { specialTokens = {} }: { readonly specialTokens?: SpecialTokens } = {}) {
    const templates = readSource(source);
    this.source = [...templates.values()].join('\n');
    const plain = templates.get('default') ?? templates.values().next().value!;
    const withTools = templates.get('tool_use') ?? plain;
    this.#plain = parseTemplate(plain);
    this.#withTools = withTools === plain ? this.#plain : parseTemplate(withTools);
    this.#specialTokens = specialTokens;
  }

  /**
   * The text of a conversation. It holds its special tokens already: encode it without adding any.
   *
   * @throws TokenizerError  with the template's own words where it calls `raise_exception`
   */
  render(options: RenderOptions): string {
    const { messages, tools, documents, addGenerationPrompt = false, variables, now = new Date() } = options;
    const names = new Map<string, Value>();
    // Later names win: a variable may replace a special token, but never what the other options say.
    for (const [name, value] of Object.entries(this.#specialTokens)) names.set(name, fromJson(value));
    for (const [name, value] of Object.entries(variables ?? {})) names.set(name, fromJson(value));
    names.set('messages', fromJson(messages));
    names.set('tools', fromJson(tools ?? null));
    if (documents !== undefined || !names.has('documents')) names.set('documents', fromJson(documents ?? null));
    names.set('add_generation_prompt', addGenerationPrompt);
    return render(tools?.length ? this.#withTools : this.#plain, names, now);
  }
}

function readSource(source: unknown): Map<string, string> {
  if (source == null) throw new TokenizerError('the model has no chat template; give one to use messages');
  const list = Array.isArray(source) ? source : [{ name: 'default', template: source }];
  const templates = new Map<string, string>();
  for (const entry of list as readonly unknown[]) {
    const { name, template } = (entry ?? {}) as { name?: unknown; template?: unknown };
    if (typeof name !== 'string' || typeof template !== 'string') {
      throw new TokenizerError('chat_template has an entry that is not a name with a template; expected text for both');
    }
    templates.set(name, template);
  }
  if (templates.size === 0) throw new TokenizerError('chat_template is an empty list; expected at least one template');
  return templates;
}
