/** Which tensors a described decoder has. */

import type { TensorInfo } from '../checkpoint/tensor-info.ts';
import {
  type DecoderDescription,
  type ExpertsDescription,
  type FeedForwardDescription,
  isExperts,
  type LinearDescription,
  type NormDescription,
} from './description.ts';

export type NeededTensor = Pick<TensorInfo, 'name' | 'shape' | 'interleavedHeadRows'>;

/** All tensors of a decoder, in the order of their use. A tied head comes twice, under one name. */
export function* neededTensors(description: DecoderDescription): Generator<NeededTensor> {
  yield* linearTensors(description.embedding, description.head);
  yield* normTensors(description.finalNorm);
  for (const layer of description.layers) {
    const { attention, feedForward } = layer;
    yield* normTensors(layer.attentionNorm, layer.attentionOutputNorm, layer.feedForwardNorm);
    yield* normTensors(layer.feedForwardOutputNorm, attention.qNorm, attention.kNorm);
    yield* normTensors(...(attention.columnNorms ?? []).map(({ norm }) => norm));
    if (attention.sinks !== undefined) yield { name: attention.sinks, shape: [description.heads] };
    yield* linearTensors(...attention.qkv, attention.output, ...feedForwardLinears(feedForward));
  }
}

/** The matrices of a feed-forward, those of all its experts included. */
export function feedForwardLinears(
  feedForward: FeedForwardDescription | ExpertsDescription,
): readonly LinearDescription[] {
  if (!isExperts(feedForward)) return [...feedForward.up, feedForward.down];
  const { router, up, down, shared } = feedForward;
  return [
    router,
    ...[...up, down].flatMap(({ experts }) => experts),
    ...(shared ? feedForwardLinears(shared.feedForward) : []),
    ...(shared?.gate ? [shared.gate] : []),
  ];
}

function* linearTensors(...linears: readonly LinearDescription[]): Generator<NeededTensor> {
  for (const { weight, rows, cols, bias, interleavedHeadRows } of linears) {
    yield { name: weight, shape: [rows, cols], interleavedHeadRows };
    if (bias !== undefined) yield { name: bias, shape: [rows], interleavedHeadRows };
  }
}

function* normTensors(...norms: readonly (NormDescription | undefined)[]): Generator<NeededTensor> {
  for (const norm of norms) {
    if (norm === undefined) continue;
    yield { name: norm.weight, shape: [norm.size] };
    if (norm.bias !== undefined) yield { name: norm.bias, shape: [norm.size] };
  }
}
