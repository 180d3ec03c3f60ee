/** Compiles kernels, each with its constants once, all of them side by side. */

import { DeviceError } from '../errors.ts';
import { type Argument, type ArgumentForm, checkParams, constantParams } from './arguments.ts';
import type { Gpu } from './gpu.ts';
import type { BindingKind, Kernel, KernelConstants } from './kernels.ts';
import { SHADERS, type ShaderName } from './shaders.ts';

const COMPUTE_STAGE = 4;
const BUFFER_TYPE: Readonly<Record<BindingKind, GPUBufferBindingType>> = {
  uniform: 'uniform',
  read: 'read-only-storage',
  write: 'storage',
};

export class Pipelines {
  readonly #gpu: Gpu;
  readonly #sources: Readonly<Record<ShaderName, string>>;
  readonly #layouts = new Map<string, GPUBindGroupLayout>();
  readonly #pipelines = new Map<string, Promise<GPUComputePipeline>>();

  /** @param sources  WGSL files that stand in for the package's own, for work on a kernel */
  constructor(gpu: Gpu, sources: Partial<Record<ShaderName, string>> = {}) {
    this.#gpu = gpu;
    this.#sources = { ...SHADERS, ...sources };
  }

  /** The same for all kernels that bind the same kinds of buffers. */
  layout({ bindings }: Kernel, form: ArgumentForm): GPUBindGroupLayout {
    const key = `${form === 'uniform'} ${bindings.join()}`;
    let layout = this.#layouts.get(key);
    if (!layout) {
      layout = this.#gpu.device.createBindGroupLayout({
        entries: [
          ...(form === 'uniform' ? [entry(0, 'uniform')] : []),
          ...['read' as const, ...bindings].map((kind, at) => entry(at + 1, BUFFER_TYPE[kind])),
        ],
      });
      this.#layouts.set(key, layout);
    }
    return layout;
  }

  /** @throws DeviceError with the compiler's message */
  compile(
    kernel: Kernel,
    constants: KernelConstants,
    args: readonly Argument[],
    form: ArgumentForm,
  ): Promise<GPUComputePipeline> {
    const values = form === 'constant' ? JSON.stringify(args) : form;
    const key = `${kernel.name} ${kernel.files.join()} ${JSON.stringify(constants)} ${values}`;
    let pipeline = this.#pipelines.get(key);
    if (!pipeline) {
      const params = form === 'constant' ? constantParams(args) : this.#sources[`params-${form}`];
      const text = joined([...kernel.files.map((file) => this.#sources[file]), params]);
      checkParams(kernel.name, text, args);
      const layout = this.#gpu.device.createPipelineLayout({
        bindGroupLayouts: [this.layout(kernel, form)],
        ...(form === 'immediate' ? { immediateSize: 4 * args.length } : {}),
      });
      pipeline = this.#create(kernel.name, layout, unrolled(specialize(kernel.name, text, constants)));
      // Whoever waits for it sees the failure; nobody may be waiting yet.
      pipeline.catch(() => undefined);
      this.#pipelines.set(key, pipeline);
    }
    return pipeline;
  }

  async #create(name: string, layout: GPUPipelineLayout, code: string): Promise<GPUComputePipeline> {
    const { device } = this.#gpu;
    device.pushErrorScope('validation');
    const module = device.createShaderModule({ code, label: name });
    const invalid = device.popErrorScope();
    const created = device.createComputePipelineAsync({ layout, compute: { module }, label: name });
    created.catch(() => undefined);
    const error = await this.#gpu.settled(invalid);
    if (error) throw new DeviceError(`kernel ${name} does not compile: ${error.message.trim()}`);
    return this.#gpu.settled(created);
  }
}

/** WGSL files one after the other, what they enable and require before all of them. */
function joined(texts: readonly string[]): string {
  const text = texts.join('\n');
  const directives = /^(enable |requires |diagnostic\()[^;]+;$/gm;
  return `${(text.match(directives) ?? []).join('\n')}\n${text.replace(directives, '')}`;
}

function entry(binding: number, type: GPUBufferBindingType): GPUBindGroupLayoutEntry {
  return { binding, visibility: COMPUTE_STAGE, buffer: { type } };
}

/**
 * Sets `const` declarations of a WGSL text.
 * @throws DeviceError unless each name is declared once
 */
export function specialize(name: string, text: string, constants: KernelConstants): string {
  for (const [constant, value] of Object.entries(constants)) {
    const declaration = new RegExp(`^const ${constant}: (u32|bool) = [^;]+;`, 'gm');
    const found = text.match(declaration)?.length ?? 0;
    if (found !== 1) throw new DeviceError(`kernel ${name}: ${found} declarations of const ${constant}, expected one`);
    text = text.replace(declaration, (_, type) => `const ${constant}: ${type} = ${value}${type === 'u32' ? 'u' : ''};`);
  }
  return text;
}

/**
 * Writes out the loops of a WGSL text that stand between `//# for i in COUNT` and `//# end`: the lines between once for
 * each i below the constant COUNT, with the number for `$i`. So values that a loop goes over have names of their own and
 * stay in registers, where an array might not.
 * @throws DeviceError for a constant that is no number, or a loop without an end
 */
export function unrolled(text: string): string {
  const lines = text.split('\n');
  const out: string[] = [];
  for (let at = 0; at < lines.length; at++) {
    const [, name, constant] = /^\s*\/\/# for (\w+) in (\w+)$/.exec(lines[at]) ?? [];
    if (name === undefined) {
      out.push(lines[at]);
      continue;
    }
    const count = new RegExp(`^const ${constant}: u32 = (\\d+)u;`, 'm').exec(text)?.[1];
    if (count === undefined)
      throw new DeviceError(`kernel text: loop to ${constant}, which is not the constant of a number`);
    const first = at + 1;
    for (let depth = 1; depth > 0; ) {
      at++;
      if (at === lines.length) throw new DeviceError(`kernel text: loop to ${constant} has no end`);
      if (/^\s*\/\/# for /.test(lines[at])) depth++;
      if (/^\s*\/\/# end$/.test(lines[at])) depth--;
    }
    const body = lines.slice(first, at).join('\n');
    for (let i = 0; i < Number(count); i++) out.push(body.replaceAll(`$${name}`, String(i)));
  }
  const result = out.join('\n');
  return result.includes('//# for ') ? unrolled(result) : result;
}
