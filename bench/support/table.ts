/** Rows of figures for people, and the machine they were measured on. */

import { cpus } from 'node:os';

/** Columns are padded to their widest cell; numbers are right-aligned. */
export function printTable(header: readonly string[], rows: readonly (readonly (string | number)[])[]): void {
  const text = [header, ...rows.map((row) => row.map(String))];
  const widths = header.map((_, column) => Math.max(...text.map((row) => row[column].length)));
  for (const [index, row] of text.entries()) {
    const cells = row.map((cell, column) =>
      index > 0 && typeof rows[index - 1][column] === 'number'
        ? cell.padStart(widths[column])
        : cell.padEnd(widths[column]),
    );
    console.log(cells.join('  ').trimEnd());
  }
}

export function machine(): { cpu: string; cores: number; node: string; v8: string } {
  const { length, 0: first } = cpus();
  return { cpu: first?.model ?? 'unknown', cores: length, node: process.version, v8: process.versions.v8 };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1];
}

export function rounded(value: number, digits = 1): number {
  return Number(value.toFixed(digits));
}
