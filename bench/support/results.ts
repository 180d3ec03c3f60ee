/** Results as files, one for each bench and machine, in bench/results/ (which git does not keep). */

import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { machine, rounded } from './table.ts';

const FOLDER = new URL('../results/', import.meta.url);

/** Writes `result` and the machine as JSON, and a plot if there is one, and says where. */
export function writeResult(name: string, result: object, svg?: string): void {
  mkdirSync(FOLDER, { recursive: true });
  const write = (ending: string, text: string) => {
    const file = new URL(`${name.replaceAll(/[^A-Za-z0-9.]+/g, '-').toLowerCase()}.${ending}`, FOLDER);
    writeFileSync(file, text);
    console.log(`written to ${fileURLToPath(file)}`);
  };
  write('json', JSON.stringify({ ...machine(), ...result }, roundNumber));
  if (svg) write('svg', svg);
}

function roundNumber(_: string, value: unknown): unknown {
  return typeof value === 'number' ? rounded(value, 3) : value;
}
