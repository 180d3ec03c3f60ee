/** JSON from untrusted files: bounded depth, no duplicate keys, one-line errors. */

import { CheckpointError } from '../errors.ts';

/** Deepest nesting of arrays and objects in a model's JSON files. */
const MAX_DEPTH = 64;

/**
 * Parses a JSON text whose outermost value must be an object.
 * @throws CheckpointError on a syntax error, a duplicate key, or nesting deeper than 64.
 */
export function parseJsonObject(file: string, text: string): Record<string, unknown> {
  checkStructure(file, text);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new CheckpointError(`${file}: not valid JSON`);
  }
  if (!isJsonObject(value)) throw new CheckpointError(`${file}: ${show(value)}; expected a JSON object`);
  return value;
}

export function isJsonObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A value as it stands in an error message: on one line, and short whatever a file holds. */
export function show(value: unknown): string {
  if (value === undefined) return 'missing';
  if (Array.isArray(value) && value.length > 8) return `a list of ${value.length}`;
  if (isJsonObject(value)) return 'an object';
  const text = JSON.stringify(value).replace(/[\u007f-\u009f\u2028\u2029]/g, '?');
  return text.length > 80 ? `${text.slice(0, 77)}...` : text;
}

// JSON.parse keeps the last of several equal keys without a word, so they are looked for beforehand, in one pass. Text
// that is not JSON passes through here harmlessly, and fails in JSON.parse.
function checkStructure(file: string, text: string): void {
  const open: Set<string>[] = [];
  for (let i = 0; i < text.length; i++) {
    const char = text[i];
    if (char === '{' || char === '[') {
      open.push(new Set());
      if (open.length > MAX_DEPTH) throw new CheckpointError(`${file}: nested deeper than ${MAX_DEPTH}`);
    } else if (char === '}' || char === ']') {
      open.pop();
    } else if (char === '"') {
      const end = endOfString(text, i);
      if (isKey(text, end)) {
        const key = keyText(text.slice(i, end));
        const keys = open.at(-1);
        if (keys?.has(key)) throw new CheckpointError(`${file}: key ${show(key)} occurs twice`);
        keys?.add(key);
      }
      i = end - 1;
    }
  }
}

/** The index after the closing quote of the string that starts at `start`, or the end of the text. */
function endOfString(text: string, start: number): number {
  let i = start + 1;
  while (i < text.length && text[i] !== '"') i += text[i] === '\\' ? 2 : 1;
  return Math.min(i + 1, text.length);
}

/** True when a colon follows, perhaps after white space. */
function isKey(text: string, end: number): boolean {
  while (text[end] === ' ' || text[end] === '\n' || text[end] === '\t' || text[end] === '\r') end++;
  return text[end] === ':';
}

function keyText(literal: string): string {
  if (!literal.includes('\\')) return literal.slice(1, -1);
  try {
    return JSON.parse(literal);
  } catch {
    return literal;
  }
}
