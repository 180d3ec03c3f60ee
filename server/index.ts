/** The OpenAI chat API over HTTP. */

export type { HandlerOptions, RequestLogEntry } from './api.ts';
export type { ApiKey, Authenticate, User } from './auth.ts';
export type { ServerEngine } from './routes.ts';
export { createHandler, type RunningServer, type ServeOptions, serve } from './serve.ts';
