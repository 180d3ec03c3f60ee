/**
 * Rounds and interleaves rows on threads of their own while a model loads, so that reading goes on meanwhile and the main
 * thread only copies. The threads start with the first large write and end with {@link PackPool.close}.
 *
 * Unlike the kernels' workers they run TypeScript of this folder, so they need its files: a bundle does not have them, nor
 * do browsers get module workers from a library without help of the bundler. There, as for small writes and memory that
 * is not shared, rows are packed on the calling thread.
 */

import { DeviceError } from '../errors.ts';
import type { FileFormat, WeightFormat } from '../formats.ts';
import { packRows } from './layout.ts';
import { nodeBuiltin } from './spawn.ts';

/** Fewer bytes are packed in less time than a message takes. */
const MIN_BYTES = 256 * 1024;

/** This file's neighbour, beside the sources as in the built package; undefined in a bundle. */
const WORKER_URL = /pack-pool\.[jt]s$/.test(import.meta.url)
  ? new URL(import.meta.url.replace(/pack-pool(\.[jt]s)$/, 'pack-worker$1'))
  : undefined;

type NodeWorker = InstanceType<typeof import('node:worker_threads').Worker>;

interface Packer {
  readonly worker: NodeWorker;
  /** Shared memory that the rows are copied to. */
  staging: Uint8Array;
}

/** Rows to be interleaved into the panels of a weight, as {@link packRows} takes them. */
export interface PackTask {
  readonly target: Uint8Array;
  readonly format: WeightFormat;
  readonly cols: number;
  readonly firstRow: number;
  readonly data: Uint8Array;
  readonly sourceFormat: FileFormat;
}

export class PackPool {
  readonly #threads: number;
  readonly #all: Packer[] = [];
  readonly #idle: Packer[] = [];
  readonly #waiting: ((packer: Packer | undefined) => void)[] = [];
  /** Threads cannot run here. */
  #broken = WORKER_URL === undefined;

  constructor(threads: number) {
    this.#threads = threads;
  }

  /**
   * Packs rows into a weight; settles when they are there.
   * @throws DeviceError for data that is not whole blocks
   */
  async pack(task: PackTask): Promise<void> {
    const isShared = typeof SharedArrayBuffer !== 'undefined' && task.target.buffer instanceof SharedArrayBuffer;
    if (isShared && task.data.length >= MIN_BYTES) {
      const packer = await this.#take();
      if (packer !== undefined && (await this.#packOn(packer, task))) return;
    }
    packRows(task.target, task.format, task.cols, task.firstRow, task.data, task.sourceFormat);
  }

  /** Ends the threads. A later write starts them again. */
  close(): void {
    for (const { worker } of this.#all.splice(0)) void worker.terminate();
    this.#idle.length = 0;
    for (const wake of this.#waiting.splice(0)) wake(undefined);
  }

  /** A thread that has nothing to do, as soon as there is one; undefined where there are none. */
  async #take(): Promise<Packer | undefined> {
    if (this.#broken) return undefined;
    const idle = this.#idle.pop();
    if (idle !== undefined) return idle;
    if (this.#all.length < this.#threads) return this.#start();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #start(): Packer | undefined {
    const node = nodeBuiltin<typeof import('node:worker_threads')>('node:worker_threads');
    if (node === undefined || WORKER_URL === undefined) return undefined;
    const packer = { worker: new node.Worker(WORKER_URL, { stdin: false }), staging: new Uint8Array(0) };
    this.#all.push(packer);
    return packer;
  }

  /** False when the thread could not do it: it did not start, or was ended. */
  async #packOn(packer: Packer, task: PackTask): Promise<boolean> {
    const { worker } = packer;
    if (packer.staging.length < task.data.length) {
      packer.staging = new Uint8Array(new SharedArrayBuffer(task.data.length));
    }
    const data = packer.staging.subarray(0, task.data.length);
    data.set(task.data);
    worker.ref();
    const answer = await new Promise<{ fault: string | null } | undefined>((resolve) => {
      // Node's own listeners must stay, or a second answer never comes: only these are taken away.
      const listeners = {
        message: (fault: string | null) => end({ fault }),
        error: () => end(undefined),
        exit: () => end(undefined),
      };
      const end = (result: { fault: string | null } | undefined) => {
        for (const [event, listener] of Object.entries(listeners)) worker.off(event, listener);
        resolve(result);
      };
      for (const [event, listener] of Object.entries(listeners)) worker.on(event, listener);
      worker.postMessage({ ...task, data });
    });
    if (answer === undefined) {
      this.#broken = true;
      this.close();
      return false;
    }
    worker.unref();
    const next = this.#waiting.shift();
    if (next) next(packer);
    else this.#idle.push(packer);
    if (answer.fault !== null) throw new DeviceError(answer.fault);
    return true;
  }
}
