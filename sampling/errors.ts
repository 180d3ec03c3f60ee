/**
 * A sampling parameter out of its range, or logits that cannot be sampled from. `param` is the parameter's name in the
 * API's spelling (`top_p`), or null when the fault is in the logits.
 */
export class SamplingError extends Error {
  override readonly name = 'SamplingError';
  readonly param: string | null;

  constructor(message: string, param: string | null = null) {
    super(message);
    this.param = param;
  }
}
