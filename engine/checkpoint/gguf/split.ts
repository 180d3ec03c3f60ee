/** The names of a model in several GGUF files: `name-00001-of-00003.gguf` and on. */

import { CheckpointError } from '../../errors.ts';

const PART = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/i;
const MAX_PARTS = 4096;

/**
 * All files of the model that `file` belongs to, in order; `file` alone when its name is not that of a part.
 * @throws CheckpointError when the name counts wrongly
 */
export function ggufParts(file: string): readonly string[] {
  const [, stem, number, count] = PART.exec(file) ?? [];
  if (stem === undefined) return [file];
  const parts = Number(count);
  if (Number(number) < 1 || Number(number) > parts || parts > MAX_PARTS) {
    throw new CheckpointError(`${file}: part ${Number(number)} of ${parts}; expected 1 to at most ${MAX_PARTS} parts`);
  }
  return Array.from({ length: parts }, (_, i) => `${stem}-${String(i + 1).padStart(5, '0')}-of-${count}.gguf`);
}

/** True for a file that is a model by itself, or the first part of one. */
export function isFirstGguf(file: string): boolean {
  return /\.gguf$/i.test(file) && Number(PART.exec(file)?.[2] ?? 1) === 1;
}
