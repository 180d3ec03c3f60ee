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

export interface NeededTensor extends Pick<TensorInfo, 'name' | 'shape' | 'interleavedHeadRows'> {
  /** See {@link LinearDescription.unrounded}. */
  readonly unrounded?: boolean;
}

/** All tensors of a decoder, in the order of their use. A tied head comes twice, under one name. */
export function* neededTensors(description: DecoderDescription): Generator<NeededTensor> {
  yield* linearTensors(description.embedding, description.head);
  yield* normTensors(description.finalNorm);
  for (const layer of description.layers) {
    const { attention, feedForward } = layer;
    yield* normTensors(layer.attentionNorm, layer.attentionOutputNorm, layer.feedForwardNorm);
    yield* normTensors(layer.feedForwardOutputNorm, attention.qNorm, attention.kNorm);
    for (const { norm } of attention.columnNorms ?? []) yield* normTensors(norm);
    if (attention.sinks !== undefined) yield { name: attention.sinks, shape: [description.heads] };
    for (const latent of [attention.latents?.q, attention.latents?.kv]) {
      if (latent === undefined) continue;
      yield* linearTensors(latent.down);
      yield* normTensors(latent.norm);
    }
    yield* linearTensors(...attention.qkv, attention.output);
    for (const linear of feedForwardLinears(feedForward)) yield* linearTensors(linear);
  }
}

/** The matrices of a feed-forward, those of all its experts included. */
export function* feedForwardLinears(
  feedForward: FeedForwardDescription | ExpertsDescription,
): Generator<LinearDescription> {
  if (!isExperts(feedForward)) {
    yield* [...feedForward.up, feedForward.down];
    return;
  }
  const { router, up, down, shared } = feedForward;
  yield router;
  for (const { experts, expert } of [...up, down]) for (let e = 0; e < experts; e++) yield expert(e);
  if (shared) yield* feedForwardLinears(shared.feedForward);
  if (shared?.gate) yield shared.gate;
}

function* linearTensors(...linears: readonly LinearDescription[]): Generator<NeededTensor> {
  for (const { weight, rows, cols, bias, interleavedHeadRows, unrounded } of linears) {
    yield { name: weight, shape: [rows, cols], interleavedHeadRows, unrounded };
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
