/** JSON from untrusted files, some of them tens of megabytes long: bounded depth, and no key twice in an object. */

import { TokenizerError } from './errors.ts';

/** Deepest nesting of arrays and objects. `JSON.parse` takes any, but in time that grows faster than the text. */
const MAX_DEPTH = 64;

const [QUOTE, BACKSLASH, COLON] = [0x22, 0x5c, 0x3a];
const [OPEN_ARRAY, CLOSE_ARRAY, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];

/** @throws TokenizerError in one line that begins with `where` */
export function parseJson(text: string, where: string): unknown {
  const members = countMembers(text, where);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new TokenizerError(`${where} is not JSON: ${(error as Error).message.replaceAll('\n', ' ')}`, {
      cause: error,
    });
  }
  // Of equal keys JSON.parse keeps the last without a word.
  const kept = countKept(value);
  if (kept < members) throw new TokenizerError(`${where} has ${members - kept} keys twice in the same object`);
  return value;
}

/** The members of all objects, as written. Text that is not JSON passes through here harmlessly. */
function countMembers(text: string, where: string): number {
  let members = 0;
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit === QUOTE) at = endOfString(text, at);
    else if (unit === COLON) members++;
    else if (unit === CLOSE_ARRAY || unit === CLOSE_OBJECT) depth--;
    else if ((unit === OPEN_ARRAY || unit === OPEN_OBJECT) && ++depth > MAX_DEPTH) {
      throw new TokenizerError(`${where} nests deeper than ${MAX_DEPTH} arrays and objects`);
    }
  }
  return members;
}

/** Where the string that begins at `start` has its closing quote, or the end of the text. */
function endOfString(text: string, start: number): number {
  let at = start + 1;
  for (; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit === QUOTE) break;
    if (unit === BACKSLASH) at++;
  }
  return at;
}

function countKept(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  const items = Array.isArray(value) ? value : Object.values(value);
  let members = Array.isArray(value) ? 0 : items.length;
  for (const item of items) if (typeof item === 'object') members += countKept(item);
  return members;
}
