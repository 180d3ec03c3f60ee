/**
 * A chat with tiny-chat that runs in this page: no server takes part but the one that hands out the files.
 *
 * `?device=wasm` or `?device=webgpu` chooses the device; `?model=URL` another model.
 */

import type { ChatMessageParam, LoadOptions } from 'quern';
import { Engine } from 'quern';

const element = <T extends HTMLElement>(id: string) => document.getElementById(id) as T;
const [status, log, form] = [element('status'), element('log'), element<HTMLFormElement>('form')];
const [progress, question] = [element<HTMLProgressElement>('progress'), element<HTMLInputElement>('question')];
const [send, device] = [element<HTMLButtonElement>('send'), element<HTMLSelectElement>('device')];

const address = new URL(location.href);
const wanted = address.searchParams.get('device') ?? 'auto';
device.value = wanted;
device.onchange = () => {
  address.searchParams.set('device', device.value);
  location.assign(address);
};

const messages: ChatMessageParam[] = [];
const STAGES = { download: 'Downloading', weights: 'Loading' };

try {
  const engine = await Engine.load(address.searchParams.get('model') ?? './tiny-chat/', {
    device: wanted as LoadOptions['device'],
    onProgress({ stage, loaded, total }) {
      status.textContent = `${STAGES[stage]}: ${(loaded / 1e6).toFixed(1)} of ${(total / 1e6).toFixed(1)} MB`;
      progress.value = loaded / total;
    },
  });
  progress.hidden = true;
  status.textContent = `${engine.modelName} on ${engine.device}`;
  for (const control of [question, send]) control.disabled = false;
  question.focus();
  form.onsubmit = (event) => {
    event.preventDefault();
    void ask(engine, question.value.trim());
  };
} catch (error) {
  progress.hidden = true;
  status.textContent = 'Not loaded';
  say('error', (error as Error).message);
}

async function ask(engine: Engine, content: string): Promise<void> {
  if (content === '' || send.disabled) return;
  question.value = '';
  send.disabled = true;
  say('user', content);
  messages.push({ role: 'user', content });
  const answer = say('assistant', '');
  try {
    const started = performance.now();
    const stream = await engine.chat.completions.create({
      messages,
      stream: true,
      stream_options: { include_usage: true },
    });
    for await (const { choices, usage } of stream) {
      answer.textContent += choices[0]?.delta.content ?? '';
      log.scrollTop = log.scrollHeight;
      if (usage) {
        const rate = usage.completion_tokens / ((performance.now() - started) / 1000);
        status.textContent = `${Math.round(rate)} tokens/s, ${engine.modelName} on ${engine.device}`;
      }
    }
    messages.push({ role: 'assistant', content: answer.textContent ?? '' });
  } catch (error) {
    messages.pop();
    say('error', (error as Error).message);
  }
  send.disabled = false;
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
