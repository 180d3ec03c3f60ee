/** The reference models of test/oracle, with their tokenizers. */

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { ChatTemplate, Tokenizer } from '../../tokenizer/index.ts';

const ORACLE = new URL('../oracle/', import.meta.url);

export interface ReferenceModel {
  readonly name: string;
  readonly tokenizer: Tokenizer;
  readonly template: ChatTemplate;
  readonly reference: Reference;
}

export interface Reference {
  readonly special: { readonly eos: number[] };
  readonly tokenizer: {
    id: string;
    text: string;
    ids: number[];
    ids_plain: number[];
    decoded: string;
    decoded_skip: string;
  }[];
  readonly decode: { id: string; ids: number[]; keep: Decoded; skip: Decoded }[];
  readonly chat_clock: string;
  readonly chat: {
    conversation: string;
    add_generation_prompt: boolean;
    variables?: Record<string, unknown>;
    text?: string;
    ids?: number[];
    error?: string;
  }[];
}

export interface Decoded {
  readonly text: string;
  readonly chunks: string[];
  readonly rest: string | null;
}

/** A JSON file of test/oracle. */
export function oracle<T>(path: string): T {
  return JSON.parse(readFileSync(new URL(path, ORACLE), 'utf8')) as T;
}

export async function referenceModels(): Promise<ReferenceModel[]> {
  const names = readdirSync(new URL('models/', ORACLE)).filter((name) => !name.includes('.'));
  return Promise.all(
    names.map(async (name) => {
      const config = oracle<{ chat_template?: unknown }>(`models/${name}/tokenizer_config.json`);
      const tokenizer = await Tokenizer.fromJson(oracle(`models/${name}/tokenizer.json`), config);
      const file = new URL(`models/${name}/chat_template.jinja`, ORACLE);
      const source = existsSync(file) ? readFileSync(file, 'utf8') : config.chat_template;
      const template = new ChatTemplate(source, { specialTokens: tokenizer.specialTokens });
      return { name, tokenizer, template, reference: oracle<Reference>(`models/${name}/reference.json`) };
    }),
  );
}

/** A small byte-level tokenizer, with members replaced. */
export async function tokenizerWith(members: Record<string, unknown>, base = 'qwen3'): Promise<Tokenizer> {
  return Tokenizer.fromJson({ ...oracle<Record<string, unknown>>(`models/${base}/tokenizer.json`), ...members });
}
