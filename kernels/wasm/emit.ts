/**
 * The few constructs that the kernels are written with, on top of wasmati's one-call-per-instruction builder:
 * numbered locals, counted loops, and the frame of an op function.
 *
 * An op is a WASM function `(args: i32, thread: i32) → ()`. `args` points at its argument words in linear memory; every
 * worker calls the same op at the same time, and {@link forEachTask} deals its tasks out, one after the other, to
 * whoever is free. Tasks never share output, so who runs which does not change a bit of the result.
 */

import { $, block, br, br_if, type Func, f32, func, i32, type Local, local, loop, type StackVar, v128 } from 'wasmati';
import { TASK_COUNTER } from './memory-map.ts';

export type I32 = Local<'i32'>;
export type F32 = Local<'f32'>;
export type V128 = Local<'v128'>;
export type I32Input = I32 | StackVar<'i32'> | number;

const LOCALS = { i32: 64, f32: 12, v128: 72 };

/** Hands out the locals of a function under construction; unused ones cost nothing once compiled. */
export class Frame {
  readonly #free: { i32: I32[]; f32: F32[]; v128: V128[] };

  constructor(locals: readonly Local[]) {
    const ofType = (type: string) => locals.filter((l) => l.type === type);
    this.#free = { i32: ofType('i32') as I32[], f32: ofType('f32') as F32[], v128: ofType('v128') as V128[] };
  }

  i32(): I32 {
    return this.#take(this.#free.i32);
  }

  f32(): F32 {
    return this.#take(this.#free.f32);
  }

  v128(): V128 {
    return this.#take(this.#free.v128);
  }

  v128s(count: number): V128[] {
    return Array.from({ length: count }, () => this.v128());
  }

  #take<T>(pool: T[]): T {
    const one = pool.shift();
    if (!one) throw new Error('kernel needs more locals than a frame has');
    return one;
  }
}

/** Builds a function with i32 parameters, no result, and a {@link Frame} of locals. */
export function routine(params: number, body: (frame: Frame, ...params: I32[]) => void): Func<'i32'[], []> {
  const locals = [
    ...Array.from({ length: LOCALS.i32 }, () => i32),
    ...Array.from({ length: LOCALS.f32 }, () => f32),
    ...Array.from({ length: LOCALS.v128 }, () => v128),
  ];
  const signature = { in: Array.from({ length: params }, () => i32), locals, out: [] };
  // The signature is built at run time, which wasmati's tuple types cannot follow.
  return (func as (s: unknown, run: (a: I32[], l: Local[]) => void) => unknown)(signature, (args, l) =>
    body(new Frame(l), ...args),
  ) as Func<'i32'[], []>;
}

/** How an argument word is read: as it is, as a float, or as the address of a word that changes from step to step. */
export type ArgKind = 'i32' | 'f32' | 'step';

export type ArgKinds = Readonly<Record<string, ArgKind>>;
export type ArgLocals<A extends ArgKinds> = { readonly [K in keyof A]: A[K] extends 'f32' ? F32 : I32 };

/** An op: its argument words in order, and the function that runs it. */
export interface OpKernel<A extends ArgKinds = ArgKinds> {
  readonly name: string;
  readonly args: A;
  readonly func: Func<'i32'[], []>;
}

/** Declares an op; the body gets its arguments as locals. */
export function opKernel<const A extends ArgKinds>(
  name: string,
  args: A,
  body: (frame: Frame, args: ArgLocals<A>, thread: I32, argsPointer: I32) => void,
): OpKernel<A> {
  const opFunction = routine(2, (frame, argsPointer, thread) => {
    body(frame, loadArgs(args, Object.keys(args), frame, argsPointer) as ArgLocals<A>, thread, argsPointer);
  });
  return { name, args, func: opFunction };
}

/** Reads the named argument words into locals; for routines that are handed an op's argument pointer. */
export function loadArgs<A extends ArgKinds, K extends keyof A & string>(
  args: A,
  names: readonly K[],
  frame: Frame,
  pointer: I32,
): Pick<ArgLocals<A>, K> {
  const keys = Object.keys(args);
  const values: Record<string, I32 | F32> = {};
  for (const name of names) {
    const memory = { offset: 4 * keys.indexOf(name) };
    if (args[name] === 'f32') {
      const value = frame.f32();
      local.set(value, f32.load(memory, pointer));
      values[name] = value;
    } else {
      const value = frame.i32();
      i32.load(memory, pointer);
      if (args[name] === 'step') i32.load({}, $);
      local.set(value, $);
      values[name] = value;
    }
  }
  return values as Pick<ArgLocals<A>, K>;
}

/**
 * for (index = first; index < end; index += step), without sign, since an address may lie beyond 2 GiB. `end` is a local
 * or a constant and is read every time round.
 */
export function forRange(index: I32, first: I32Input, end: I32 | number, step: number, body: () => void): void {
  local.set(index, first);
  block(null, (done) => {
    i32.ge_u(index, end);
    br_if(done);
    loop(null, (again) => {
      body();
      local.set(index, i32.add(index, step));
      i32.lt_u(index, end);
      br_if(again);
    });
  });
}

/** Takes task numbers from the counter that all threads share until all `tasks` are taken. */
export function forEachTask(task: I32, tasks: I32, body: () => void): void {
  block(null, (done) => {
    loop(null, (again) => {
      takeTask(task);
      i32.ge_u(task, tasks);
      br_if(done);
      body();
      br(again);
    });
  });
}

function takeTask(task: I32): void {
  local.set(task, i32.atomic.rmw.add({ offset: TASK_COUNTER }, 0, 1));
}

/** value += amount. */
export function increment(value: I32, amount: I32Input): void {
  local.set(value, i32.add(value, amount));
}
