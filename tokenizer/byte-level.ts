/**
 * The printable alphabet of byte-level tokenizers: every byte is written as one character. Printable Latin-1 bytes
 * stand for themselves, the other 68 are moved to U+0100 and up, in order. Source: the encoder of GPT-2.
 */

const BYTE_TO_CHAR: readonly string[] = byteAlphabet();
const CHAR_TO_BYTE = charTable();

const utf8 = new TextEncoder();

/** The UTF-8 bytes of `text`, each written as its character of the alphabet. */
export function toByteChars(text: string): string {
  let chars = '';
  for (const byte of utf8.encode(text)) chars += BYTE_TO_CHAR[byte];
  return chars;
}

/** The bytes that tokens of byte characters stand for; a token with any other character stands for its own UTF-8. */
export function fromByteChars(tokens: readonly string[]): Uint8Array {
  const bytes = new Uint8Array(tokens.reduce((most, token) => most + 3 * token.length, 0));
  let end = 0;
  for (const token of tokens) {
    const start = end;
    for (let i = 0; i < token.length; i++) {
      const byte = CHAR_TO_BYTE[token.charCodeAt(i)];
      if (byte < 0) {
        end = start + utf8.encodeInto(token, bytes.subarray(start)).written;
        break;
      }
      bytes[end++] = byte;
    }
  }
  return bytes.subarray(0, end);
}

/** The byte that a token such as `<0x0A>` stands for, or -1 for any other token. */
export function byteOfFallbackToken(token: string): number {
  return token.length === 6 && /^<0x[0-9A-Fa-f]{2}>$/.test(token) ? Number.parseInt(token.slice(3, 5), 16) : -1;
}

/** The token `<0x0A>` of a byte. */
export function fallbackToken(byte: number): string {
  return `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`;
}

function byteAlphabet(): string[] {
  const isPrintable = (byte: number) =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
  let moved = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPrintable(byte) ? byte : moved++));
}

/** By UTF-16 unit: its byte, or -1 for a unit that is not in the alphabet. */
function charTable(): Int16Array {
  const table = new Int16Array(0x10000).fill(-1);
  for (const [byte, char] of BYTE_TO_CHAR.entries()) table[char.charCodeAt(0)] = byte;
  return table;
}
