/** Formats of the internet: addresses, names, URIs. */

import { anyChar, both, not, type Regex, repeat } from '../ir.ts';
import { parseRegex } from '../regex.ts';

/** RFC 2673, section 3.2. */
const octet = '(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])';
const ipv4 = `${octet}(?:[.]${octet}){3}`;

/** RFC 4291, section 2.2. */
const ipv6 = ipv6Forms();

/** RFC 1123, section 2.1: letters, digits and inner hyphens, at most 63. */
const label = '[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?';
/** Letters whose place in a name no rule of RFC 5892 restricts; 14 of them are at most 63 characters as an A-label. */
const freeLetter = '[a-z0-9ß-öø-ÿα-ωа-яёぁ-ゖァ-ヺ一-鿿가-힣]';
const internationalLabel = `(?:${label}|${freeLetter}{1,14})`;

/** RFC 5321, section 4.1.2. */
const atomCharacter = "A-Za-z0-9!#$%&'*+/=?^_`{|}~\\-";
const quotedLocal = '"(?:[ !#-\\[\\]-~]|\\\\[ -~])*"';
const addressLiteral = `\\[(?:${ipv4}|IPv6:${ipv6})\\]`;

/** RFC 3986, appendix A; with the characters of RFC 3987 added for IRIs. */
const letters = 'A-Za-z0-9\\-._~';
const beyondAscii =
  '\\u00a0-\\ud7ff\\uf900-\\ufdcf\\ufdf0-\\uffef\\u{10000}-\\u{1fffd}\\u{20000}-\\u{2fffd}\\u{30000}-\\u{3fffd}';
const privateUse = '\\ue000-\\uf8ff\\u{f0000}-\\u{ffffd}';
const delimiters = "!$&'()*+,;=";
const percent = '%[0-9A-Fa-f]{2}';

function uriParts(more: string, moreInQuery: string) {
  const segmentCharacter = `(?:[${letters}${more}${delimiters}:@]|${percent})`;
  const segmentNoColon = `(?:[${letters}${more}${delimiters}@]|${percent})`;
  const userInfo = `(?:[${letters}${more}${delimiters}:]|${percent})*`;
  const name = `(?:[${letters}${more}${delimiters}]|${percent})*`;
  const future = `[Vv][0-9A-Fa-f]+[.][${letters}${delimiters}:]+`;
  const host = `(?:\\[(?:${ipv6}|${future})\\]|${name})`;
  const authority = `//(?:${userInfo}@)?${host}(?::[0-9]*)?(?:/${segmentCharacter}*)*`;
  const absolutePath = `/(?:${segmentCharacter}+(?:/${segmentCharacter}*)*)?`;
  const rootless = `${segmentCharacter}+(?:/${segmentCharacter}*)*`;
  const relative = `${segmentNoColon}+(?:/${segmentCharacter}*)*`;
  const tail =
    `(?:[?](?:[${letters}${more}${moreInQuery}${delimiters}:@/?]|${percent})*)?` +
    `(?:#(?:[${letters}${more}${delimiters}:@/?]|${percent})*)?`;
  const absolute = `[A-Za-z][A-Za-z0-9+.\\-]*:(?:${authority}|${absolutePath}|${rootless})?${tail}`;
  return { absolute, reference: `(?:${absolute}|(?:${authority}|${absolutePath}|${relative})?${tail})` };
}

/** RFC 6570, section 2. */
const variableCharacter = '(?:[A-Za-z0-9_]|%[0-9A-Fa-f]{2})';
const variable = `${variableCharacter}(?:[.]?${variableCharacter})*(?:\\*|:[1-9][0-9]{0,3})?`;
const expression = `\\{[+#./;?&=,!@|]?${variable}(?:,${variable})*\\}`;
const templateLiteral = `(?:[!#$&-;=?-\\[\\]_a-z~${beyondAscii}${privateUse}]|${percent})`;

function parse(source: string): Regex {
  return parseRegex(source, { match: 'whole' });
}

/** No label has hyphens in third and fourth place: such names are encoded ones, whose validity is not regular. */
function names(one: string): Regex {
  const encoded = parse('(?:[^.]*[.])*[^.]{2}--[^]*');
  return both(parse(`${one}(?:[.]${one})*`), not(encoded), repeat(anyChar, 1, 253));
}

function mailboxes(extra: string, domains: string): Regex {
  const atom = `[${atomCharacter}${extra}]+`;
  const encoded = parse('[^]*@(?:[^.]*[.])*[^.]{2}--[^]*');
  const local = `(?:${atom}(?:[.]${atom})*|${quotedLocal})`;
  return both(parse(`${local}@(?:(?:${domains}[.])+${domains}|${addressLiteral})`), not(encoded));
}

function ipv6Forms(): string {
  const group = '[0-9A-Fa-f]{1,4}';
  const forms: string[] = [];
  for (const [groups, tail] of [
    [8, ''],
    [6, ipv4],
  ] as const) {
    const whole = tail === '' ? `${group}(?::${group}){7}` : `(?:${group}:){6}${tail}`;
    forms.push(whole);
    for (let before = 0; before < groups; before++) {
      const left = before === 0 ? '' : `${group}(?::${group}){${before - 1}}`;
      const most = groups - 1 - before;
      if (tail === '') {
        const right = most === 0 ? '' : `(?:${group}(?::${group}){0,${most - 1}})?`;
        forms.push(`${left}::${right}`);
      } else forms.push(`${left}::(?:${group}:){0,${most}}${tail}`);
    }
  }
  return `(?:${forms.join('|')})`;
}

export const internetNames: Readonly<Record<string, () => Regex>> = {
  ipv4: () => parse(ipv4),
  ipv6: () => parse(ipv6),
  hostname: () => names(label),
  'idn-hostname': () => names(internationalLabel),
  email: () => mailboxes('', label),
  'idn-email': () => mailboxes(beyondAscii, internationalLabel),
  uri: () => parse(uriParts('', '').absolute),
  'uri-reference': () => parse(uriParts('', '').reference),
  iri: () => parse(uriParts(beyondAscii, privateUse).absolute),
  'iri-reference': () => parse(uriParts(beyondAscii, privateUse).reference),
  'uri-template': () => parse(`(?:${templateLiteral}|${expression})*`),
};
