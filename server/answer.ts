/** Answers on their way out: one JSON object, an event stream, or plain text. */

import { AnswerStream } from '../engine/chat/index.ts';
import { toHttpError } from './errors.ts';
import { EventStream } from './event-stream.ts';
import { type Exchange, PlainText } from './exchange.ts';

/** Sends an answer. No header of a stream goes out before there is a first token. */
export async function sendAnswer(exchange: Exchange, answer: unknown): Promise<void> {
  if (answer instanceof AnswerStream) await streamAnswer(exchange, answer);
  else if (answer instanceof PlainText) await exchange.sendText(answer);
  else await exchange.sendJson(200, answer);
}

async function streamAnswer(exchange: Exchange, stream: AnswerStream<unknown>): Promise<void> {
  const chunks = stream[Symbol.asyncIterator]();
  const first = await chunks.next();
  const events = new EventStream(exchange.response, exchange.stallMs);
  try {
    const nameOf = (chunk: unknown) => (stream.isNamed ? (chunk as { type: string }).type : undefined);
    if (!first.done) await events.send(first.value, nameOf(first.value));
    for await (const chunk of chunks) await events.send(chunk, nameOf(chunk));
  } catch (error) {
    exchange.lateError = error;
    const { body } = toHttpError(error, exchange.id);
    await (stream.isNamed ? events.send({ ...body.error, type: 'error' }, 'error') : events.send(body));
  } finally {
    // Ends the generation, however the reading ended.
    await chunks.return();
  }
  await events.end(stream.isNamed ? '' : 'data: [DONE]\n\n');
}
