/** The log: one JSON object a line on stderr. */

import type { RequestLogEntry } from './api.ts';

export const LOG_LEVELS = ['error', 'warning', 'info'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export class Log {
  readonly #level: LogLevel;
  readonly #write: (line: string) => void;

  constructor(level: LogLevel, write: (line: string) => void = (line) => void process.stderr.write(line)) {
    this.#level = level;
    this.#write = write;
  }

  info(message: string, fields: object = {}): void {
    this.#line('info', message, fields);
  }

  warning(message: string, fields: object = {}): void {
    this.#line('warning', message, fields);
  }

  error(message: string, error: unknown, fields: object = {}): void {
    const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
    this.#line('error', message, { ...fields, error: stack });
  }

  request({ error, ...entry }: RequestLogEntry): void {
    if (error === undefined) this.info('request', entry);
    else this.error('request', error, entry);
  }

  #line(level: LogLevel, message: string, fields: object): void {
    if (LOG_LEVELS.indexOf(level) > LOG_LEVELS.indexOf(this.#level)) return;
    this.#write(`${JSON.stringify({ time: new Date().toISOString(), level, message, ...fields })}\n`);
  }
}
