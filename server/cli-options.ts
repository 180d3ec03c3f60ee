/** The flags of the command line: their names, their values, and what is wrong with a value. */

import { readFileSync } from 'node:fs';
import { type ParseArgsConfig, parseArgs } from 'node:util';
import { CALL_FORMATS, type CallFormatName } from '../engine/chat/dialects/formats.ts';
import { LOGPROBS_MODES, type LoadOptions, QUANTIZATIONS } from '../engine/types.ts';
import type { ApiKey } from './auth.ts';
import { LOG_LEVELS, type LogLevel } from './log.ts';

/** Something on the command line that cannot be; the message names the flag. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

export interface ModelOptions {
  /** A directory, a file, a name on the hub, or the name of the embedded model. */
  readonly model: string;
  readonly load: LoadOptions;
}

export interface ServeCommand extends ModelOptions {
  /** Empty: the engine's own name. */
  readonly modelNames: readonly string[];
  readonly host: string;
  readonly port: number;
  readonly apiKeys: readonly ApiKey[];
  readonly trustRequestChatTemplate: boolean;
  readonly promptTokensDetails: boolean;
  readonly excludeToolsWhenNone: boolean;
  readonly maxLogprobs?: number;
  readonly allowedOrigins?: readonly string[];
  readonly allowedMethods?: readonly string[];
  readonly allowedHeaders?: readonly string[];
  readonly logLevel: LogLevel;
}

const MODEL_FLAGS = {
  model: { type: 'string', default: 'tiny-chat' },
  device: { type: 'string' },
  threads: { type: 'string' },
  quantization: { type: 'string' },
  'max-model-len': { type: 'string' },
  'max-num-seqs': { type: 'string' },
  'max-num-batched-tokens': { type: 'string' },
  'num-speculative-tokens': { type: 'string' },
  'kv-cache-bytes': { type: 'string' },
  'kv-cache-dtype': { type: 'string' },
  'gpu-memory-utilization': { type: 'string' },
  'chat-template': { type: 'string' },
  'logprobs-mode': { type: 'string' },
  'generation-config': { type: 'string' },
} as const;

const SERVE_FLAGS = {
  ...MODEL_FLAGS,
  'served-model-name': { type: 'string', multiple: true },
  host: { type: 'string', default: '127.0.0.1' },
  port: { type: 'string', default: '8000' },
  'api-key': { type: 'string', multiple: true },
  'api-keys-file': { type: 'string' },
  'max-queued-requests': { type: 'string' },
  'tool-call-parser': { type: 'string' },
  'trust-request-chat-template': { type: 'boolean' },
  'enable-prompt-tokens-details': { type: 'boolean' },
  'exclude-tools-when-tool-choice-none': { type: 'boolean' },
  'max-logprobs': { type: 'string' },
  'allowed-origins': { type: 'string', multiple: true },
  'allowed-methods': { type: 'string', multiple: true },
  'allowed-headers': { type: 'string', multiple: true },
  'log-level': { type: 'string', default: 'info' },
} as const;

const CALL_FORMAT_NAMES = Object.keys(CALL_FORMATS) as CallFormatName[];

