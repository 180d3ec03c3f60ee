/** Names of models on the hub: `org/name`, perhaps with `@revision`, perhaps with `:file` for a GGUF file in it. */

export interface Repository {
  /** `org/name` */
  readonly id: string;
  /** A branch, tag or commit. */
  readonly revision: string;
  /** A file of the repository, or a part of its name such as `Q4_K_M`. */
  readonly file: string | undefined;
}

const PATTERN = /^([\w.-]+\/[\w.-]+)(?:@([\w./-]+))?(?::([\w./ +-]+))?$/;

/** Undefined when `name` is not of that form. */
export function parseRepository(name: string): Repository | undefined {
  const match = PATTERN.exec(name);
  if (match === null) return undefined;
  const [, id, revision = 'main', file] = match;
  const parts = [...id.split('/'), ...revision.split('/'), ...(file?.split('/') ?? [])];
  return parts.every(isName) ? { id, revision, file } : undefined;
}

/** One part of a path that stays where it is put. */
export function isName(part: string): boolean {
  return part !== '' && part !== '.' && part !== '..' && !/[\\/:\0]/.test(part) && part.length <= 255;
}

/** A path inside of a repository, as the hub or an index names it. */
export function isRelativePath(path: string): boolean {
  return path.split('/').every(isName);
}
