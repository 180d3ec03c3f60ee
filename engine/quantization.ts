/** Rounding of float weights to block formats while they are loaded. */

import { blockShape, type FileFormat, isQuantized, kernelFormat, type WeightFormat } from '../kernels/index.ts';
import { RequestError } from './errors.ts';
import { QUANTIZATIONS, type Quantization } from './types.ts';

const FORMATS: Readonly<Record<Quantization, WeightFormat>> = {
  q8_0: 'Q8_0',
  q6_k: 'Q6_K',
  q5_k: 'Q5_K',
  q4_k: 'Q4_K',
  q4_1: 'Q4_1',
  q4_0: 'Q4_0',
};

/** @throws RequestError when there is no such format */
export function quantizedFormat(quantize: Quantization | undefined): WeightFormat | undefined {
  if (quantize === undefined || Object.hasOwn(FORMATS, quantize)) return quantize && FORMATS[quantize];
  throw new RequestError(
    `quantize is ${JSON.stringify(quantize)}; expected one of ${QUANTIZATIONS.join(', ')}`,
    'quantize',
  );
}

/**
 * The format that a matrix with rows of `cols` takes on a device: that of its file, or what the kernels have for it, or
 * `quantize` if the file has floats. Rows that are not whole blocks of 256 are rounded to Q8_0 instead, and stay floats
 * where they are not whole blocks of 32 either.
 */
export function loadedFormat(dtype: FileFormat, cols: number, quantize?: WeightFormat): WeightFormat {
  const rounded = quantize !== undefined && !isQuantized(dtype) ? [quantize, 'Q8_0' as const] : [];
  return rounded.find((format) => cols % blockShape(format).elements === 0) ?? kernelFormat(dtype);
}