export const HELP = `Usage:
  quern serve [FLAGS]            serves the OpenAI chat API
  quern chat [FLAGS] "question"  answers in the terminal
  quern inspect [--json] MODEL   tells what is in a model, from the headers of its files
  quern bench [NAME ...]         runs a bench (NAME --help: its options); without a name, lists them
  quern --help | --version

Flags of serve and chat:
  --model MODEL          a Hugging Face directory; a GGUF file; org/name[@revision][:file], fetched from the Hugging Face hub
                         (HF_HOME, HF_TOKEN, HF_ENDPOINT, HF_HUB_OFFLINE); or tiny-chat, the embedded model (default)
  --device KIND          auto (default), webgpu, wasm or reference
  --threads N            threads of the wasm device
  --quantization FORMAT  q8_0, q6_k, q5_k, q4_k, q4_1 or q4_0: rounds a float checkpoint while loading
  --max-model-len N      longest sequence in tokens
  --max-num-seqs N       most sequences in one step
  --max-num-batched-tokens N  most tokens in one step
  --num-speculative-tokens N  tokens that are guessed ahead where a text repeats itself (0)
  --kv-cache-bytes N     bytes for keys and values
  --kv-cache-dtype TYPE  auto (default), f32, f16 or int8: auto is f32, f16 rounds to half the bytes, int8 to a quarter
  --gpu-memory-utilization SHARE  of the memory for weights, keys and values together, up to 1
  --chat-template FILE   a Jinja template instead of the model's own
  --generation-config HOW  auto (default): requests that leave sampling parameters out get those that the model's
                         makers advise; vllm: they get none but the end tokens
  --logprobs-mode MODE   ${LOGPROBS_MODES.join(', ')}
                         (default: the first)

Flags of serve:
  --served-model-name NAME  name of the model in the API; repeated for aliases
  --host ADDRESS            address to listen on (127.0.0.1)
  --port N                  port to listen on (8000); 0 for any free one
  --api-key KEY             key that callers must send; repeated for several (also: QUERN_API_KEY)
  --api-keys-file FILE      file with a key a line, or a name and a key
  --tool-call-parser NAME   how the model writes calls: ${CALL_FORMAT_NAMES.join(', ')}
                            (default: what its chat template shows)
  --trust-request-chat-template  requests may bring a chat template of their own
  --enable-prompt-tokens-details  the usage says how many tokens of the prompt were cached
  --exclude-tools-when-tool-choice-none  the chat template does not see tools that may not be called
  --max-logprobs N          most alternatives that a request may ask for (20)
  --allowed-origins ORIGIN  web pages that may use the server; repeated for several, or a JSON list (default: any)
  --allowed-methods METHOD  what those pages may send, likewise (default: any)
  --allowed-headers NAME    headers that they may send, likewise (default: any)
  --max-queued-requests N   requests that may wait for others (512); more are refused
  --log-level LEVEL         error, warning or info (default)
`;

/** @throws UsageError */
export function parseServe(args: readonly string[]): ServeCommand {
  const { values } = parse(args, SERVE_FLAGS, false);
  const { model, load } = modelOptions(values);
  const parser = values['tool-call-parser'];
  const mostLogprobs = values['max-logprobs'];
  return {
    model,
    load:
      parser === undefined ? load : { ...load, toolCallParser: oneOf('tool-call-parser', parser, CALL_FORMAT_NAMES) },
    modelNames: values['served-model-name'] ?? [],
    host: nonEmpty('host', values.host),
    port: integer('port', values.port, 0, 65_535),
    apiKeys: [...keysGiven(values['api-key']), ...keysIn(values['api-keys-file'])],
    trustRequestChatTemplate: values['trust-request-chat-template'] ?? false,
    promptTokensDetails: values['enable-prompt-tokens-details'] ?? false,
    excludeToolsWhenNone: values['exclude-tools-when-tool-choice-none'] ?? false,
    ...(mostLogprobs === undefined ? {} : { maxLogprobs: integer('max-logprobs', mostLogprobs, 0) }),
    ...listOf('allowedOrigins', 'allowed-origins', values['allowed-origins']),
    ...listOf('allowedMethods', 'allowed-methods', values['allowed-methods']),
    ...listOf('allowedHeaders', 'allowed-headers', values['allowed-headers']),
    logLevel: oneOf('log-level', values['log-level'], LOG_LEVELS),
  };
}

/** @throws UsageError */
export function parseChat(args: readonly string[]): ModelOptions & { readonly question: string } {
  const { values, positionals } = parse(args, MODEL_FLAGS, true);
  if (positionals.length === 0) throw new UsageError('quern chat needs a question');
  return { ...modelOptions(values), question: positionals.join(' ') };
}

/** @throws UsageError */
export function parseInspect(args: readonly string[]): { readonly model: string; readonly json: boolean } {
  const { values, positionals } = parse(args, { json: { type: 'boolean' } }, true);
  if (positionals.length !== 1) throw new UsageError('quern inspect needs one model');
  return { model: positionals[0], json: values.json ?? false };
}

function parse<T extends NonNullable<ParseArgsConfig['options']>>(
  args: readonly string[],
  options: T,
  allowPositionals: boolean,
) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals, strict: true });
  } catch (error) {
    // The first sentence names the flag; what follows is advice about dashes.
    const [reason] = (error as Error).message.split('. ', 1);
    throw new UsageError(`${reason}; quern --help lists what there is`);
  }
}

/** Flags with an integer, the option that each of them sets, and its least value. */
const INTEGER_FLAGS = [
  ['threads', 'threads', 1],
  ['max-model-len', 'maxModelLen', 1],
  ['max-num-seqs', 'maxNumSeqs', 1],
  ['max-num-batched-tokens', 'maxNumBatchedTokens', 1],
  ['num-speculative-tokens', 'numSpeculativeTokens', 0],
  ['max-queued-requests', 'maxQueuedRequests', 0],
  ['kv-cache-bytes', 'kvCacheBytes', 1],
] as const;

