/**
 * Counts the work of a rendering, so that a template cannot go on for ever. A rendering runs in one piece, so one counter
 * serves whichever is running.
 */

import { TokenizerError } from '../errors.ts';

/** Units that one rendering may take: syntax nodes, items that are walked over, stretches of text that are read. */
const MAX_WORK = 10_000_000;

/** Simple passes over this much text count as one unit. */
export const TEXT_PER_UNIT = 64;

/** Values within values and macros within macros, as they are worked out. */
const MAX_DEPTH = 400;

let done = 0;
let depth = 0;

/** Starts the count of a rendering. */
export function beginWork(): void {
  done = 0;
  depth = 0;
}

/** @throws TokenizerError beyond a depth that no template needs, well before the engine's stack ends */
export function goDeeper(): void {
  if (++depth > MAX_DEPTH) throw new TokenizerError(`chat template: nests more than ${MAX_DEPTH} values`);
}

export function comeBack(): void {
  depth--;
}

/** @throws TokenizerError when the rendering has done too much */
export function charge(units: number): void {
  done += units;
  if (done > MAX_WORK) throw new TokenizerError(`chat template: takes more than ${MAX_WORK} steps`);
}
