/** Results as files, one for each bench and machine, in bench/results/ (which git does not keep). */

import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { machine, rounded } from './table.ts';

const FOLDER = new URL('../results/', import.meta.url);

/** Writes `result` and the machine as JSON, and says where. */
export function writeResult(name: string, result: object): void {
  mkdirSync(FOLDER, { recursive: true });
  const file = new URL(`${name.replaceAll(/[^A-Za-z0-9.]+/g, '-').toLowerCase()}.json`, FOLDER);
  writeFileSync(file, JSON.stringify({ ...machine(), ...result }, roundNumber));
  console.log(`\nwritten to ${fileURLToPath(file)}`);
}

function roundNumber(_: string, value: unknown): unknown {
  return typeof value === 'number' ? rounded(value, 3) : value;
}
