/** Outputs of one choice put together to one. */

import type { TokenLogprobs } from '../sampling/index.ts';
import type { GenerateOutput } from './types.ts';

/** A {@link GenerateOutput} that still grows. */
export interface GrowingOutput extends GenerateOutput {
  text: string;
  readonly tokenIds: number[];
  readonly logprobs?: TokenLogprobs[];
  finishReason: GenerateOutput['finishReason'];
  stopReason: GenerateOutput['stopReason'];
}

/** A copy that may grow. */
export function growing({ logprobs, ...output }: GenerateOutput): GrowingOutput {
  return { ...output, tokenIds: [...output.tokenIds], ...(logprobs && { logprobs: [...logprobs] }) };
}

/** Adds the next output of the same choice. */
export function grow(merged: GrowingOutput, next: GenerateOutput): void {
  merged.text += next.text;
  merged.tokenIds.push(...next.tokenIds);
  merged.logprobs?.push(...(next.logprobs ?? []));
  merged.finishReason = next.finishReason;
  merged.stopReason = next.stopReason;
}
