/** Libraries that people build on, in their default configuration, against a running server. */

import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { HumanMessage } from '@langchain/core/messages';
import { tool as langchainTool } from '@langchain/core/tools';
import { ChatOpenAI } from '@langchain/openai';
import { generateText, stepCountIs, streamText, tool } from 'ai';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { z } from 'zod';
import { FakeEngine, type FakeOptions } from './fake-engine.ts';
import { withServer } from './with-server.ts';

const test = suite('client libraries');

const CALL = ['<tool_call>', '\n{"name": "get_', 'weather", "argu', 'ments": {"city"', ': "Oslo"}}', '\n</tool_call>'];
const HERMES = { replyFormat: { calls: 'hermes', reasoning: false } } as const;
const QUESTION = "What's the weather in Oslo?";

type Model = ReturnType<ReturnType<typeof createOpenAICompatible>>;

const withAi = (options: FakeOptions, use: (model: Model, engine: FakeEngine) => Promise<void>) => async () => {
  const engine = new FakeEngine(options);
  await withServer(engine, { apiKeys: ['key'] }, async (url) => {
    const provider = createOpenAICompatible({ name: 'quern', baseURL: `${url}/v1`, apiKey: 'key', includeUsage: true });
    await use(provider('fake'), engine);
  });
};

const withLangchain =
  (options: FakeOptions, use: (model: ChatOpenAI, engine: FakeEngine) => Promise<void>) => async () => {
    const engine = new FakeEngine(options);
    await withServer(engine, { apiKeys: ['key'] }, (url) =>
      use(new ChatOpenAI({ model: 'fake', apiKey: 'key', configuration: { baseURL: `${url}/v1` } }), engine),
    );
  };

const getWeather = tool({
  description: 'Weather',
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => ({ city, degrees: 21 }),
});

test(
  'ai: generateText',
  withAi({}, async (model, engine) => {
    const { text, usage, finishReason } = await generateText({
      model,
      prompt: QUESTION,
      temperature: 0,
      maxOutputTokens: 9,
    });
    assert.equal([text, usage.outputTokens, finishReason], ['Paris.', 4, 'stop']);
    assert.is(engine.requests[0].sampling!.maxTokens, 9);
  }),
);

test(
  'ai: streamText, with reasoning',
  withAi({ replyFormat: { reasoning: true }, pieces: ['<think>', 'Hm', '</think>', 'Par', 'is.'] }, async (model) => {
    const result = streamText({ model, prompt: QUESTION });
    const pieces: string[] = [];
    for await (const piece of result.textStream) pieces.push(piece);
    assert.equal(pieces, ['Par', 'is.']);
    assert.is(await result.reasoningText, 'Hm');
    assert.is((await result.usage).outputTokens, 6);
  }),
);

test(
  'ai: a tool is called, runs, and its result goes back',
  withAi({ ...HERMES, pieces: CALL }, async (model, engine) => {
    const { steps } = await generateText({
      model,
      prompt: QUESTION,
      tools: { get_weather: getWeather },
      stopWhen: stepCountIs(2),
    });
    assert.equal(steps[0].toolCalls[0].input, { city: 'Oslo' });
    assert.equal(steps[0].toolResults[0].output, { city: 'Oslo', degrees: 21 });
    const sent = engine.prompts[1].messages!;
    assert.equal(
      sent.map(({ role }) => role),
      ['user', 'assistant', 'tool'],
    );
    assert.equal(sent[1].tool_calls![0].function, { name: 'get_weather', arguments: { city: 'Oslo' } });
    assert.equal(JSON.parse(sent[2].content as string), { city: 'Oslo', degrees: 21 });
  }),
);

test(
  'ai: a streamed tool call',
  withAi({ ...HERMES, pieces: CALL }, async (model) => {
    const result = streamText({
      model,
      prompt: QUESTION,
      tools: { get_weather: tool({ inputSchema: z.object({ city: z.string() }) }) },
    });
    const calls = await result.toolCalls;
    assert.equal(
      calls.map(({ toolName, input }) => [toolName, input]),
      [['get_weather', { city: 'Oslo' }]],
    );
    assert.is(await result.finishReason, 'tool-calls');
  }),
);

test(
  'langchain: invoke and stream',
  withLangchain({}, async (model) => {
    const reply = await model.invoke([new HumanMessage(QUESTION)]);
    assert.is(reply.content, 'Paris.');
    assert.is(reply.usage_metadata!.output_tokens, 4);
    let text = '';
    for await (const chunk of await model.stream(QUESTION)) text += chunk.content;
    assert.is(text, 'Paris.');
  }),
);

test(
  'langchain: bindTools, whole and in a stream',
  withLangchain({ ...HERMES, pieces: CALL }, async (model) => {
    const weather = langchainTool(async () => 'sunny', {
      name: 'get_weather',
      description: 'Weather',
      schema: z.object({ city: z.string() }),
    });
    const bound = model.bindTools([weather]);
    const expected = [{ name: 'get_weather', args: { city: 'Oslo' } }];
    const calls = (await bound.invoke(QUESTION)).tool_calls!;
    assert.equal(
      calls.map(({ name, args }) => ({ name, args })),
      expected,
    );
    let whole: Awaited<ReturnType<typeof bound.invoke>> | undefined;
    for await (const chunk of await bound.stream(QUESTION)) whole = whole === undefined ? chunk : whole.concat(chunk);
    assert.equal(
      whole!.tool_calls!.map(({ name, args }) => ({ name, args })),
      expected,
    );
  }),
);

test.run();
