/** `quern chat`: one question, answered in the terminal as the text comes. */

import { Engine } from '../engine/index.ts';
import { parseChat } from './cli-options.ts';
import { progressBar } from './progress-bar.ts';

/** Exit status of a program that SIGINT ended. */
const INTERRUPTED = 130;

/** @throws UsageError, and what the engine throws */
export async function chatCommand(args: readonly string[]): Promise<void> {
  const { model, load, question } = parseChat(args);
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  // Whoever reads the answer may close the pipe before its end.
  process.stdout.on('error', () => stop.abort());

  try {
    const engine = await Engine.load(model, { ...load, signal: stop.signal, onProgress: progressBar() });
    try {
      await answer(engine, question, stop.signal);
    } finally {
      await engine.close();
    }
  } catch (error) {
    if (!stop.signal.aborted) throw error;
    process.exitCode = INTERRUPTED;
  }
}

async function answer(engine: Engine, question: string, signal: AbortSignal): Promise<void> {
  const messages = [{ role: 'user', content: question }];
  const stream = await engine.chat.completions.create({ messages, stream: true }, { signal });
  try {
    for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta.content ?? '');
  } finally {
    process.stdout.write('\n');
  }
}
