/** `quern serve`: from flags to a running server, and to a clean end of it. */

import { Engine } from '../engine/index.ts';
import { parseServe, type ServeCommand, UsageError } from './cli-options.ts';
import { Log } from './log.ts';
import { isLoopback } from './loopback.ts';
import { progressBar } from './progress-bar.ts';
import { type RunningServer, serve } from './serve.ts';

/** Exit status of a process that cannot vouch for itself any more. */
const BROKEN = 70;
const BROKEN_DRAIN_MS = 3000;

/** Serves until a signal comes. @throws UsageError, and what `Engine.load` throws */
export async function serveCommand(args: readonly string[]): Promise<void> {
  const command = parseServe(args);
  const log = new Log(command.logLevel);
  const stop = new AbortController();
  onSignals(stop);

  const onDeviceLost = ({ message }: Error) => log.warning('loading the model again', { reason: message });
  const onWarning = (message: string) => log.warning(message);
  const load = { ...command.load, onDeviceLost, onWarning };
  const engine = await loadUntil(stop.signal, { ...command, load });
  if (!engine) return;
  try {
    const server = await listen(engine, command, log);
    onUnexpected(server, log);
    log.info('ready', { model: engine.modelName, device: engine.device, maxModelLen: engine.maxModelLen });
    process.stdout.write(`quern listening on ${server.url}\n`);
    await aborted(stop.signal);
    log.info('shutting down');
    await server.close();
  } finally {
    await engine.close();
  }
}

/** Gives null when the signal came first. */
async function loadUntil(signal: AbortSignal, { model, load }: ServeCommand): Promise<Engine | null> {
  try {
    return await Engine.load(model, { ...load, signal, onProgress: progressBar() });
  } catch (error) {
    if (signal.aborted) return null;
    throw error;
  }
}

async function listen(engine: Engine, command: ServeCommand, log: Log): Promise<RunningServer> {
  const { model, load, logLevel, ...options } = command;
  const { host, port, apiKeys } = options;
  if (apiKeys.length === 0 && !isLoopback(host.includes(':') ? `[${host}]` : host)) {
    log.warning('listening to other machines without an API key', { host });
  }
  try {
    return await serve(engine, {
      ...options,
      onRequest: (entry) => log.request(entry),
      onUnknownField: (field, path) => log.info('a field of a request is ignored', { field, path }),
    });
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'EADDRINUSE') throw new UsageError(`--port ${port}: the port is in use already on ${host}`);
    if (code) throw new UsageError(`--host ${host} --port ${port}: cannot listen there (${code})`);
    throw error;
  }
}

/** The first signal asks for a clean end, the second ends the process at once. */
function onSignals(stop: AbortController): void {
  for (const name of ['SIGINT', 'SIGTERM'] as const) {
    process.on(name, () => {
      if (stop.signal.aborted) process.exit(1);
      stop.abort();
    });
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve());
  });
}

/** After an error that nobody caught the state is unknown: the requests under way get an error, and the process ends. */
function onUnexpected(server: RunningServer, log: Log): void {
  let isEnding = false;
  const end = (error: unknown): void => {
    if (isEnding) return;
    isEnding = true;
    log.error('unexpected error', error);
    const exit = (): never => process.exit(BROKEN);
    setTimeout(exit, BROKEN_DRAIN_MS);
    server.close(0).then(exit, exit);
  };
  process.on('uncaughtException', end);
  process.on('unhandledRejection', end);
}
