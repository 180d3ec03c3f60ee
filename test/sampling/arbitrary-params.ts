/** Any parameters of sampling that reshape a distribution, alone and together. */

import fc from 'fast-check';

export const arbitraryParams = {
  temperature: fc.oneof(fc.constant(0), fc.double({ min: 0.1, max: 3, noNaN: true })),
  topK: fc.integer({ min: -1, max: 80 }),
  topP: fc.double({ min: 0.01, max: 1, noNaN: true }),
  minP: fc.double({ min: 0, max: 1, noNaN: true }),
  presencePenalty: fc.double({ min: -2, max: 2, noNaN: true }),
  frequencyPenalty: fc.double({ min: -2, max: 2, noNaN: true }),
  repetitionPenalty: fc.double({ min: 0.2, max: 3, noNaN: true }),
};
