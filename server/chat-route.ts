/** POST /v1/chat/completions: the chat API of the engine over HTTP. */

import { type ChatCompletionCreateParams, ChatCompletionStream, type ChatCompletions } from '../engine/chat/index.ts';
import { toHttpError } from './errors.ts';
import { EventStream } from './event-stream.ts';
import type { Exchange } from './exchange.ts';

/** Answers with one JSON object or with an event stream. No header goes out before there is a first token. */
export async function answerChat(exchange: Exchange, body: unknown, completions: ChatCompletions): Promise<void> {
  // The engine checks what the body really is.
  const params = body as ChatCompletionCreateParams;
  const answer = await completions.create(params, { signal: exchange.signal, observe: exchange.count });
  if (answer instanceof ChatCompletionStream) await streamAnswer(exchange, answer);
  else await exchange.sendJson(200, answer);
}

async function streamAnswer(exchange: Exchange, stream: ChatCompletionStream): Promise<void> {
  const chunks = stream[Symbol.asyncIterator]();
  const first = await chunks.next();
  const events = new EventStream(exchange.response, exchange.stallMs);
  try {
    if (!first.done) await events.send(first.value);
    for await (const chunk of chunks) await events.send(chunk);
  } catch (error) {
    exchange.lateError = error;
    await events.send(toHttpError(error, exchange.id).body);
  } finally {
    // Ends the generation, however the reading ended.
    await chunks.return();
  }
  await events.end();
}
