/** How many experts a layer has, and how many a token goes to. */

import type { Fields } from '../checkpoint/fields.ts';

const EXPERTS = { min: 1, max: 4096 };

export interface ExpertCounts {
  readonly experts: number;
  /** At most `experts`. */
  readonly perToken: number;
}

/** @param name  the member that says how many there are; `num_experts_per_tok` says how many are used */
export function readExpertCounts(fields: Fields, name: string, defaults: ExpertCounts): ExpertCounts {
  const experts = fields.integer(name, EXPERTS, defaults.experts);
  return { experts, perToken: fields.integer('num_experts_per_tok', { min: 1, max: experts }, defaults.perToken) };
}
