/** A checkpoint that cannot be read or is not supported: names the file, what was found and what was expected. */
export class CheckpointError extends Error {
  override readonly name = 'CheckpointError';
}

/**
 * A request that cannot be served as it is. `param` is the name of the parameter in the API's spelling
 * (`max_tokens`), or null when the fault is not in one parameter.
 */
export class RequestError extends Error {
  override readonly name = 'RequestError';
  readonly param: string | null;
  readonly code: string | null;

  constructor(message: string, param: string | null = null, code: string | null = null) {
    super(message);
    this.param = param;
    this.code = code;
  }
}
