/** The official client's richer calls on the embedded model: JSON by schema, tools, plain completions, responses. */

import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { ChatOpenAI } from '@langchain/openai';
import { generateObject, generateText, Output } from 'ai';
import OpenAI from 'openai';
import { zodResponseFormat, zodTextFormat } from 'openai/helpers/zod';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { z } from 'zod';
import { Engine } from '../../engine/index.ts';
import { type RunningServer, serve } from '../../server/index.ts';

const test = suite('structures with clients');

const engine = await Engine.load('tiny-chat', { threads: 1 });
const server: RunningServer = await serve(engine, { port: 0 });
const client = new OpenAI({ baseURL: `${server.url}/v1`, apiKey: 'none' });
test.after(async () => {
  await server.close(0);
  assert.is(engine.stats.running + engine.stats.waiting, 0);
  await engine.close();
});

const model = 'tiny-chat';
const QUESTION = "What's the weather in Oslo?";
const messages = [{ role: 'user' as const, content: QUESTION }];
const Report = z.object({ city: z.string().max(20), degrees: z.number().int().min(-40).max(40), sunny: z.boolean() });
const WEATHER = {
  name: 'get_weather',
  description: 'Get the current weather for a city',
  parameters: {
    type: 'object',
    properties: { city: { type: 'string', description: 'Name of the city' } },
    required: ['city'],
  },
};
const tools = [{ type: 'function' as const, function: WEATHER }];

test('chat.completions.parse gives what the schema says', async () => {
  const format = zodResponseFormat(Report, 'report');
  const { choices } = await client.chat.completions.parse({ model, messages, response_format: format, temperature: 0 });
  assert.ok(Report.safeParse(choices[0].message.parsed).success);
});

test('a tool is called, whole and through the stream helper, and its result is answered', async () => {
  const whole = await client.chat.completions.create({ model, messages, tools, temperature: 0 });
  const [call] = whole.choices[0].message.tool_calls!;
  const stream = client.chat.completions.stream({ model, messages, tools, temperature: 0 });
  const streamed = (await stream.finalChatCompletion()).choices[0].message.tool_calls![0];
  if (call.type !== 'function' || streamed.type !== 'function') throw new Error('no function');
  assert.is(call.function.name, 'get_weather');
  assert.equal([streamed.function.name, streamed.function.arguments], [call.function.name, call.function.arguments]);

  const answer = await client.chat.completions.create({
    model,
    messages: [
      ...messages,
      whole.choices[0].message,
      { role: 'tool', tool_call_id: call.id, content: '{"temperature": 21, "condition": "sunny"}' },
    ],
    tools,
    temperature: 0,
  });
  assert.match(answer.choices[0].message.content!, '21');
});

test('completions.create, whole and in a stream', async () => {
  const params = { model, prompt: 'Once upon a time', temperature: 0, max_tokens: 8 };
  const { choices } = await client.completions.create(params);
  let text = '';
  for await (const chunk of await client.completions.create({ ...params, stream: true })) text += chunk.choices[0].text;
  assert.is(text, choices[0].text);
});

test('responses.create: the answer of the chat', async () => {
  const response = await client.responses.create({ model, input: QUESTION, instructions: 'Be brief.', temperature: 0 });
  const chat = await client.chat.completions.create({
    model,
    messages: [{ role: 'system', content: 'Be brief.' }, ...messages],
    temperature: 0,
  });
  assert.is(response.output_text, chat.choices[0].message.content);
  assert.is(response.status, 'completed');
  assert.is(response.usage!.output_tokens, chat.usage!.completion_tokens);
  const cut = await client.responses.create({
    model,
    input: [{ role: 'user', content: QUESTION }],
    max_output_tokens: 2,
  });
  assert.equal([cut.status, cut.incomplete_details!.reason], ['incomplete', 'max_output_tokens']);
});

test('responses.create with stream: events with names and numbers, and the response at the end', async () => {
  const params = { model, input: 'What is the capital of France?', temperature: 0 };
  const types: string[] = [];
  let text = '';
  let final = '';
  for await (const event of await client.responses.create({ ...params, stream: true })) {
    assert.is(event.sequence_number, types.length);
    types.push(event.type);
    if (event.type === 'response.output_text.delta') text += event.delta;
    if (event.type === 'response.output_text.done') assert.is(event.text, text);
    if (event.type === 'response.completed') final = event.response.output_text ?? text;
  }
  assert.equal(types.slice(0, 4), [
    'response.created',
    'response.in_progress',
    'response.output_item.added',
    'response.content_part.added',
  ]);
  assert.equal(types.slice(-4), [
    'response.output_text.done',
    'response.content_part.done',
    'response.output_item.done',
    'response.completed',
  ]);
  assert.is(text, (await client.responses.create(params)).output_text);
  assert.ok(final.length > 0);
  const helped = await client.responses.stream(params).finalResponse();
  assert.is(helped.output_text, text);
});

