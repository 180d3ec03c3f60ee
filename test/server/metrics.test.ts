import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { FakeEngine, PROMPT_TOKENS } from './fake-engine.ts';
import { MESSAGES, post } from './requests.ts';
import { withServer } from './with-server.ts';

const test = suite('metrics');

async function metricsOf(url: string): Promise<Map<string, number>> {
  const response = await fetch(`${url}/metrics`);
  assert.match(response.headers.get('content-type')!, 'text/plain; version=0.0.4');
  const text = await response.text();
  assert.match(text, /\n$/);
  const values = new Map<string, number>();
  for (const line of text.trimEnd().split('\n')) {
    if (line.startsWith('# ')) {
      assert.match(line, /^# (HELP quern:\w+ .+|TYPE quern:\w+ (gauge|counter|histogram))$/);
      continue;
    }
    const [, name, value] = /^quern:(\w+(?:\{\w+="[^"\\]*"\})?) (\S+)$/.exec(line)!;
    assert.not(values.has(name), name);
    values.set(name, Number(value));
  }
  return values;
}

test('what was answered is counted', async () => {
  await withServer(new FakeEngine(), {}, async (url) => {
    await (await post(url, { messages: MESSAGES })).text();
    await (await post(url, { messages: MESSAGES, n: 2, max_tokens: 2, stream: true })).text();
    await (await post(url, { messages: MESSAGES, temperature: -1 })).text();
    const { length } = await (
      await fetch(`${url}/v1/completions`, {
        method: 'POST',
        body: new TextEncoder().encode(JSON.stringify({ prompt: ['a', 'b'], max_tokens: 1 })),
      })
    ).text();
    assert.ok(length > 0);
    const values = await metricsOf(url);
    const expected: Record<string, number> = {
      prompt_tokens_total: 4 * PROMPT_TOKENS,
      generation_tokens_total: 4 + 4 + 2,
      prefix_cache_queries_total: 4 * PROMPT_TOKENS,
      prefix_cache_hits_total: 0,
      'request_success_total{finished_reason="stop"}': 1,
      'request_success_total{finished_reason="length"}': 4,
      'http_responses_total{status="200"}': 3,
      'http_responses_total{status="400"}': 1,
      num_requests_running: 0,
      num_requests_waiting: 0,
      num_preemptions_total: 0,
      kv_cache_usage_perc: 0.25,
      time_to_first_token_seconds_count: 4,
      inter_token_latency_seconds_count: 3 + 1 + 1,
      e2e_request_latency_seconds_count: 3,
    };
    for (const [name, value] of Object.entries(expected)) assert.is(values.get(name), value, name);
    for (const [name, value] of values) {
      if (name.includes('_bucket')) assert.ok(value <= values.get(name.replace(/_bucket.*/, '_count'))!, name);
    }
    assert.is(values.get('e2e_request_latency_seconds_bucket{le="+Inf"}'), 3);
    assert.ok(values.get('time_to_first_token_seconds_sum')! > 0);
  });
});

test('with keys it needs one', async () => {
  await withServer(new FakeEngine(), { apiKeys: ['key'] }, async (url) => {
    assert.is((await fetch(`${url}/metrics`)).status, 401);
    assert.is((await fetch(`${url}/metrics`, { headers: { authorization: 'Bearer key' } })).status, 200);
  });
});

test.run();