type ModelFlags = { [K in keyof typeof MODEL_FLAGS | (typeof INTEGER_FLAGS)[number][0]]?: string };

function modelOptions(values: ModelFlags & { readonly model: string }): ModelOptions {
  const { device, quantization } = values;
  const template = values['chat-template'];
  const load: { -readonly [K in keyof LoadOptions]: LoadOptions[K] } = {};
  if (device !== undefined) load.device = oneOf('device', device, ['auto', 'webgpu', 'wasm', 'reference']);
  if (quantization !== undefined) load.quantize = oneOf('quantization', quantization, QUANTIZATIONS);
  const dtype = values['kv-cache-dtype'];
  if (dtype !== undefined) load.kvCacheDtype = oneOf('kv-cache-dtype', dtype, ['auto', 'f32', 'f16', 'int8']);
  const share = values['gpu-memory-utilization'];
  if (share !== undefined) load.gpuMemoryUtilization = shareOf('gpu-memory-utilization', share);
  for (const [flag, option, least] of INTEGER_FLAGS) {
    const value = values[flag];
    if (value !== undefined) load[option] = integer(flag, value, least);
  }
  const defaults = values['generation-config'];
  if (defaults !== undefined) load.generationConfig = oneOf('generation-config', defaults, ['auto', 'vllm']);
  const mode = values['logprobs-mode'];
  if (mode !== undefined) load.logprobsMode = oneOf('logprobs-mode', mode, LOGPROBS_MODES);
  if (template !== undefined) load.chatTemplate = fileText('chat-template', template);
  return { model: nonEmpty('model', values.model), load };
}

/** A flag that is given several times, or once with a JSON list; what is not given is left out. */
function listOf<K extends string>(option: K, flag: string, values: readonly string[] | undefined) {
  if (values === undefined) return {};
  const list = values.flatMap((value) => (value.startsWith('[') ? jsonList(flag, value) : [nonEmpty(flag, value)]));
  return { [option]: list } as { [P in K]: string[] };
}

function jsonList(flag: string, text: string): string[] {
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch {
    list = null;
  }
  if (Array.isArray(list) && list.every((item) => typeof item === 'string' && item !== '')) return list;
  throw new UsageError(`--${flag} must be a text or a JSON list of texts, got ${JSON.stringify(text)}`);
}

function nonEmpty(flag: string, value: string): string {
  if (value === '') throw new UsageError(`--${flag} is empty`);
  return value;
}

function integer(flag: string, value: string, least: number, most = Number.MAX_SAFE_INTEGER): number {
  const number = /^\d{1,16}$/.test(value) ? Number(value) : -1;
  if (number >= least && number <= most) return number;
  const range = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`;
  throw new UsageError(`--${flag} must be an integer ${range}, got ${JSON.stringify(value)}`);
}

function shareOf(flag: string, value: string): number {
  const share = /^\d*\.?\d+$/.test(value) ? Number(value) : 0;
  if (share > 0 && share <= 1) return share;
  throw new UsageError(`--${flag} must be a number above 0 and at most 1, got ${JSON.stringify(value)}`);
}

function oneOf<const T extends string>(flag: string, value: string, allowed: readonly T[]): T {
  const found = allowed.find((choice) => choice === value);
  if (found !== undefined) return found;
  throw new UsageError(`--${flag} must be one of ${allowed.join(', ')}, got ${JSON.stringify(value)}`);
}

/** The keys of the command line, and the one of the environment. */
function keysGiven(keys: readonly string[] = []): ApiKey[] {
  const { QUERN_API_KEY: ofEnvironment } = process.env;
  return [...keys.map((key) => nonEmpty('api-key', key)), ...(ofEnvironment ? [ofEnvironment] : [])].map((key) => ({
    key,
  }));
}

/** A line is a key, or a name, blanks and a key; what follows a # at its beginning is a comment. */
function keysIn(path: string | undefined): ApiKey[] {
  if (path === undefined) return [];
  const lines = fileText('api-keys-file', path).split('\n');
  const keys = lines
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line, index) => {
      const words = line.split(/\s+/);
      if (words.length > 2)
        throw new UsageError(`--api-keys-file ${path}: key ${index + 1} has more than a name and a key`);
      return words.length === 1 ? { key: words[0] } : { name: words[0], key: words[1] };
    });
  if (keys.length === 0) throw new UsageError(`--api-keys-file ${path}: no key in it`);
  return keys;
}

function fileText(flag: string, path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new UsageError(`--${flag} ${path}: ${(error as NodeJS.ErrnoException).code ?? 'cannot be read'}`);
  }
}
