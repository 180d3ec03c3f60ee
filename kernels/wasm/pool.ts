/**
 * The worker threads of the WASM device, and how the main thread starts a run and awaits its end.
 *
 * A worker instantiates the shared module once and then stays inside it: it sleeps until the run epoch changes, walks
 * the op table with the others, and goes back to sleep. The main thread never waits on memory: worker 0 posts a message
 * when a run is over. Without shared memory ({@link startInline}) the calling thread is the only one.
 */

import { DeviceError } from '../errors.ts';
import type { Heap } from './heap.ts';
import { RUN_EPOCH, RUN_SLEEPERS, RUN_TABLE, TASK_COUNTER, THREADS } from './memory-map.ts';
import type { KernelExports } from './module.ts';
import { memoryImport } from './module-bytes.ts';
import { type SpawnedWorker, spawnWorker } from './spawn.ts';

export interface Pool {
  readonly threads: number;
  /** Runs the op table at `table`; settles when all threads are through. */
  run(table: number): Promise<void>;
  close(): Promise<void>;
}

/** A pool of `threads` workers over shared memory. */
export async function startPool(module: WebAssembly.Module, heap: Heap, threads: number): Promise<Pool> {
  const words = heap.words(0, 256);
  words[THREADS / 4] = threads;
  let failure: DeviceError | null = null;
  let pending: { resolve: () => void; reject: (error: Error) => void } | null = null;
  const workers: SpawnedWorker[] = [];

  const fail = (cause: string) => {
    failure ??= new DeviceError(`wasm worker ended: ${cause}`);
    pending?.reject(failure);
    pending = null;
    for (const worker of workers) void worker.terminate();
  };
  const ready = Array.from({ length: threads }, (_, thread) => {
    return new Promise<void>((resolve, reject) => {
      const worker = spawnWorker(WORKER_SOURCE, {
        message(text) {
          if (text === 'ready') {
            worker.unref();
            resolve();
          } else {
            workers[0].unref();
            pending?.resolve();
            pending = null;
          }
        },
        error(cause) {
          fail(cause);
          reject(failure);
        },
      });
      workers.push(worker);
      worker.post({ module, memory: heap.memory, thread });
    });
  });
  await Promise.all(ready);

  return {
    threads,
    run(table) {
      if (failure) return Promise.reject(failure);
      return new Promise((resolve, reject) => {
        pending = { resolve, reject };
        // Keeps the process alive while a step is under way, and only then.
        workers[0].ref();
        words[RUN_TABLE / 4] = table;
        Atomics.add(words, RUN_EPOCH / 4, 1);
        if (Atomics.load(words, RUN_SLEEPERS / 4) > 0) Atomics.notify(words, RUN_EPOCH / 4);
      });
    },
    async close() {
      failure ??= new DeviceError('wasm device is closed');
      pending?.reject(failure);
      pending = null;
      await Promise.all(workers.map((worker) => worker.terminate()));
    },
  };
}

/** A pool of no workers: runs on the calling thread, which is blocked meanwhile. */
export function startInline(module: WebAssembly.Module, heap: Heap): Pool {
  const { run } = new WebAssembly.Instance(module, memoryImport(heap.memory)).exports as unknown as KernelExports;
  heap.words(THREADS, 1)[0] = 1;
  return {
    threads: 1,
    async run(table) {
      heap.words(RUN_TABLE, 1)[0] = table;
      heap.words(TASK_COUNTER, 1)[0] = 0;
      run(0);
    },
    async close() {},
  };
}

/**
 * The whole program of a worker. As text it needs no loader, no bundler and no file of its own. `receive` and `send`
 * come from {@link spawnWorker}.
 */
const WORKER_SOURCE = `
receive(({ module, memory, thread }) => {
  const { run, awaitRun } = new WebAssembly.Instance(module, { '': { m0: memory } }).exports;
  const words = new Int32Array(memory.buffer, 0, 256);
  let epoch = Atomics.load(words, ${RUN_EPOCH / 4});
  send('ready');
  for (;;) {
    awaitRun(epoch);
    epoch = Atomics.load(words, ${RUN_EPOCH / 4});
    run(thread);
    if (thread === 0) send('done');
  }
});
`;
