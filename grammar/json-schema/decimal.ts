/** Exact decimal numbers, as JSON writes them. */

import { GrammarError } from '../errors.ts';

/** The number `units / 10^scale`, in lowest terms: `units` ends in no 0 unless `scale` is 0. */
export interface Decimal {
  readonly units: bigint;
  readonly scale: number;
}

/** Largest power of ten, and most digits, that a number in a schema may have. */
const MAX_DIGITS = 2000;

/**
 * A number of a JSON text.
 * @throws GrammarError when it has more than 2000 digits
 */
export function parseDecimal(text: string): Decimal {
  const [mantissa, exponent = '0'] = text.toLowerCase().split('e');
  const [whole, fraction = ''] = mantissa.split('.');
  const power = Number(exponent);
  let units = mantissa.length > MAX_DIGITS ? tooLong(text) : BigInt(whole + fraction);
  if (units === 0n) return { units, scale: 0 };
  let scale = fraction.length - power;
  if (Math.abs(scale) > MAX_DIGITS) tooLong(text);
  if (scale < 0) {
    units *= 10n ** BigInt(-scale);
    scale = 0;
  }
  while (scale > 0 && units % 10n === 0n) {
    units /= 10n;
    scale--;
  }
  return { units, scale };
}

/** The shortest text without an exponent. */
export function formatDecimal({ units, scale }: Decimal): string {
  const { whole, fraction } = decimalDigits({ units, scale });
  return `${units < 0n ? '-' : ''}${whole}${fraction === '' ? '' : `.${fraction}`}`;
}

/** The digits of the absolute value before the point (at least one) and behind it (none when it is whole). */
export function decimalDigits({ units, scale }: Decimal): { readonly whole: string; readonly fraction: string } {
  const digits = String(units < 0n ? -units : units).padStart(scale + 1, '0');
  return { whole: digits.slice(0, digits.length - scale), fraction: digits.slice(digits.length - scale) };
}

function tooLong(text: string): never {
  throw new GrammarError(`the number ${text.slice(0, 40)} in the schema has more than ${MAX_DIGITS} digits`);
}
