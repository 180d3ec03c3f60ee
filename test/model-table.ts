/**
 * docs/models.md: architecture × weights × device, as far as tests ran them. Each test file that runs models owns a section
 * of the page, which it holds against what it saw; `QUERN_UPDATE_DOCS=1 npm run test:full` writes it anew.
 */

import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import * as assert from 'uvu/assert';
import type { DeviceKind } from '../kernels/index.ts';

const PAGE = new URL('../docs/models.md', import.meta.url);
const DEVICES: readonly DeviceKind[] = ['reference', 'wasm', 'webgpu'];

/** What is run: a model of an architecture, with its weights in a kind of file and format. */
export interface ModelRow {
  readonly architecture: string;
  /** Of test/oracle/models, or what stands for it. */
  readonly model: string;
  /** `safetensors BF16`, `GGUF Q4_K`, … */
  readonly weights: string;
}

export class ModelTable {
  readonly #section: string;
  readonly #checks: readonly string[];
  readonly #rows = new Map<string, Map<DeviceKind, Set<string>>>();

  /**
   * @param section  title of the part of the page that the test file owns
   * @param checks  names of all checks that a model is put to
   */
  constructor(section: string, checks: readonly string[]) {
    this.#section = section;
    this.#checks = checks;
  }

  /** A model passed a check on a device. */
  passed({ architecture, model, weights }: ModelRow, device: DeviceKind, check: string): void {
    const key = `| ${architecture} | ${model} | ${weights}`;
    const devices = this.#rows.get(key) ?? new Map<DeviceKind, Set<string>>();
    this.#rows.set(key, devices);
    const seen = devices.get(device) ?? new Set();
    devices.set(device, seen.add(check));
  }

  /**
   * Holds the section against what was seen; to be called when all models have run. Where a device is not there, or a short
   * run leaves checks out, the page may say more.
   */
  check(): void {
    const page = existsSync(PAGE) ? readFileSync(PAGE, 'utf8') : '';
    const full = process.env.QUERN_TEST_FULL === '1';
    const ran = new Set([...this.#rows.values()].flatMap((devices) => [...devices.keys()]));
    if (process.env.QUERN_UPDATE_DOCS === '1') {
      assert.ok(full && ran.size === DEVICES.length, 'the page is written by test:full with all devices');
      writeFileSync(PAGE, replaceSection(page, this.#section, this.#lines()));
      return;
    }
    const written = sectionOf(page, this.#section);
    const saidOf = new Map(written.map((line) => [line.split(' |').slice(0, 3).join(' |'), line]));
    for (const [key, devices] of this.#rows) {
      const line = saidOf.get(key);
      assert.ok(line, `docs/models.md has no line "${key} |": write it anew`);
      for (const [device, seen] of devices) {
        const cell = cellOf(line as string, device);
        const known = cell === 'all' ? this.#checks : cell.split(', ');
        for (const check of seen)
          assert.ok(known.includes(check), `docs/models.md says "${cell}" of ${key} on ${device}`);
        if (full) assert.is(cell, this.#cell(seen), `${key} on ${device}`);
      }
    }
    for (const key of saidOf.keys()) assert.ok(this.#rows.has(key), `docs/models.md has "${key} |", which did not run`);
  }

  #lines(): string[] {
    const lines = [...this.#rows].map(([key, devices]) => {
      const cells = DEVICES.map((device) => this.#cell(devices.get(device) ?? new Set()));
      return `${key} | ${cells.join(' | ')} |`;
    });
    return [
      `Checks: ${this.#checks.join(', ')}.`,
      '',
      `| architecture | model | weights | ${DEVICES.join(' | ')} |`,
      '| --- | --- | --- | --- | --- | --- |',
      ...lines.sort(),
    ];
  }

  #cell(seen: ReadonlySet<string>): string {
    if (seen.size === 0) return '–';
    return this.#checks.every((check) => seen.has(check))
      ? 'all'
      : this.#checks.filter((check) => seen.has(check)).join(', ');
  }
}

function cellOf(line: string, device: DeviceKind): string {
  return line.split('|')[4 + DEVICES.indexOf(device)].trim();
}

/** The rows of a section's table. */
function sectionOf(page: string, section: string): string[] {
  const [, rest = ''] = page.split(`\n## ${section}\n`);
  return rest
    .split('\n## ')[0]
    .split('\n')
    .filter((line) => line.startsWith('| '))
    .slice(2);
}

function replaceSection(page: string, section: string, lines: readonly string[]): string {
  const head =
    '# Models\n\nWhich architectures, files and devices the tests ran against numbers of another runtime (`test/oracle`).\n' +
    'Made by the tests themselves: `QUERN_UPDATE_DOCS=1 npm run test:full`.\n';
  const body = `\n## ${section}\n\n${lines.join('\n')}\n`;
  const start = page.indexOf(`\n## ${section}\n`);
  if (start < 0) return (page || head) + body;
  const end = page.indexOf('\n## ', start + 1);
  return page.slice(0, start) + body + (end < 0 ? '' : page.slice(end));
}
