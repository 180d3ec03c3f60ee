/** From the chunks of a chat answer to the events of a response: items open, grow and close, one after the other. */

import { randomHex } from '../chat/random-id.ts';
import type { ChatCompletionChunk, ChatFinishReason, ChatToolCallDelta, ChatUsage } from '../chat/types.ts';
import type { ApiResponse, ItemStatus, ResponseEvent, ResponseItem, ResponseUsage } from './types.ts';

/** An event without its number. */
type Event = Omit<ResponseEvent, 'sequence_number'> & { readonly type: ResponseEvent['type'] };

/** @param head  the response before it has any output */
export async function* responseEvents(
  chunks: AsyncIterable<ChatCompletionChunk>,
  head: ApiResponse,
): AsyncGenerator<ResponseEvent, void, undefined> {
  let sequence = 0;
  const numbered = (event: Event): ResponseEvent => ({ ...event, sequence_number: sequence++ });
  const output = new Output();
  let finish: ChatFinishReason | null = null;
  let usage: ChatUsage | null = null;
  let isOpen = false;
  for await (const chunk of chunks) {
    if (!isOpen) {
      isOpen = true;
      yield numbered({ type: 'response.created', response: head });
      yield numbered({ type: 'response.in_progress', response: head });
    }
    usage = chunk.usage ?? usage;
    for (const { delta, finish_reason: reason } of chunk.choices) {
      finish = reason ?? finish;
      if (delta.reasoning_content)
        for (const event of output.text('reasoning', delta.reasoning_content)) yield numbered(event);
      if (delta.content) for (const event of output.text('message', delta.content)) yield numbered(event);
      for (const call of delta.tool_calls ?? []) for (const event of output.call(call)) yield numbered(event);
    }
  }
  for (const event of output.close()) yield numbered(event);
  const isCut = finish === 'length';
  const response: ApiResponse = {
    ...head,
    status: isCut ? 'incomplete' : 'completed',
    incomplete_details: isCut ? { reason: 'max_output_tokens' } : null,
    output: output.items,
    usage: usage && usageOf(usage),
  };
  yield numbered({ type: isCut ? 'response.incomplete' : 'response.completed', response });
}

/** The items of a response; the last of them may still grow. */
class Output {
  readonly items: ResponseItem[] = [];
  #open: {
    readonly kind: 'reasoning' | 'message' | 'call';
    readonly id: string;
    text: string;
    call?: ChatToolCallDelta;
  } | null = null;

  *text(kind: 'reasoning' | 'message', text: string): Generator<Event> {
    if (this.#open?.kind !== kind) {
      yield* this.close();
      this.#open = { kind, id: `${kind === 'message' ? 'msg' : 'rs'}_${randomHex()}`, text: '' };
      yield { type: 'response.output_item.added', output_index: this.items.length, item: this.#item('in_progress') };
      yield { type: 'response.content_part.added', ...this.#place, part: this.#part };
    }
    this.#open.text += text;
    yield { type: `response.${this.#textName}.delta`, ...this.#place, delta: text, logprobs: [] };
  }

  *call(call: ChatToolCallDelta): Generator<Event> {
    if (call.id !== undefined) {
      yield* this.close();
      this.#open = { kind: 'call', id: `fc_${randomHex()}`, text: '', call };
      yield { type: 'response.output_item.added', output_index: this.items.length, item: this.#item('in_progress') };
    }
    const { arguments: delta } = call.function;
    if (!this.#open || delta === '') return;
    this.#open.text += delta;
    const place = { item_id: this.#open.id, output_index: this.items.length };
    yield { type: 'response.function_call_arguments.delta', ...place, delta };
  }

  *close(): Generator<Event> {
    const open = this.#open;
    if (!open) return;
    const item = this.#item('completed');
    if (open.kind === 'call') {
      const place = { item_id: open.id, output_index: this.items.length, name: open.call!.function.name };
      yield { type: 'response.function_call_arguments.done', ...place, arguments: open.text };
    } else {
      yield { type: `response.${this.#textName}.done`, ...this.#place, text: open.text, logprobs: [] };
      yield { type: 'response.content_part.done', ...this.#place, part: this.#part };
    }
    yield { type: 'response.output_item.done', output_index: this.items.length, item };
    this.items.push(item);
    this.#open = null;
  }

  get #textName(): string {
    return this.#open!.kind === 'message' ? 'output_text' : 'reasoning_text';
  }

  get #place() {
    return { item_id: this.#open!.id, output_index: this.items.length, content_index: 0 };
  }

  get #part() {
    const { kind, text } = this.#open!;
    return kind === 'message' ? outputText(text) : ({ type: 'reasoning_text', text } as const);
  }

  /** The open item as it is; one that has just begun has no content. */
  #item(status: ItemStatus): ResponseItem {
    const { kind, id, text, call } = this.#open!;
    if (kind === 'call') {
      return { type: 'function_call', id, call_id: call!.id!, name: call!.function.name!, arguments: text, status };
    }
    const isEmpty = status === 'in_progress';
    if (kind === 'reasoning') {
      return { type: 'reasoning', id, summary: [], content: isEmpty ? [] : [{ type: 'reasoning_text', text }] };
    }
    return { type: 'message', id, role: 'assistant', status, content: isEmpty ? [] : [outputText(text)] };
  }
}

function outputText(text: string) {
  return { type: 'output_text', text, annotations: [], logprobs: [] } as const;
}

function usageOf(usage: ChatUsage): ResponseUsage {
  return {
    input_tokens: usage.prompt_tokens,
    input_tokens_details: { cached_tokens: usage.prompt_tokens_details?.cached_tokens ?? 0 },
    output_tokens: usage.completion_tokens,
    output_tokens_details: { reasoning_tokens: usage.completion_tokens_details?.reasoning_tokens ?? 0 },
    total_tokens: usage.total_tokens,
  };
}
