/** What uvu lacks: assertions about errors, with the kind and the words of the message. */

import * as assert from 'uvu/assert';
import { CheckpointError } from '../../engine/errors.ts';

type ErrorClass = new (...args: never[]) => Error;

/** `run` must reject with an error of that class, of one line that matches. */
export async function rejects(run: () => unknown, message: RegExp, kind: ErrorClass = CheckpointError): Promise<void> {
  let error: unknown;
  try {
    await run();
  } catch (thrown) {
    error = thrown;
  }
  assert.ok(error instanceof kind, `expected a ${kind.name} matching ${message}, got ${error}`);
  assert.match((error as Error).message, message);
  assert.not.match((error as Error).message, /[\r\n]/);
}
