/** The OpenAI API for plain completions without the wire. */

export { type Completions, createCompletions } from './completions.ts';
export { type CompletionCreateParams, completionRequestSchema } from './request.ts';
export type * from './types.ts';
