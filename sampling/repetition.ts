/** Texts that go round in circles. */

/** What counts as a loop. */
export interface RepetitionRule {
  /** Longest pattern in tokens; 0: nothing counts. */
  readonly maxPatternSize?: number;
  /** Shortest pattern in tokens. Default 1, like 0. */
  readonly minPatternSize?: number;
  /** How often the pattern must stand at the end of the text, one right after the other; at least 2. */
  readonly minCount?: number;
}

/** Longest pattern that may be looked for, and the most comparisons that a step may take, in units of the count. */
const MAX_PATTERN_SIZE = 1024;
const MAX_WORK = 10_240;

/** What is wrong with a rule; null: nothing. */
export function faultOf({ maxPatternSize: most = 0, minPatternSize: least = 0, minCount = 0 }: RepetitionRule) {
  const sizes = [most, least];
  if (![...sizes, minCount].every((size) => Number.isSafeInteger(size) && size >= 0)) {
    return 'must have integers of at least 0';
  }
  if (least > most) return `must have a min_pattern_size (${least}) of at most max_pattern_size (${most})`;
  if (most > 0 && minCount < 2) return `must have a min_count of at least 2, got ${minCount}`;
  if (most > MAX_PATTERN_SIZE) return `must have a max_pattern_size of at most ${MAX_PATTERN_SIZE}, got ${most}`;
  if ((most - least + 1) * minCount > MAX_WORK) {
    return `must have at most ${MAX_WORK} pattern sizes times min_count`;
  }
  return null;
}

/** Whether the text ends with a pattern that stands there often enough. */
export function endsInLoop(tokenIds: readonly number[], rule: RepetitionRule): boolean {
  const { maxPatternSize = 0, minPatternSize = 0, minCount = 0 } = rule;
  for (let size = Math.max(1, minPatternSize); size <= maxPatternSize; size++) {
    const start = tokenIds.length - size * minCount;
    if (start < 0) return false;
    // The last copies are all alike if every token is the one that comes a pattern's size later.
    let at = tokenIds.length - size - 1;
    while (at >= start && tokenIds[at] === tokenIds[at + size]) at--;
    if (at < start) return true;
  }
  return false;
}