test('responses with a tool: the call is an item, and its output goes back in', async () => {
  const own = [{ type: 'function' as const, strict: false, ...WEATHER }];
  const { output } = await client.responses.create({ model, input: QUESTION, tools: own, temperature: 0 });
  const [call] = output;
  if (call.type !== 'function_call') throw new Error(`got ${call.type}`);
  assert.is(call.name, 'get_weather');
  const answer = await client.responses.create({
    model,
    input: [
      { role: 'user', content: QUESTION },
      call,
      { type: 'function_call_output', call_id: call.call_id, output: '{"temperature": 21, "condition": "sunny"}' },
    ],
    tools: own,
    temperature: 0,
  });
  assert.match(answer.output_text, '21');
  let text = '';
  for await (const event of await client.responses.create({
    model,
    input: QUESTION,
    tools: own,
    temperature: 0,
    stream: true,
  })) {
    if (event.type === 'response.function_call_arguments.delta') text += event.delta;
  }
  assert.is(text, call.arguments);
});

test('responses.parse gives what the schema says', async () => {
  const text = { format: zodTextFormat(Report, 'report') };
  const { output_parsed: parsed } = await client.responses.parse({ model, input: QUESTION, text, temperature: 0 });
  assert.ok(Report.safeParse(parsed).success);
});

test('what responses cannot do is refused in their own words', async () => {
  const wrong: [object, string][] = [
    [{ input: undefined }, 'input'],
    [{ input: 5 }, 'input'],
    [{ input: [] }, 'input'],
    [{ input: [{ type: 'image' }] }, 'input'],
    [{ input: 'hello '.repeat(3000) }, 'input'],
    [{ max_output_tokens: 0 }, 'max_output_tokens'],
    [{ previous_response_id: 5 }, 'previous_response_id'],
    [{ conversation: 'c' }, 'conversation'],
    [{ background: true, stream: true }, 'background'],
    [{ background: true, store: false }, 'background'],
    [{ truncation: 'auto' }, 'truncation'],
    [{ tools: [{ type: 'web_search' }] }, 'tools'],
    [{ text: { format: { type: 'yaml' } } }, 'text.format'],
    [{ text: { format: { type: 'json_schema', name: 'x', schema: { type: 'nonsense' } } } }, 'text.format'],
    [{ temperature: -1 }, 'temperature'],
  ];
  for (const [fields, param] of wrong) {
    const error = await client.responses
      .create({ model, input: QUESTION, ...fields } as never)
      .catch((caught) => caught);
    assert.instance(error, OpenAI.BadRequestError, JSON.stringify(fields).slice(0, 80));
    assert.is(error.param, param, error.message);
  }
});

test('embeddings.create, in the coding that the client asks for by itself', async () => {
  const { data, usage } = await client.embeddings.create({ model, input: ['Hello!', 'Good night.'] });
  assert.equal(
    data.map(({ embedding }) => embedding.length),
    [engine.hiddenSize, engine.hiddenSize],
  );
  assert.ok(Math.abs(data[0].embedding.reduce((sum, value) => sum + value * value, 0) - 1) < 1e-5);
  assert.ok(usage.prompt_tokens > 2);
});

test('errors are the subclasses of their status', async () => {
  const notFound = await client.models.retrieve('nope').catch((error) => error);
  assert.instance(notFound, OpenAI.NotFoundError);
  const locked = await serve(engine, { port: 0, apiKeys: ['right'] });
  try {
    const stranger = new OpenAI({ baseURL: `${locked.url}/v1`, apiKey: 'wrong' });
    assert.instance(await stranger.models.list().catch((error) => error), OpenAI.AuthenticationError);
  } finally {
    await locked.close(0);
  }
});

test('ai: an object by its schema', async () => {
  const provider = createOpenAICompatible({
    name: 'quern',
    baseURL: `${server.url}/v1`,
    supportsStructuredOutputs: true,
  });
  const { output } = await generateText({
    model: provider(model),
    prompt: QUESTION,
    output: Output.object({ schema: Report }),
    temperature: 0,
  });
  assert.ok(Report.safeParse(output).success);
});

test('ai: generateObject', async () => {
  const provider = createOpenAICompatible({
    name: 'quern',
    baseURL: `${server.url}/v1`,
    supportsStructuredOutputs: true,
  });
  const { object, finishReason } = await generateObject({
    model: provider(model),
    prompt: QUESTION,
    schema: Report,
    temperature: 0,
  });
  assert.ok(Report.safeParse(object).success);
  assert.is(finishReason, 'stop');
});

test('langchain: withStructuredOutput', async () => {
  const chat = new ChatOpenAI({
    model,
    apiKey: 'none',
    temperature: 0,
    configuration: { baseURL: `${server.url}/v1` },
  });
  for (const method of ['jsonSchema', 'functionCalling'] as const) {
    const structured = chat.withStructuredOutput(Report, { method, name: 'report' });
    assert.ok(Report.safeParse(await structured.invoke(QUESTION)).success, method);
  }
});

test.run();
