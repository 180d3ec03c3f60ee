/** The Responses API without the wire. */

export { type ResponseCreateParams, type ResponseInputItem, responseRequestSchema } from './request.ts';
export { createResponses, type ResponseCallOptions, type Responses } from './responses.ts';
export type * from './types.ts';
