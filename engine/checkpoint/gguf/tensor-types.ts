/** The element types of GGUF tensors: names by number, as in `ggml.h` (https://github.com/ggml-org/ggml). */

import { FILE_FORMATS, type FileFormat } from '../../../kernels/index.ts';

const NAMES: readonly (string | undefined)[] = [
  'F32',
  'F16',
  'Q4_0',
  'Q4_1',
  undefined,
  undefined,
  'Q5_0',
  'Q5_1',
  'Q8_0',
  'Q8_1',
  'Q2_K',
  'Q3_K',
  'Q4_K',
  'Q5_K',
  'Q6_K',
  'Q8_K',
  'IQ2_XXS',
  'IQ2_XS',
  'IQ3_XXS',
  'IQ1_S',
  'IQ4_NL',
  'IQ3_S',
  'IQ2_S',
  'IQ4_XS',
  'I8',
  'I16',
  'I32',
  'I64',
  'F64',
  'IQ1_M',
  'BF16',
  undefined,
  undefined,
  undefined,
  'TQ1_0',
  'TQ2_0',
  undefined,
  undefined,
  undefined,
  'MXFP4',
  'NVFP4',
];

/** The type's name, or its number where it has none. */
export function tensorTypeName(type: number): string {
  return NAMES[type] ?? `number ${type}`;
}

/** The format that a tensor type is; undefined for those that are not read. */
export function fileFormatOf(type: number): FileFormat | undefined {
  return FILE_FORMATS.find((format) => format === NAMES[type]);
}
