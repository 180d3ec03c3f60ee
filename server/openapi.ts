/** The description of the API for machines, made of the routes and their schemas. Source: OpenAPI 3.1. */

import { z } from 'zod';
import type { Route } from './routes.ts';
import { packageVersion } from './version.ts';

export function openApi(routes: readonly Route[]) {
  const paths: Record<string, object> = {};
  for (const route of routes) paths[route.path] = { ...paths[route.path], ...pathItem(route) };
  return {
    openapi: '3.1.0',
    info: { title: 'Quern', version: packageVersion(), description: 'Null is the same as not given, everywhere.' },
    paths,
    components: {
      securitySchemes: { key: { type: 'http', scheme: 'bearer' } },
      schemas: { Error: errorSchema },
    },
  };
}

/** JSON Schema of a request's body. */
export function bodySchema(schema: z.ZodType): Record<string, unknown> {
  const { $schema, ...rest } = z.toJSONSchema(schema, {
    io: 'input',
    unrepresentable: 'any',
    // Defaults of fields that are converted are left out otherwise.
    override: ({ zodSchema, jsonSchema }) => {
      const value = z.globalRegistry.get(zodSchema)?.default;
      if (value !== undefined) jsonSchema.default = value as never;
    },
  });
  return rest;
}

const errorSchema = {
  type: 'object',
  properties: {
    error: {
      type: 'object',
      properties: {
        message: { type: 'string' },
        type: { type: 'string' },
        param: { type: ['string', 'null'] },
        code: { type: ['integer', 'string', 'null'] },
      },
      required: ['message', 'type', 'param', 'code'],
    },
  },
  required: ['error'],
};

function pathItem({ path, method, summary, schema, isOpen }: Route) {
  const json = (content: object) => ({ content: { 'application/json': { schema: content } } });
  const fault = (description: string) => ({ description, ...json({ $ref: '#/components/schemas/Error' }) });
  const parameters = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => {
    return { name, in: 'path', required: true, schema: { type: 'string' } };
  });
  const operation = {
    summary,
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(schema ? { requestBody: { required: true, ...json(bodySchema(schema)) } } : {}),
    security: isOpen ? [] : [{ key: [] }],
    responses: {
      200: { description: 'What was asked for.', ...json({ type: 'object' }) },
      ...(schema ? { 400: fault('Something is wrong with the request.') } : {}),
      ...(isOpen ? {} : { 401: fault('The key is missing or wrong.') }),
    },
  };
  return { [method.toLowerCase()]: operation };
}
