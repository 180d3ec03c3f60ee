/** Where programs keep what they can make again, by the XDG base directory specification. Node only. */

import { homedir } from 'node:os';
import { join } from 'node:path';

/** Variables of a process. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** The path that a variable holds, with the home folder for `~`; undefined where it is not set. */
export function pathOf(environment: Environment, name: string): string | undefined {
  return environment[name]?.replace(/^~(?=\/|$)/, homedir()) || undefined;
}

export function cacheFolder(environment: Environment): string {
  return pathOf(environment, 'XDG_CACHE_HOME') ?? join(homedir(), '.cache');
}
