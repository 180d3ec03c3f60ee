/** Where a reply stands between the tags of reasoning, token by token. */

import type { ReplyRules } from './reply-parser.ts';

export const OPEN = '<think>';
export const CLOSE = '</think>';

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
export function thinkingAfter({ phase, tail, tokens }: Thinking, text: string): Thinking {
  const all = tail + text;
  if (phase === 'before') {
    const lead = all.trimStart();
    if (lead.startsWith(OPEN)) return { phase: 'inside', tail: lead.slice(OPEN.length), tokens };
    return { phase: OPEN.startsWith(lead) ? 'before' : 'after', tail: lead, tokens };
  }
  if (phase === 'after') return { phase, tail: '', tokens };
  if (all.includes(CLOSE)) return { phase: 'after', tail: '', tokens };
  return { phase, tail: all.slice(1 - CLOSE.length), tokens: tokens + 1 };
}
