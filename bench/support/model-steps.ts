/** The steps that a model's speed is told by, and what they have to move and to multiply. */

import { type DecoderDescription, isExperts } from '../../engine/architectures/description.ts';
import { feedForwardLinears } from '../../engine/architectures/needed-tensors.ts';
import type { LoadedModel } from '../../engine/load-model.ts';
import { KV_BLOCK_SIZE } from '../../kernels/index.ts';

/** A prompt of `length` tokens in one step. */
export async function promptStep(model: LoadedModel, length: number): Promise<void> {
  const positions = Array.from({ length }, (_, i) => i);
  await model.forward({
    tokens: positions.map((position) => (position * 7919) % model.vocabSize),
    positions,
    slots: positions.map(() => 0),
    blockTables: [blockTable(model)],
    logitRows: [length - 1],
  });
  // A GPU is done only when something is read.
  await model.logits(1);
}

/** `count` tokens of a text that begins with them, one a step, each the likeliest after the last. */
export async function generate(model: LoadedModel, count: number): Promise<void> {
  const blockTables = [blockTable(model)];
  let token = 1;
  for (let i = 0; i < count; i++) {
    const step = { tokens: [token], positions: [i], slots: [0], blockTables, logitRows: [0] };
    await model.forward({ ...step, reductions: [{ top: 1 }] });
    const [reduced] = await model.reducedLogits();
    token = reduced?.ids[0] ?? 0;
  }
}

function blockTable({ maxModelLen }: LoadedModel): number[] {
  return Array.from({ length: Math.ceil(maxModelLen / KV_BLOCK_SIZE) }, (_, i) => i);
}

/** Multiply-adds of a prompt step: every matrix once a token, the head for one row alone, and attention. */
export function promptMacs({ info: { description } }: LoadedModel, length: number): number {
  const { layers, heads, headDim, head } = description;
  const attention = layers.length * heads * headDim * length * (length + 1);
  return length * layerParameters(description) + head.rows * head.cols + attention;
}

/** Bytes of weights that a token reads: all, but for an embedding table that is not the head as well. */
export function bytesPerToken({ info: { description, weightBytes } }: LoadedModel): number {
  const { embedding, head } = description;
  if (embedding === head) return weightBytes;
  const once = layerParameters(description) + head.rows * head.cols;
  return (weightBytes * once) / (once + embedding.rows * embedding.cols);
}

/** Elements of the matrices that a token meets in all layers: of experts only its own. */
function layerParameters({ layers }: DecoderDescription): number {
  const elements = (matrices: readonly { readonly rows: number; readonly cols: number }[]) =>
    matrices.reduce((sum, { rows, cols }) => sum + rows * cols, 0);
  return layers.reduce((sum, { attention, feedForward }) => {
    const ownAttention = elements([...attention.qkv, attention.output]);
    const all = elements([...feedForwardLinears(feedForward)]);
    if (!isExperts(feedForward)) return sum + ownAttention + all;
    const { up, down, experts, perToken } = feedForward;
    return sum + ownAttention + all - elements([...up, down]) * (experts - perToken);
  }, 0);
}
