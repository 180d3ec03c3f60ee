/**
 * The loop that drives the model: plan a step, run it, hand each sequence its logits, again; only while there is work.
 *
 * It gives every fault to those whom it concerns. What a consumer throws ends its own sequence; a failed forward pass
 * ends the sequences of that step. When the device is lost, every sequence ends, the model is loaded again, and the loop
 * goes on with those that come later; when that is not possible, or the scheduler is found broken, nothing new is taken.
 */

import { DeviceError, type LogitReduction, type ReducedLogits } from '../kernels/index.ts';
import { RequestError } from './errors.ts';
import type { Model } from './model.ts';
import { Scheduler, type SchedulerStats } from './scheduler.ts';
import type { Sequence } from './sequence.ts';
import type { Step, StepPart } from './step-builder.ts';

/** What becomes of a sequence's logits. */
export interface SequenceConsumer {
  /**
   * Takes the logits `[rows, vocabSize]` of the last `rows` computed positions, which it may overwrite, those of drafted
   * tokens included. When no token of the sequence is left to compute, the sequence idles until this consumer or another
   * one, when it gets logits, appends one or settles it. Without this member the logits are not even read.
   */
  onLogits?(logits: Float32Array, rows: number): void;
  /** Takes the hidden states `[rows, hiddenSize]` of the same positions, before their logits. */
  onHiddenStates?(hiddenStates: Float32Array, rows: number): void;
  /** Asked before a step that gives one row of logits: what it may be reduced to, or null for the row. */
  reduction?(): LogitReduction | null;
  /** Takes what the row was reduced to; false when the row is wanted after all. */
  onReduced?(reduced: ReducedLogits): boolean;
  /** The sequence has ended for a reason that is not the consumer's own. */
  onError(error: unknown): void;
}

export interface StepLoopOptions {
  /** Sequences that may wait beside those that run. Default 512. */
  readonly maxQueued?: number;
  /** Loads the model again, on a new device, with the same limits. */
  readonly reload?: (signal: AbortSignal) => Promise<Model>;
  /** Told when the device is lost and the model is about to be loaded again. */
  readonly onDeviceLost?: (error: Error) => void;
}

const DEFAULT_MAX_QUEUED = 512;

export class StepLoop {
  readonly #options: StepLoopOptions;
  readonly #consumers = new Map<Sequence, SequenceConsumer>();
  readonly #closing = new AbortController();
  readonly #scheduler: Scheduler;
  #model: Model;
  #looping = false;
  #isReloading = false;
  #loop: Promise<void> = Promise.resolve();
  /** Why nothing new is taken; undefined while all is well. */
  #refusal: Error | undefined;

  constructor(model: Model, options: StepLoopOptions = {}) {
    this.#model = model;
    this.#options = options;
    this.#scheduler = new Scheduler(model);
  }

  /** False while the model is loaded again, and when nothing new is taken. */
  get isReady(): boolean {
    return this.#refusal === undefined && !this.#isReloading;
  }

  /** Longest sequence that the K/V blocks can hold, in tokens. */
  get capacity(): number {
    return this.#scheduler.capacity;
  }

  get stats(): SchedulerStats {
    return this.#scheduler.stats;
  }

