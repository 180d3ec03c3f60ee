/** What a client is told when something goes wrong: a status and the API's error envelope. */

import { RequestError } from '../engine/errors.ts';

export interface HttpErrorOptions {
  readonly type?: string;
  /** The parameter at fault, in the API's spelling. */
  readonly param?: string | null;
  /** Default: the status. */
  readonly code?: string | number;
  readonly headers?: Readonly<Record<string, string>>;
  /** For the log; never told to the client. */
  readonly cause?: unknown;
}

const TYPES: Readonly<Record<number, string>> = {
  400: 'BadRequestError',
  403: 'Forbidden',
  404: 'NotFoundError',
  405: 'Method Not Allowed',
  408: 'Request Timeout',
  413: 'Request Entity Too Large',
  415: 'Unsupported Media Type',
  417: 'Expectation Failed',
  429: 'Too Many Requests',
  431: 'Request Header Fields Too Large',
  500: 'InternalServerError',
  503: 'Service Unavailable',
};

/** An answer with an error status. The message is for the client. */
export class HttpError extends Error {
  override readonly name = 'HttpError';
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly #options: HttpErrorOptions;

  constructor(status: number, message: string, options: HttpErrorOptions = {}) {
    super(message, { cause: options.cause });
    this.status = status;
    this.headers = options.headers ?? {};
    this.#options = options;
  }

  /** The error envelope. */
  get body(): { error: { message: string; type: string; param: string | null; code: string | number } } {
    const { type = TYPES[this.status] ?? 'Error', param = null, code = this.status } = this.#options;
    return { error: { message: this.message, type, param, code } };
  }
}

/** Puts any error in the form that a client may see; `requestId` lets it be found in the log. */
export function toHttpError(error: unknown, requestId: string): HttpError {
  if (error instanceof HttpError) return error;
  if (error instanceof RequestError && error.code === 'queue_full') {
    return new HttpError(429, error.message, { headers: { 'retry-after': '1' } });
  }
  if (error instanceof RequestError) {
    return new HttpError(error.code?.endsWith('_not_found') ? 404 : 400, error.message, { param: error.param });
  }
  return new HttpError(500, `The engine failed on request ${requestId}.`, { cause: error });
}
