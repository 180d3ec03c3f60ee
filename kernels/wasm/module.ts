/** The WASM module of all kernels: which ops there are, and their bytes for a kind of memory and machine. */

import { Const, funcref, table } from 'wasmati';
import { DeviceError } from '../errors.ts';
import { isQuantized, type QuantizedWeightFormat, WEIGHT_FORMATS, type WeightFormat } from '../formats.ts';
import type { OpKernel } from './emit.ts';
import { type DotMethods, methodFor } from './features.ts';
import { moduleBytes } from './module-bytes.ts';
import { activation, gatedActivation } from './ops/activation.ts';
import { attention, attentionMerge } from './ops/attention.ts';
import { addScaled, scaleAndCap } from './ops/elementwise.ts';
import { embed } from './ops/embed.ts';
import { gatherRows } from './ops/gather-rows.ts';
import { linear } from './ops/linear.ts';
import { floatLoop } from './ops/linear-float.ts';
import { codeBits, quantizedLoop } from './ops/linear-quantized.ts';
import { norm } from './ops/norm.ts';
import { quantizeActivations } from './ops/quantize-activations.ts';
import { readMemory } from './ops/read-memory.ts';
import { reduceLogits } from './ops/reduce-logits.ts';
import { ropeAndCache } from './ops/rope-and-cache.ts';
import { gatherRoutes, groupRoutes, mixRoutes, route } from './ops/routes.ts';
import { awaitRun, runFunction } from './run-loop.ts';

/** Every op of the module; its place in `all` is its index in the function table. */
export function kernelOps(methods: DotMethods) {
  const byFormat = <T>(make: (format: WeightFormat) => T) =>
    Object.fromEntries(WEIGHT_FORMATS.map((format) => [format, make(format)])) as Record<WeightFormat, T>;
  const loopOf = (format: WeightFormat) =>
    isQuantized(format) ? quantizedLoop(format, methodFor(format, methods)) : floatLoop(format);

  const single = {
    norm,
    addScaled,
    scaleAndCap,
    attentionMerge,
    activation,
    gatedActivation,
    route,
    groupRoutes,
    gatherRoutes,
    mixRoutes,
    gatherRows,
    reduceLogits,
    readMemory,
  };
  const ops = {
    embed: byFormat(embed),
    linear: byFormat((format) => linear(loopOf(format))),
    quantizeActivations: { 8: quantizeActivations(8), 16: quantizeActivations(16) },
    ropeAndCache: { F32: ropeAndCache('F32'), F16: ropeAndCache('F16'), I8: ropeAndCache('I8') },
    attention: { F32: attention('F32'), F16: attention('F16'), I8: attention('I8') },
    ...single,
  };
  const all: OpKernel[] = [
    ...Object.values(ops.embed),
    ...Object.values(ops.linear),
    ...Object.values(ops.quantizeActivations),
    ...Object.values(ops.ropeAndCache),
    ...Object.values(ops.attention),
    ...Object.values(single),
  ];
  return { ...ops, all, codeBits: (format: QuantizedWeightFormat) => codeBits(methodFor(format, methods)) };
}

export type KernelOps = ReturnType<typeof kernelOps>;

/** What an instance of the module offers. */
export interface KernelExports {
  /** Walks the op table as one of the threads. */
  run(thread: number): void;
  /** Sleeps until the run epoch differs. */
  awaitRun(epoch: number): void;
}

/** The compiled module; emitted and compiled once for each kind of machine and memory, some 200 ms. */
export function kernelModule(methods: DotMethods, shared: boolean): Promise<CompiledKernels> {
  const key = `${methods.Q8_0} ${methods.Q4_0} ${shared}`;
  let compiled = compiledModules.get(key);
  if (!compiled) {
    compiled = compileKernels(methods, shared);
    compiledModules.set(key, compiled);
  }
  return compiled;
}

export interface CompiledKernels {
  readonly ops: KernelOps;
  readonly module: WebAssembly.Module;
}

const compiledModules = new Map<string, Promise<CompiledKernels>>();

async function compileKernels(methods: DotMethods, shared: boolean): Promise<CompiledKernels> {
  const ops = kernelOps(methods);
  const bytes = kernelModuleBytes(ops, shared);
  if (!WebAssembly.validate(bytes)) throw new DeviceError('this WebAssembly engine lacks SIMD or threads');
  return { ops, module: await WebAssembly.compile(bytes) };
}

/** The module's bytes, to be looked at with a disassembler. */
export function kernelModuleBytes(ops: KernelOps, shared: boolean): Uint8Array<ArrayBuffer> {
  const functions = table(
    { type: funcref, min: ops.all.length },
    ops.all.map((op) => Const.refFunc(op.func)),
  );
  return moduleBytes({ run: runFunction(functions), ...(shared ? { awaitRun } : {}) }, shared);
}
