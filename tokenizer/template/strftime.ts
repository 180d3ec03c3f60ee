/** Python's `strftime` in the C locale, in local time. */

const DAYS = ['Sunday', 'Monday', 'Tuesday', 'Wednesday', 'Thursday', 'Friday', 'Saturday'];
const MONTHS = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
];

/** Directives may carry a flag: `-` for no padding, `_` for blanks, `0` for zeros. Unknown ones stay as written. */
export function strftime(date: Date, format: string): string {
  return format.replace(/%([-_0]?)([A-Za-z%])/g, (written, flag: string, directive: string) => {
    const compound = COMPOUND.get(directive);
    if (compound !== undefined) return strftime(date, compound);
    const value = partOf(date, directive);
    if (value === undefined) return written;
    if (typeof value === 'string') return value;
    const [number, width, padding] = value;
    if (flag === '-') return String(number);
    return String(number).padStart(width, flag === '_' ? ' ' : flag === '0' ? '0' : padding);
  });
}

const COMPOUND: ReadonlyMap<string, string> = new Map([
  ['c', '%a %b %e %H:%M:%S %Y'],
  ['D', '%m/%d/%y'],
  ['F', '%Y-%m-%d'],
  ['h', '%b'],
  ['R', '%H:%M'],
  ['r', '%I:%M:%S %p'],
  ['T', '%H:%M:%S'],
  ['X', '%H:%M:%S'],
  ['x', '%m/%d/%y'],
]);

/** Text, or a number with its width and padding. */
function partOf(date: Date, directive: string): string | readonly [number, number, string] | undefined {
  const dayOfYear = Math.round(
    (Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) - Date.UTC(date.getFullYear(), 0, 1)) / 86_400_000,
  );
  switch (directive) {
    case '%':
      return '%';
    case 'n':
      return '\n';
    case 't':
      return '\t';
    case 'a':
      return DAYS[date.getDay()].slice(0, 3);
    case 'A':
      return DAYS[date.getDay()];
    case 'b':
      return MONTHS[date.getMonth()].slice(0, 3);
    case 'B':
      return MONTHS[date.getMonth()];
    case 'p':
      return date.getHours() < 12 ? 'AM' : 'PM';
    case 'Z':
    case 'z':
      // A naive time has no zone.
      return '';
    case 'Y':
      return [date.getFullYear(), 1, '0'];
    case 'y':
      return [date.getFullYear() % 100, 2, '0'];
    case 'm':
      return [date.getMonth() + 1, 2, '0'];
    case 'd':
      return [date.getDate(), 2, '0'];
    case 'e':
      return [date.getDate(), 2, ' '];
    case 'H':
      return [date.getHours(), 2, '0'];
    case 'I':
      return [date.getHours() % 12 || 12, 2, '0'];
    case 'M':
      return [date.getMinutes(), 2, '0'];
    case 'S':
      return [date.getSeconds(), 2, '0'];
    case 'f':
      return [date.getMilliseconds() * 1000, 6, '0'];
    case 'j':
      return [dayOfYear + 1, 3, '0'];
    case 'u':
      return [date.getDay() || 7, 1, '0'];
    case 'w':
      return [date.getDay(), 1, '0'];
    case 'U':
      return [Math.floor((dayOfYear + 7 - date.getDay()) / 7), 2, '0'];
    case 'W':
      return [Math.floor((dayOfYear + 7 - ((date.getDay() + 6) % 7)) / 7), 2, '0'];
  }
  return undefined;
}
