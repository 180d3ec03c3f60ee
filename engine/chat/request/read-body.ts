/** From a body to a request by its schema, with faults told in the API's words. */

import type { z } from 'zod';
import { RequestError } from '../../errors.ts';
import { shown } from './coercion.ts';

const MAX_ISSUES = 8;

/**
 * Rules between fields come first and tell one fault; then all faults in single fields are told together.
 * @throws RequestError
 */
export function readBody<T extends z.ZodType>(
  schema: T,
  body: unknown,
  checkBetweenFields: (body: Readonly<Record<string, unknown>>) => void,
): z.output<T> {
  if (typeof body !== 'object' || body === null || Array.isArray(body)) {
    throw new RequestError(`the body must be a JSON object, got ${shown(body)}`);
  }
  checkBetweenFields(body as Record<string, unknown>);
  const result = schema.safeParse(body);
  if (!result.success) throw issuesError(result.error.issues, body);
  return result.data;
}

/** One error for all faults; its parameter is that of the first. */
function issuesError(issues: readonly z.core.$ZodIssue[], body: unknown): RequestError {
  const sentences = issues.slice(0, MAX_ISSUES).map((issue) => {
    const name = issue.path.join('.');
    return `${name} ${issue.code === 'invalid_type' ? typeSentence(issue, body) : issue.message}`;
  });
  return new RequestError(sentences.join('; '), issues[0].path.join('.'));
}

function typeSentence(issue: z.core.$ZodIssueInvalidType, body: unknown): string {
  const value = issue.path.reduce<unknown>((parent, key) => (parent as Record<PropertyKey, unknown>)?.[key], body);
  if (value === undefined) return 'is required';
  const expected = issue.expected === 'array' ? 'a list' : 'an object';
  return `must be ${expected}, got ${shown(value)}`;
}
