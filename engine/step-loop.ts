/**
 * The loop that drives the model: plan a step, run it, hand each sequence its logits, again; only while there is work.
 *
 * It gives every fault to those whom it concerns. What a consumer throws ends its own sequence; a failed forward pass
 * ends the sequences of that step; when the device is gone, or the scheduler is found broken, everything ends and nothing
 * new is taken.
 */

import { DeviceError } from '../kernels/index.ts';
import { RequestError } from './errors.ts';
import type { Model } from './model.ts';
import { Scheduler, type SchedulerStats } from './scheduler.ts';
import type { Sequence } from './sequence.ts';
import type { Step } from './step-builder.ts';

/** What becomes of a sequence's logits. */
export interface SequenceConsumer {
  /**
   * Takes the logits `[rows, vocabSize]` of the last `rows` computed positions, which it may overwrite, those of drafted
   * tokens included. When no token of the sequence is left to compute, the sequence idles until this consumer or another
   * one, when it gets logits, appends one or settles it.
   */
  onLogits(logits: Float32Array, rows: number): void;
  /** Takes the hidden states `[rows, hiddenSize]` of the same positions, before their logits. */
  onHiddenStates?(hiddenStates: Float32Array, rows: number): void;
  /** The sequence has ended for a reason that is not the consumer's own. */
  onError(error: unknown): void;
}

const DEFAULT_MAX_QUEUED = 512;

export class StepLoop {
  readonly #model: Model;
  readonly #maxQueued: number;
  readonly #scheduler: Scheduler;
  readonly #consumers = new Map<Sequence, SequenceConsumer>();
  #looping = false;
  #loop: Promise<void> = Promise.resolve();
  /** Why nothing new is taken; undefined while all is well. */
  #refusal: Error | undefined;

  /** @param maxQueued  sequences that may wait beside those that run */
  constructor(model: Model, maxQueued = DEFAULT_MAX_QUEUED) {
    this.#model = model;
    this.#maxQueued = maxQueued;
    this.#scheduler = new Scheduler(model);
  }

  /** Longest sequence that the K/V blocks can hold, in tokens. */
  get capacity(): number {
    return this.#scheduler.capacity;
  }

  get stats(): SchedulerStats {
    return this.#scheduler.stats;
  }

  /**
   * @throws DeviceError when the engine is closed or its device is lost
   * @throws RequestError `queue_full` when too many requests wait already
   */
  checkOpen(): void {
    if (this.#refusal) throw this.#refusal;
    const { running, waiting } = this.#scheduler.stats;
    if (running + waiting < this.#scheduler.maxRunning + this.#maxQueued) return;
    throw new RequestError('too many requests are waiting; expected fewer at a time', null, 'queue_full');
  }

  /** Lets a sequence join at the next step. @throws as {@link StepLoop.checkOpen} */
  submit(sequence: Sequence, consumer: SequenceConsumer): void {
    this.checkOpen();
    this.#scheduler.submit(sequence);
    this.#consumers.set(sequence, consumer);
    if (this.#looping) return;
    this.#looping = true;
    this.#loop = this.#run();
  }

  /** A second sequence with the tokens, and the blocks, of one that idles. */
  fork(parent: Sequence, consumer: SequenceConsumer): Sequence {
    const child = this.#scheduler.fork(parent);
    this.#consumers.set(child, consumer);
    return child;
  }

  /** Ends a sequence at once, in whatever state it is; its consumer hears nothing more. False when it had ended before. */
  settle(sequence: Sequence): boolean {
    this.#consumers.delete(sequence);
    return this.#scheduler.settle(sequence);
  }

  /** Ends every sequence, waits for the step in flight, and refuses whatever comes later. */
  async close(): Promise<void> {
    this.#refuse(new DeviceError('the engine is closed'));
    await this.#loop;
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    try {
      for (;;) {
        // Requests of the same turn of the event loop share the first step, and none of them keeps others from theirs.
        await nextTurn();
        const step = this.#scheduler.plan();
        if (!step) return;
        await this.#runStep(step);
      }
    } catch (error) {
      this.#refuse(new DeviceError(`the engine has stopped: ${messageOf(error)}`, { cause: error }));
    } finally {
      this.#looping = false;
    }
  }

  async #runStep(step: Step): Promise<void> {
    let logits: Float32Array;
    let hiddenStates: Float32Array | undefined;
    try {
      logits = await this.#model.forward(step.input);
      if (step.parts.some(({ sequence }) => this.#consumers.get(sequence)?.onHiddenStates)) {
        hiddenStates = await this.#model.hiddenStates(step.input.logitRows.length);
      }
    } catch (error) {
      this.#scheduler.abandon(step);
      const failure = new DeviceError(`the forward pass failed: ${messageOf(error)}`, { cause: error });
      // The plan is always within the device's limits, so a DeviceError says that the device itself is no longer usable.
      if (error instanceof DeviceError) this.#refuse(failure);
      else for (const { sequence } of step.parts) this.#fail(sequence, failure);
      return;
    }
    this.#scheduler.commit(step);

    const { vocabSize, hiddenSize } = this.#model;
    for (const { sequence, firstLogitRow, logitRows } of step.parts) {
      const consumer = this.#consumers.get(sequence);
      if (!consumer || logitRows === 0) continue;
      const rows = logits.subarray(firstLogitRow * vocabSize, (firstLogitRow + logitRows) * vocabSize);
      try {
        const states = hiddenStates?.subarray(firstLogitRow * hiddenSize, (firstLogitRow + logitRows) * hiddenSize);
        if (states) consumer.onHiddenStates?.(states, logitRows);
        consumer.onLogits(rows, logitRows);
      } catch (error) {
        this.settle(sequence);
        consumer.onError(error);
      }
    }
  }

  #fail(sequence: Sequence, error: unknown): void {
    const consumer = this.#consumers.get(sequence);
    if (this.settle(sequence)) consumer?.onError(error);
  }

  #refuse(refusal: Error): void {
    this.#refusal ??= refusal;
    for (const sequence of [...this.#consumers.keys()]) this.#fail(sequence, refusal);
  }
}

/** Settles after the event loop had a turn for other events. */
function nextTurn(): Promise<void> {
  return new Promise((resolve) => {
    if (typeof setImmediate === 'function') {
      setImmediate(resolve);
      return;
    }
    // A message is delivered without the delay that browsers put on nested timers.
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(null);
  });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
