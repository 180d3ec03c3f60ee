/** `quern bench NAME …`: runs a script of the bench folder. */

import { readdirSync } from 'node:fs';
import { UsageError } from './cli-options.ts';

const FOLDER = new URL('../bench/', import.meta.url);

/** Runs the bench; what follows its name are its arguments. Without a name, lists the benches. @throws UsageError, and what the bench throws */
export async function benchCommand([name, ...args]: readonly string[]): Promise<void> {
  const benches = benchFiles();
  const list = [...benches.keys()].join(', ') || 'none';
  if (name === undefined || name === '--help') {
    process.stdout.write(`benches: ${list}; quern bench NAME --help tells the options of one\n`);
    return;
  }
  const file = benches.get(name);
  if (file === undefined) throw new UsageError(`there is no bench ${JSON.stringify(name)}; there are: ${list}`);
  // A bench is a script: it reads its arguments where a script finds them.
  process.argv = [process.argv[0], file.pathname, ...args];
  await import(file.href);
}

/** Scripts by name: TypeScript in the sources, JavaScript in the built package. */
function benchFiles(): Map<string, URL> {
  const files = readdirSync(FOLDER, { withFileTypes: true }).filter((entry) => entry.isFile());
  const scripts = files.map(({ name }) => /^([a-z0-9-]+)\.[jt]s$/.exec(name)).filter((match) => match !== null);
  return new Map(scripts.map(([file, name]) => [name, new URL(file, FOLDER)]));
}
