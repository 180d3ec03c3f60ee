/** Running a server for the length of a test. */

import { type RunningServer, type ServeOptions, type ServerEngine, serve } from '../../server/index.ts';

export async function withServer(
  engine: ServerEngine,
  options: ServeOptions,
  use: (url: string, server: RunningServer) => Promise<void>,
): Promise<void> {
  const server = await serve(engine, { port: 0, ...options });
  try {
    await use(server.url, server);
  } finally {
    await server.close(0);
  }
}

/** Waits until something holds; the test fails by the error if it never does. */
export async function until(holds: () => boolean, what: string): Promise<void> {
  for (let i = 0; i < 4000; i++) {
    if (holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  throw new Error(`waited in vain: ${what}`);
}
