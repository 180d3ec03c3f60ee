#!/usr/bin/env node
/** The command line: finds the command, runs it, and tells in one line what went wrong. */

import { HELP, UsageError } from './cli-options.ts';
import { packageVersion } from './version.ts';

/** How long what is still open may keep a process whose work is done. */
const LINGER_MS = 2000;

/** A command's code is loaded when it is called, so that help and version need no engine. */
const COMMANDS: Readonly<Record<string, (args: readonly string[]) => Promise<void>>> = {
  serve: async (args) => (await import('./cli-serve.ts')).serveCommand(args),
  chat: async (args) => (await import('./cli-chat.ts')).chatCommand(args),
  inspect: async (args) => (await import('./cli-inspect.ts')).inspectCommand(args),
  bench: async (args) => (await import('./cli-bench.ts')).benchCommand(args),
};

async function main([name, ...args]: readonly string[]): Promise<void> {
  if (name === '--version') process.stdout.write(`${packageVersion()}\n`);
  else if (name === undefined || isHelp(name) || (name !== 'bench' && args.some(isHelp))) process.stdout.write(HELP);
  else if (Object.hasOwn(COMMANDS, name)) await COMMANDS[name](args);
  else throw new UsageError(`there is no command ${JSON.stringify(name)}; quern --help lists them`);
}

function isHelp(argument: string): boolean {
  return argument === '--help' || argument === '-h';
}

const args = process.argv.slice(2);
try {
  await main(args);
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  process.stderr.write(`quern: ${message.replaceAll('\n', ' ')}\n`);
  process.exitCode = 1;
}
// A bench is a script of its own and ends when it likes.
if (args[0] !== 'bench') setTimeout(() => process.exit(), LINGER_MS).unref();