  /**
   * @throws DeviceError when the engine is closed or its device is lost for good
   * @throws RequestError `queue_full` when too many requests wait already
   */
  checkOpen(): void {
    if (this.#refusal) throw this.#refusal;
    const { running, waiting } = this.#scheduler.stats;
    const { maxQueued = DEFAULT_MAX_QUEUED } = this.#options;
    if (running + waiting < this.#scheduler.maxRunning + maxQueued) return;
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

  /** Ends every sequence, waits for the step in flight, refuses whatever comes later, and frees the model. */
  async close(): Promise<void> {
    this.#refuse(new DeviceError('the engine is closed'));
    this.#closing.abort();
    await this.#loop;
    await this.#model.close();
  }

  /** Never rejects. */
  async #run(): Promise<void> {
    try {
      for (;;) {
        // Requests of the same turn of the event loop share the first step, and none of them keeps others from theirs.
        await nextTurn();
        if (this.#model.isLost) await this.#recover();
        const step = this.#scheduler.plan();
        if (step) await this.#runStep(step);
        else if (!this.#model.isLost) return;
      }
    } catch (error) {
      this.#refuse(new DeviceError(`the engine has stopped: ${messageOf(error)}`, { cause: error }));
    } finally {
      this.#looping = false;
    }
  }

  async #runStep(step: Step): Promise<void> {
    const reductions = this.#reductionsOf(step);
    let reduced: readonly (ReducedLogits | null)[] = [];
    let hiddenStates: Float32Array | undefined;
    try {
      await this.#model.forward(reductions ? { ...step.input, reductions } : step.input);
      if (reductions) reduced = await this.#model.reducedLogits();
      if (step.parts.some(({ sequence }) => this.#consumers.get(sequence)?.onHiddenStates)) {
        hiddenStates = await this.#model.hiddenStates(step.input.logitRows.length);
      }
    } catch (error) {
      this.#scheduler.abandon(step);
      this.#failParts(step.parts, error);
      return;
    }
    this.#scheduler.commit(step);

    const { hiddenSize } = this.#model;
    const unread = step.parts.filter((part) => {
      const { firstLogitRow, logitRows } = part;
      if (logitRows === 0) return false;
      const answer = reduced[firstLogitRow];
      return this.#give(part, (consumer) => {
        const states = hiddenStates?.subarray(firstLogitRow * hiddenSize, (firstLogitRow + logitRows) * hiddenSize);
        if (states) consumer.onHiddenStates?.(states, logitRows);
        return consumer.onLogits !== undefined && !(answer && consumer.onReduced?.(answer));
      });
    });
    if (unread.length > 0) await this.#giveLogits(unread);
  }

  /** What each row of logits is to be reduced to; undefined when all rows are wanted as they are. */
  #reductionsOf({ input, parts }: Step): (LogitReduction | null)[] | undefined {
    const reductions: (LogitReduction | null)[] = new Array(input.logitRows.length).fill(null);
    for (const part of parts) {
      if (part.logitRows !== 1) continue;
      this.#give(part, (consumer) => {
        reductions[part.firstLogitRow] = consumer.reduction?.() ?? null;
        return true;
      });
    }
    return reductions.some((reduction) => reduction !== null) ? reductions : undefined;
  }

  /** Reads the rows of logits that are wanted as they are, all at once. */
  async #giveLogits(parts: readonly StepPart[]): Promise<void> {
    const first = parts[0].firstLogitRow;
    const last = parts[parts.length - 1];
    let logits: Float32Array;
    try {
      logits = await this.#model.logits(last.firstLogitRow + last.logitRows - first, first);
    } catch (error) {
      this.#failParts(parts, error);
      return;
    }
    const { vocabSize } = this.#model;
    for (const part of parts) {
      const from = part.firstLogitRow - first;
      this.#give(part, (consumer) => {
        consumer.onLogits?.(logits.subarray(from * vocabSize, (from + part.logitRows) * vocabSize), part.logitRows);
        return true;
      });
    }
  }

  /** Hands something to the consumer of a part; what it throws ends its sequence. False when there is none, or it threw. */
  #give({ sequence }: StepPart, hand: (consumer: SequenceConsumer) => boolean): boolean {
    const consumer = this.#consumers.get(sequence);
    if (!consumer) return false;
    try {
      return hand(consumer);
    } catch (error) {
      this.settle(sequence);
      consumer.onError(error);
      return false;
    }
  }

  /** Ends the sequences that have keys and values, and replaces the model. Those that wait go on waiting. */
  async #recover(): Promise<void> {
    const { reload, onDeviceLost } = this.#options;
    const lost = new DeviceError('the device was lost, and with it what it had computed of this request');
    for (const sequence of [...this.#consumers.keys()]) if (sequence.state === 'running') this.#fail(sequence, lost);
    this.#scheduler.loseBlocks();
    await this.#model.close().catch(() => undefined);
    if (!reload) throw new DeviceError('the device was lost');
    onDeviceLost?.(lost);
    this.#isReloading = true;
    this.#model = await reload(this.#closing.signal);
    this.#isReloading = false;
  }

  #failParts(parts: readonly StepPart[], error: unknown): void {
    const failure = new DeviceError(`the forward pass failed: ${messageOf(error)}`, { cause: error });
    for (const { sequence } of parts) this.#fail(sequence, failure);
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
