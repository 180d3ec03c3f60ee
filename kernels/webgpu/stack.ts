/** Weights side by side as one matrix: what is multiplied by the same x in one dispatch should lie in one buffer. */

import type { WeightFormat } from '../formats.ts';
import type { WebGpuWeight, WeightPart } from './buffers.ts';
import type { Gpu, GpuMemory } from './gpu.ts';

/** Consecutive rows of one buffer, all of one format and width. */
export interface WeightRun {
  readonly format: WeightFormat;
  readonly vectors: number;
  readonly buffer: GPUBuffer;
  readonly base: number;
  readonly rows: number;
}

/**
 * The rows of `weights` in order, in as few runs as possible. Neighbours of one format that no plan refers to yet are moved
 * into a common buffer first, as far as the adapter's limit goes; the buffers they leave are freed.
 */
export function stackParts(gpu: Gpu, memory: GpuMemory, weights: readonly WebGpuWeight[]): WeightRun[] {
  for (const neighbours of movable(gpu, weights)) moveTogether(gpu, memory, neighbours);
  const runs: WeightRun[] = [];
  for (const weight of weights) {
    for (const part of weight.parts) {
      part.bound = true;
      const { format, vectors } = weight;
      const { buffer, base, rows } = part;
      const last = runs.at(-1);
      if (last && last.buffer === buffer && last.base + last.rows === base) {
        runs[runs.length - 1] = { ...last, rows: last.rows + rows };
      } else {
        runs.push({ format, vectors, buffer, base, rows });
      }
    }
  }
  return runs;
}

interface Movable {
  readonly weight: WebGpuWeight;
  readonly part: WeightPart;
}

/** Groups of two or more neighbours that can share a buffer. */
function movable(gpu: Gpu, weights: readonly WebGpuWeight[]): Movable[][] {
  const groups: Movable[][] = [[]];
  let bytes = 0;
  const seen = new Set<WebGpuWeight>();
  for (const weight of weights) {
    const group = groups[groups.length - 1];
    const fits =
      weight.parts.length === 1 &&
      !weight.parts[0].bound &&
      !seen.has(weight) &&
      (group.length === 0 ||
        (group[0].weight.format === weight.format && bytes + weight.byteLength <= gpu.limits.bufferBytes));
    seen.add(weight);
    if (fits) {
      group.push({ weight, part: weight.parts[0] });
      bytes += weight.byteLength;
    } else {
      const single = weight.parts.length === 1 && !weight.parts[0].bound;
      groups.push(single ? [{ weight, part: weight.parts[0] }] : []);
      bytes = single ? weight.byteLength : 0;
    }
  }
  return groups.filter((group) => group.length > 1);
}

function moveTogether(gpu: Gpu, memory: GpuMemory, group: readonly Movable[]): void {
  const bytes = group.reduce((sum, { weight }) => sum + weight.byteLength, 0);
  const buffer = memory.allocate(bytes, `weights ${group.map(({ weight }) => weight.name).join(', ')}`);
  const encoder = gpu.device.createCommandEncoder();
  let rows = 0;
  for (const { weight, part } of group) {
    encoder.copyBufferToBuffer(part.buffer, 0, buffer, rows * weight.rowBytes, weight.byteLength);
    part.base = rows;
    rows += weight.rows;
  }
  gpu.device.queue.submit([encoder.finish()]);
  for (const { part } of group) {
    memory.free(part.buffer);
    part.buffer = buffer;
  }
}
