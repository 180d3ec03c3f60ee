/**
 * What the server has done so far, for Prometheus: the names that vLLM has for it, with a prefix of our own.
 * Source: Prometheus, "Exposition formats", version 0.0.4.
 */

import type { SchedulerStats } from '../engine/index.ts';
import type { GenerateOutput } from '../engine/types.ts';

export const METRICS_TYPE = 'text/plain; version=0.0.4; charset=utf-8';

/** Upper bounds in seconds. */
const FIRST_TOKEN_BOUNDS = [0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];
const BETWEEN_TOKENS_BOUNDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.2, 0.5, 1, 2.5];
const WHOLE_REQUEST_BOUNDS = [0.1, 0.3, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300];

export class Metrics {
  #promptTokens = 0;
  #cachedTokens = 0;
  #generatedTokens = 0;
  readonly #finished = new Map<string, number>();
  readonly #responses = new Map<string, number>();
  readonly #toFirstToken = new Histogram(FIRST_TOKEN_BOUNDS);
  readonly #betweenTokens = new Histogram(BETWEEN_TOKENS_BOUNDS);
  readonly #wholeRequests = new Histogram(WHOLE_REQUEST_BOUNDS);

  /** Notes the first output of a prompt. @param seconds since its request came */
  firstOutput({ promptTokens, cachedTokens }: GenerateOutput, seconds: number): void {
    this.#promptTokens += promptTokens;
    this.#cachedTokens += cachedTokens;
    this.#toFirstToken.add(seconds);
  }

  /** Notes an output, the first ones too. @param seconds since the last output of the same choice; null: there was none */
  output({ tokenIds, finishReason }: GenerateOutput, seconds: number | null): void {
    this.#generatedTokens += tokenIds.length;
    if (seconds !== null) this.#betweenTokens.add(seconds);
    if (finishReason !== null) increase(this.#finished, finishReason);
  }

  /** Notes that a request is over. `isAnswer`: tokens came of it. */
  response(status: number, seconds: number, isAnswer: boolean): void {
    increase(this.#responses, String(status));
    if (isAnswer) this.#wholeRequests.add(seconds);
  }

  /** The page that Prometheus reads. */
  text({ running, waiting, freeBlocks, cachedBlocks, totalBlocks, preemptions }: SchedulerStats): string {
    const used = (totalBlocks - freeBlocks) / totalBlocks;
    const lines = [
      ...single('num_requests_running', 'gauge', 'Sequences that are being computed.', running),
      ...single('num_requests_waiting', 'gauge', 'Sequences that wait for others.', waiting),
      ...single('kv_cache_usage_perc', 'gauge', 'Share of the K/V blocks that is in use; 1 is all.', used),
      ...single('kv_cache_reusable_blocks', 'gauge', 'Free K/V blocks kept for equal beginnings.', cachedBlocks),
      ...single('num_preemptions_total', 'counter', 'Sequences that had to give up their blocks.', preemptions),
      ...single('prompt_tokens_total', 'counter', 'Tokens of prompts.', this.#promptTokens),
      ...single('generation_tokens_total', 'counter', 'Tokens generated.', this.#generatedTokens),
      ...single('prefix_cache_queries_total', 'counter', 'Prompt tokens looked up.', this.#promptTokens),
      ...single('prefix_cache_hits_total', 'counter', 'Prompt tokens that were there already.', this.#cachedTokens),
      ...byLabel('request_success_total', 'Choices that came to an end.', 'finished_reason', this.#finished),
      ...byLabel('http_responses_total', 'Responses sent; 499: the client had left.', 'status', this.#responses),
      ...this.#toFirstToken.lines('time_to_first_token_seconds', 'From a request to its first token.'),
      ...this.#betweenTokens.lines('inter_token_latency_seconds', 'From a token of a choice to its next.'),
      ...this.#wholeRequests.lines('e2e_request_latency_seconds', 'From a request to the end of its answer.'),
      ...single('process_resident_memory_bytes', 'gauge', 'Memory of the process.', process.memoryUsage.rss()),
    ];
    return `${lines.join('\n')}\n`;
  }
}

/** Values counted by their size. */
class Histogram {
  readonly #bounds: readonly number[];
  readonly #counts: number[];
  #sum = 0;
  #count = 0;

  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
    this.#counts = bounds.map(() => 0);
  }

  add(value: number): void {
    this.#sum += value;
    this.#count++;
    // A bucket counts all that is not above its bound.
    for (const [i, bound] of this.#bounds.entries()) if (value <= bound) this.#counts[i]++;
  }

  lines(name: string, help: string): string[] {
    return [
      ...head(name, 'histogram', help),
      ...this.#bounds.map((bound, i) => `quern:${name}_bucket{le="${bound}"} ${this.#counts[i]}`),
      `quern:${name}_bucket{le="+Inf"} ${this.#count}`,
      `quern:${name}_sum ${this.#sum}`,
      `quern:${name}_count ${this.#count}`,
    ];
  }
}

function head(name: string, type: string, help: string): string[] {
  return [`# HELP quern:${name} ${help}`, `# TYPE quern:${name} ${type}`];
}

function single(name: string, type: string, help: string, value: number): string[] {
  return [...head(name, type, help), `quern:${name} ${value}`];
}

function byLabel(name: string, help: string, label: string, values: ReadonlyMap<string, number>): string[] {
  const rows = [...values].map(([value, count]) => `quern:${name}{${label}="${value}"} ${count}`);
  return [...head(name, 'counter', help), ...rows];
}

function increase(counts: Map<string, number>, key: string): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}
