/**
 * The pre-tokenizers of `tokenizer.json`: a text is cut into pieces, and the model then works on one piece at a time.
 * A byte-level pre-tokenizer also rewrites the pieces in the alphabet of bytes; as the last step, which it always is in
 * practice, that is left to the model, so that its cache is keyed by the text itself.
 */

import { toByteChars } from './byte-level.ts';
import { TokenizerError } from './errors.ts';
import { arrayOf, booleanField, type JsonObject, objectOf, stringField, unknownType } from './json-fields.ts';
import { readPattern } from './normalizers.ts';
import { Pattern } from './pattern/pattern.ts';

/** Pieces of a text, none empty; `atStart`: the first one begins where the whole text began. */
export interface Pieces {
  readonly texts: readonly string[];
  readonly atStart: boolean;
}

export interface PreTokenizer {
  readonly split: Split;
  /** The model is to see the pieces in the alphabet of bytes. */
  readonly byteLevel: boolean;
}

type Split = (pieces: Pieces) => Pieces;
type Step = Split | 'byte-chars';

const MAX_DEPTH = 16;
const SUPPORTED = [
  'Sequence',
  'ByteLevel',
  'Split',
  'Digits',
  'Metaspace',
  'Punctuation',
  'Whitespace',
  'WhitespaceSplit',
  'BertPreTokenizer',
  'CharDelimiterSplit',
];

/** Patterns that the pre-tokenizers have of their own; the first is GPT-2's. */
const GPT2 = builtIn("'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+");
const NUMERIC = builtIn('\\p{N}');
const PUNCTUATION = builtIn('[\\p{P}$+<=>^`|~]');
const WHITESPACE = builtIn('\\s');
const WORDS = builtIn(
  '[\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}]+|[^\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}\\s]+',
);

/** Compiled when first asked for. */
function builtIn(source: string): () => Pattern {
  let pattern: Pattern | undefined;
  return () => (pattern ??= Pattern.compile(source, 'a built-in pattern'));
}

/** @throws TokenizerError for a type or a member that is not understood */
export function readPreTokenizer(json: unknown, where: string): PreTokenizer {
  const steps = json === null || json === undefined ? [] : readSteps(json, where, 0);
  const byteLevel = steps.at(-1) === 'byte-chars';
  if (byteLevel) steps.pop();
  const splits = steps.map((step) => (step === 'byte-chars' ? mapByteChars : step));
  return { split: (pieces) => splits.reduce((cut, split) => split(cut), pieces), byteLevel };
}

function readSteps(json: unknown, where: string, depth: number): Step[] {
  if (depth > MAX_DEPTH) throw new TokenizerError(`${where} nests more than ${MAX_DEPTH} sequences`);
  const fields = objectOf(json, where);
  switch (fields.type) {
    case 'Sequence':
      return arrayOf(fields.pretokenizers, `${where}.pretokenizers`).flatMap((step, i) =>
        readSteps(step, `${where}.pretokenizers[${i}]`, depth + 1),
      );
    case 'ByteLevel': {
      const steps: Step[] = [];
      if (booleanField(fields, 'add_prefix_space', where, true)) steps.push(prepend(' ', 'always'));
      if (booleanField(fields, 'use_regex', where, true)) steps.push(splitBy(GPT2(), 'Isolated'));
      return [...steps, 'byte-chars'];
    }
    case 'Split': {
      const pattern = readPattern(fields.pattern, `${where}.pattern`);
      return [splitBy(pattern, readBehavior(fields, where), booleanField(fields, 'invert', where, false))];
    }
    case 'Digits':
      return [splitBy(NUMERIC(), booleanField(fields, 'individual_digits', where, false) ? 'Isolated' : 'Contiguous')];
    case 'Metaspace':
      return readMetaspace(fields, where);
    case 'Punctuation':
      return [splitBy(PUNCTUATION(), readBehavior(fields, where, 'Isolated'))];
    case 'Whitespace':
      return [splitBy(WORDS(), 'Removed', true)];
    case 'WhitespaceSplit':
      return [splitBy(WHITESPACE(), 'Removed')];
    case 'BertPreTokenizer':
      return [splitBy(WHITESPACE(), 'Removed'), splitBy(PUNCTUATION(), 'Isolated')];
    case 'CharDelimiterSplit':
      return [splitBy(Pattern.literal(stringField(fields, 'delimiter', where)), 'Removed')];
  }
  throw unknownType(where, fields.type, SUPPORTED);
}

export type PrependScheme = 'always' | 'first' | 'never';

