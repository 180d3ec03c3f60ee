/** Where a reply stands between the tags of reasoning, token by token. */

import type { ReplyRules } from './reply-parser.ts';

/** What stands around reasoning. */
export interface ThinkTags {
  readonly open: string;
  readonly close: string;
}

export const THINK: ThinkTags = { open: '<think>', close: '</think>' };

export interface Thinking {
  readonly phase: 'before' | 'inside' | 'after';
  /** The end of the text, as far as it may belong to a tag. */
  readonly tail: string;
  /** Tokens between the tags so far. */
  readonly tokens: number;
}

/** At the beginning of a reply. */
export function startOf(reasoning: ReplyRules['reasoning']): Thinking {
  const phase = reasoning === 'open' ? 'inside' : reasoning === 'tagged' ? 'before' : 'after';
  return { phase, tail: '', tokens: 0 };
}

/** After a token with this text. Only blanks may stand before the opening tag. */
export function thinkingAfter({ phase, tail, tokens }: Thinking, text: string, { open, close }: ThinkTags): Thinking {
  const all = tail + text;
  if (phase === 'before') {
    const lead = all.trimStart();
    if (lead.startsWith(open)) return { phase: 'inside', tail: lead.slice(open.length), tokens };
    return { phase: open.startsWith(lead) ? 'before' : 'after', tail: lead, tokens };
  }
  if (phase === 'after') return { phase, tail: '', tokens };
  if (all.includes(close)) return { phase: 'after', tail: '', tokens };
  return { phase, tail: all.slice(1 - close.length), tokens: tokens + 1 };
}
