/**
 * A chat with tiny-chat that runs in this page: no server takes part but the one that hands out the files.
 *
 * `?device=wasm` or `?device=webgpu` chooses the device; `?model=URL` another model. Enter sends, Escape stops.
 */

import type { ChatMessageParam, LoadOptions } from 'quern';
import { Engine } from 'quern';

const element = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;
const [status, log, form, ideas] = ['status', 'log', 'form', 'ideas'].map((id) => element(id));
const [progress, question] = [element<HTMLProgressElement>('progress'), element<HTMLInputElement>('question')];
const [send, fresh, device] = [
  element<HTMLButtonElement>('send'),
  element<HTMLButtonElement>('fresh'),
  element<HTMLSelectElement>('device'),
];

const STAGES = { download: 'Downloading', weights: 'Loading' };
/** Pixels from the end of the log within which it follows the answer. */
const FOLLOW = 80;

let messages: ChatMessageParam[] = [];
/** Ends the answer that is being written. */
let running: AbortController | undefined;

const address = new URL(location.href);
const wanted = address.searchParams.get('device') ?? 'auto';
device.value = wanted;
device.onchange = () => {
  address.searchParams.set('device', device.value);
  location.assign(address);
};

try {
  const engine = await Engine.load(address.searchParams.get('model') ?? './tiny-chat/', {
    device: wanted as LoadOptions['device'],
    onProgress: showProgress,
    onDeviceLost: () => {
      status.textContent = 'The GPU was lost; loading again';
    },
  });
  start(engine);
} catch (error) {
  progress.hidden = true;
  question.placeholder = 'No model';
  status.textContent = 'Not loaded';
  say('error', (error as Error).message);
}

function showProgress({ stage, loaded, total }: { stage: keyof typeof STAGES; loaded: number; total: number }): void {
  status.textContent = `${STAGES[stage]}: ${(loaded / 1e6).toFixed(1)} of ${(total / 1e6).toFixed(1)} MB`;
  progress.value = loaded / total;
  progress.hidden = loaded === total && stage === 'weights';
}

function start(engine: Engine): void {
  const place = `${engine.modelName} on ${engine.device}`;
  progress.hidden = true;
  status.textContent = place;
  question.placeholder = `Ask ${engine.modelName} something`;
  for (const control of [question, send]) control.disabled = false;
  ideas.classList.add('ready');
  question.focus();

  form.onsubmit = (event) => {
    event.preventDefault();
    if (running) running.abort();
    else void ask(engine, place, question.value.trim());
  };
  ideas.onclick = ({ target }) => {
    if (target instanceof HTMLButtonElement) void ask(engine, place, target.textContent ?? '');
  };
  fresh.onclick = () => {
    running?.abort();
    messages = [];
    log.replaceChildren();
    question.focus();
  };
  document.onkeydown = ({ key }) => {
    if (key === 'Escape') running?.abort();
  };
}

async function ask(engine: Engine, place: string, content: string): Promise<void> {
  if (content === '' || running) return;
  const conversation = messages;
  const ending = new AbortController();
  running = ending;
  send.textContent = 'Stop';
  question.value = '';
  say('user', content);
  conversation.push({ role: 'user', content });
  const answer = say('assistant', '');
  answer.classList.add('writing');
  try {
    const started = performance.now();
    const stream = await engine.chat.completions.create({
      messages: conversation,
      stream: true,
      stream_options: { include_usage: true },
    });
    ending.signal.onabort = () => stream.controller.abort();
    for await (const { choices, usage } of stream) {
      append(answer, choices[0]?.delta.content ?? '');
      if (!usage) continue;
      const rate = usage.completion_tokens / ((performance.now() - started) / 1000);
      status.textContent = `${Math.round(rate)} tokens/s, ${place}`;
    }
    conversation.push({ role: 'assistant', content: answer.textContent ?? '' });
  } catch (error) {
    // The question goes back to where it was written, to be asked again.
    conversation.pop();
    if (answer.textContent === '') answer.remove();
    question.value ||= content;
    say('error', (error as Error).message);
  }
  answer.classList.remove('writing');
  running = undefined;
  send.textContent = 'Send';
  question.focus();
}

function say(role: 'user' | 'assistant' | 'error', text: string): HTMLElement {
  const line = document.createElement('p');
  line.className = role;
  line.textContent = text;
  log.append(line);
  log.scrollTop = log.scrollHeight;
  return line;
}

/** Adds to an answer, and keeps its end in sight unless the reader has scrolled back. */
function append(answer: HTMLElement, text: string): void {
  const follows = log.scrollHeight - log.scrollTop - log.clientHeight < FOLLOW;
  answer.textContent += text;
  if (follows) log.scrollTop = log.scrollHeight;
}
