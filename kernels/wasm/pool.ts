/**
 * The worker threads of the WASM device, and how the main thread starts a run and awaits its end.
 *
 * A worker takes up its work with the first run, when all memories are known: it instantiates the shared module once for
 * each of them and then stays inside: it sleeps until the run epoch changes, walks the op table with the others, and goes
 * back to sleep. The main thread never waits on memory: worker 0 posts a message when a run is over. Without shared
 * memory ({@link startInline}) the calling thread is the only one.
 */

import { DeviceError } from '../errors.ts';
import type { Heap } from './heap.ts';
import type { Memories } from './memories.ts';
import { RUN_EPOCH, RUN_MEMORY, RUN_SLEEPERS, RUN_TABLE, TASK_COUNTER, THREADS } from './memory-map.ts';
import type { KernelExports } from './module.ts';
import { memoryImport } from './module-bytes.ts';
import { type SpawnedWorker, spawnWorker } from './spawn.ts';

export interface Pool {
  readonly threads: number;
  /** True when a worker has ended before its time. */
  readonly isBroken: boolean;
  /** Runs the op table at `table` of one of the memories; settles when all threads are through. */
  run(table: number, heap: Heap): Promise<void>;
  close(): Promise<void>;
}

/** A pool of `threads` workers over shared memories. */
export async function startPool(module: WebAssembly.Module, memories: Memories, threads: number): Promise<Pool> {
  const words = memories.first.words(0, 256);
  let failure: DeviceError | null = null;
  let pending: { resolve: () => void; reject: (error: Error) => void } | null = null;
  /** The memories that the workers know; empty until the first run. */
  let known: readonly Heap[] = [];
  const workers: SpawnedWorker[] = [];

  const fail = (cause: string) => {
    failure ??= new DeviceError(`wasm worker ended: ${cause}`);
    pending?.reject(failure);
    pending = null;
    for (const worker of workers) void worker.terminate();
  };
  const ready = Array.from({ length: threads }, () => {
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
    });
  });
  await Promise.all(ready);

  const begin = () => {
    known = [...memories.all];
    for (const heap of known) heap.words(THREADS, 1)[0] = threads;
    const shared = known.map(({ memory }) => memory);
    for (const [thread, worker] of workers.entries()) worker.post({ module, memories: shared, thread });
  };

  return {
    threads,
    get isBroken() {
      return failure !== null;
    },
    run(table, heap) {
      if (failure) return Promise.reject(failure);
      if (known.length === 0) begin();
      const index = known.indexOf(heap);
      if (index < 0) return Promise.reject(new DeviceError('a WASM memory was added after the first run'));
      return new Promise((resolve, reject) => {
        pending = { resolve, reject };
        // Keeps the process alive while a step is under way, and only then.
        workers[0].ref();
        heap.words(RUN_TABLE, 1)[0] = table;
        words[RUN_MEMORY / 4] = index;
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
export function startInline(module: WebAssembly.Module): Pool {
  const instances = new Map<Heap, KernelExports>();
  const instanceOn = (heap: Heap) => {
    let instance = instances.get(heap);
    if (instance === undefined) {
      instance = new WebAssembly.Instance(module, memoryImport(heap.memory)).exports as unknown as KernelExports;
      instances.set(heap, instance);
      heap.words(THREADS, 1)[0] = 1;
    }
    return instance;
  };
  return {
    threads: 1,
    isBroken: false,
    async run(table, heap) {
      const { run } = instanceOn(heap);
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
receive(({ module, memories, thread }) => {
  const instances = memories.map((m0) => new WebAssembly.Instance(module, { '': { m0 } }).exports);
  const words = new Int32Array(memories[0].buffer, 0, 256);
  let epoch = 0;
  for (;;) {
    instances[0].awaitRun(epoch);
    epoch = Atomics.load(words, ${RUN_EPOCH / 4});
    instances[words[${RUN_MEMORY / 4}]].run(thread);
    if (thread === 0) send('done');
  }
});
send('ready');
`;
