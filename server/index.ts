/** The OpenAI chat API over HTTP. */

export type { HandlerOptions, RequestLogEntry, ServerEngine } from './api.ts';
export { createHandler, type RunningServer, type ServeOptions, serve } from './serve.ts';
