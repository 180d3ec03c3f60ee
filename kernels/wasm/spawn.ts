/** Starting a worker from program text, alike in Node (`worker_threads`) and in browsers (`Worker`). */

export interface SpawnedWorker {
  post(message: unknown): void;
  terminate(): Promise<unknown>;
  /** Lets the process end although the worker lives; nothing in browsers. */
  unref(): void;
  ref(): void;
}

export interface WorkerEvents {
  message(data: unknown): void;
  /** The worker threw or ended; it will not answer again. */
  error(cause: string): void;
}

/** Runs `source`, in which `receive(handler)` takes the first message and `send(data)` answers. */
export function spawnWorker(source: string, events: WorkerEvents): SpawnedWorker {
  const node = nodeBuiltin<typeof import('node:worker_threads')>('node:worker_threads');
  return node ? spawnInNode(node.Worker, source, events) : spawnInBrowser(source, events);
}

/** Logical processors; an upper bound for the number of useful threads. */
export function logicalProcessors(): number {
  const os = nodeBuiltin<typeof import('node:os')>('node:os');
  return os?.availableParallelism() ?? globalThis.navigator?.hardwareConcurrency ?? 1;
}

/** Bytes of memory of the machine, or of the container that this runs in; browsers tell a power of two, or nothing. */
export function machineMemory(): number | undefined {
  const os = nodeBuiltin<typeof import('node:os')>('node:os');
  if (!os) {
    const { deviceMemory } = (globalThis.navigator ?? {}) as { deviceMemory?: number };
    return deviceMemory && deviceMemory * 2 ** 30;
  }
  // 0, or more than there is, where nothing is constrained.
  const constrained = globalThis.process.constrainedMemory?.() || Number.POSITIVE_INFINITY;
  return Math.min(os.totalmem(), constrained);
}

/** A module of Node without an import, which bundlers for the browser would trip over; undefined elsewhere. */
export function nodeBuiltin<T>(name: string): T | undefined {
  return globalThis.process?.getBuiltinModule?.(name) as T | undefined;
}

type NodeWorker = typeof import('node:worker_threads').Worker;

function spawnInNode(Worker: NodeWorker, source: string, events: WorkerEvents): SpawnedWorker {
  const prelude = `const { parentPort } = require('node:worker_threads');
    const receive = (handler) => parentPort.once('message', handler);
    const send = (data) => parentPort.postMessage(data);`;
  // No execArgv: loaders of the main thread are no use to a worker that imports nothing.
  const worker = new Worker(prelude + source, { eval: true, execArgv: [], stdin: false });
  worker.on('message', events.message);
  worker.on('error', (error) => events.error(error instanceof Error ? error.message : String(error)));
  worker.on('exit', (code) => {
    if (code !== 1) events.error(`exit code ${code}`);
  });
  return {
    post: (message) => worker.postMessage(message),
    terminate: () => worker.terminate(),
    unref: () => worker.unref(),
    ref: () => worker.ref(),
  };
}

function spawnInBrowser(source: string, events: WorkerEvents): SpawnedWorker {
  const prelude = `const receive = (handler) => addEventListener('message', (event) => handler(event.data), { once: true });
    const send = (data) => postMessage(data);`;
  const url = URL.createObjectURL(new Blob([prelude, source], { type: 'text/javascript' }));
  const worker = new Worker(url);
  worker.onmessage = (event) => events.message(event.data);
  worker.onerror = (event) => events.error(event.message);
  return {
    post: (message) => worker.postMessage(message),
    terminate: async () => {
      worker.terminate();
      URL.revokeObjectURL(url);
    },
    unref() {},
    ref() {},
  };
}
