/** The sizes of a model that kernels depend on, from its config alone. */

import { describeDecoder } from '../../engine/architectures/index.ts';
import { openCheckpoint } from '../../engine/checkpoint/checkpoint.ts';
import { openModel } from '../../engine/node/open-model.ts';
import type { Shape } from './kernel-cases.ts';

/** @throws CheckpointError when there is no such model, or none of a known architecture */
export async function modelShape(name: string): Promise<Shape> {
  const source = await openModel(name, {});
  try {
    const { config } = await (await openCheckpoint(source)).readModel();
    const { hiddenSize, heads, kvHeads, headDim, vocabSize, layers } = describeDecoder(config);
    const feedForward = layers[0].feedForward.down.cols;
    return { hidden: hiddenSize, feedForward, heads, kvHeads, headDim, vocab: vocabSize };
  } finally {
    await source.close();
  }
}