/** The members that `Metaspace` has as a pre-tokenizer and as a decoder; older files only say `add_prefix_space`. */
export function readMetaspaceFields(fields: JsonObject, where: string): { replacement: string; scheme: PrependScheme } {
  const replacement = stringField(fields, 'replacement', where, '▁');
  const scheme = stringField(
    fields,
    'prepend_scheme',
    where,
    booleanField(fields, 'add_prefix_space', where, true) ? 'always' : 'never',
  );
  if (scheme !== 'always' && scheme !== 'first' && scheme !== 'never') {
    throw new TokenizerError(`${where}.prepend_scheme is "${scheme}"; expected always, first or never`);
  }
  return { replacement, scheme };
}

function readMetaspace(fields: JsonObject, where: string): Step[] {
  const { replacement, scheme } = readMetaspaceFields(fields, where);
  const steps: Step[] = [
    ({ texts, atStart }) => ({ texts: texts.map((text) => text.replaceAll(' ', replacement)), atStart }),
    prepend(replacement, scheme),
  ];
  if (booleanField(fields, 'split', where, true)) steps.push(splitBy(Pattern.literal(replacement), 'MergedWithNext'));
  return steps;
}

/** Puts `prefix` before pieces that do not begin with it. */
function prepend(prefix: string, scheme: PrependScheme): Split {
  return ({ texts, atStart }) => ({
    texts: texts.map((text, i) => {
      const applies = scheme === 'always' || (scheme === 'first' && i === 0 && atStart);
      return applies && !text.startsWith(prefix) ? prefix + text : text;
    }),
    atStart,
  });
}

const mapByteChars = ({ texts, atStart }: Pieces): Pieces => ({ texts: texts.map(toByteChars), atStart });

type Behavior = 'Removed' | 'Isolated' | 'MergedWithPrevious' | 'MergedWithNext' | 'Contiguous';

function readBehavior(fields: JsonObject, where: string, fallback?: Behavior): Behavior {
  const behavior = stringField(fields, 'behavior', where, fallback);
  switch (behavior) {
    case 'Removed':
    case 'Isolated':
    case 'MergedWithPrevious':
    case 'MergedWithNext':
    case 'Contiguous':
      return behavior;
  }
  throw new TokenizerError(
    `${where}.behavior is "${behavior}"; expected Removed, Isolated, MergedWithPrevious, MergedWithNext or Contiguous`,
  );
}

/** Cuts every piece at the matches of `pattern`; with `invert`, what lies between them counts as the matches. */
function splitBy(pattern: Pattern, behavior: Behavior, invert = false): Split {
  return ({ texts, atStart }) => {
    const cut: string[] = [];
    let startKept = atStart;
    for (let i = 0; i < texts.length; i++) {
      const spans = behave(spansOf(texts[i], pattern, invert), behavior);
      if (i === 0 && spans[0]?.start !== 0) startKept = false;
      for (const { start, end } of spans) if (end > start) cut.push(texts[i].slice(start, end));
    }
    return { texts: cut, atStart: startKept };
  };
}

interface Span {
  start: number;
  end: number;
  readonly isMatch: boolean;
}

/** Matches and the stretches between them, in order; together they cover the text. */
function spansOf(text: string, pattern: Pattern, invert: boolean): Span[] {
  const spans: Span[] = [];
  let covered = 0;
  pattern.forEachMatch(text, (start, end) => {
    if (start > covered) spans.push({ start: covered, end: start, isMatch: invert });
    spans.push({ start, end, isMatch: !invert });
    covered = end;
  });
  if (covered < text.length) spans.push({ start: covered, end: text.length, isMatch: invert });
  return spans;
}

function behave(spans: Span[], behavior: Behavior): Span[] {
  switch (behavior) {
    case 'Isolated':
      return spans;
    case 'Removed':
      return spans.filter((span) => !span.isMatch);
    case 'Contiguous':
      return joinSpans(spans, (before, span) => before.isMatch === span.isMatch);
    case 'MergedWithPrevious':
      return joinSpans(spans, (before, span) => span.isMatch && !before.isMatch);
    case 'MergedWithNext':
      return joinSpans(spans.reverse(), (before, span) => span.isMatch && !before.isMatch).reverse();
  }
}

/** Joins a span to the one before it in the list where `joins` says so; `before` is the span as it was, unjoined. */
function joinSpans(spans: readonly Span[], joins: (before: Span, span: Span) => boolean): Span[] {
  const joined: Span[] = [];
  for (let i = 0; i < spans.length; i++) {
    const last = joined.at(-1);
    if (last !== undefined && joins(spans[i - 1], spans[i])) {
      last.start = Math.min(last.start, spans[i].start);
      last.end = Math.max(last.end, spans[i].end);
    } else {
      joined.push({ ...spans[i] });
    }
  }
  return joined;
}
