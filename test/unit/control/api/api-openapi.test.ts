/** The OpenAPI document: complete, and right in itself. That answers are what it says, every other test of the API checks. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { problemKinds } from '../../../../src/control/api/http-problem.ts';
import { documentOf } from '../../../support/api-answers.ts';
import type { Document, Operation } from '../../../support/api-answers.ts';
import { ApiLab } from '../../../support/api.ts';
import { routeTable } from '../../../support/api-table.ts';

let lab: ApiLab;
let document: Document;
beforeAll(async () => {
  lab = await ApiLab.create();
  document = documentOf(lab.api);
});
afterAll(async () => {
  await lab.close();
});

const operations = (): [string, Operation & Record<string, unknown>][] =>
  Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]): [string, Operation] => [
      `${method.toUpperCase()} ${path}`,
      operation,
    ]),
  );

it('is served to everybody, in the newest version', async () => {
  const { json } = await lab.send('nobody', 'GET /openapi.json');
  expect(json).toEqual(document);
  expect(json!['openapi']).toBe('3.1.0');
});

it('says of each operation what it does, for whom, and how it can fail', () => {
  const ids = new Set<unknown>();
  for (const [name, operation] of operations()) {
    expect(operation['summary'], name).toMatch(/^[A-Z].{5,}/);
    expect(operation['tags'], name).toHaveLength(1);
    expect(operation['description'], name).toMatch(
      /For (owners|who may view|every user|everybody)\.$/,
    );
    const isPublic = routeTable[name]!.access === 'public';
    expect((operation['security'] as unknown[]).length, name).toBe(isPublic ? 0 : 2);
    ids.add(operation['operationId']);
    const kinds = Object.keys(operation.responses);
    expect(
      kinds.some((status) => status.startsWith('2')),
      name,
    ).toBe(true);
    expect(kinds, name).toContain('4XX');
    const failed = JSON.stringify(operation.responses['4XX']);
    expect(failed, name).toContain('#/components/schemas/Problem');
  }
  expect(ids.size).toBe(operations().length);
});

it('declares every part of a path, and every tag', () => {
  const known = (document['tags'] as { name: string }[]).map(({ name }) => name);
  for (const [name, operation] of operations()) {
    expect(known, name).toEqual(expect.arrayContaining(operation['tags'] as string[]));
    const declared = ((operation['parameters'] ?? []) as { name: string; in: string }[])
      .filter((each) => each.in === 'path')
      .map((each) => each.name);
    expect(declared.sort(), name).toEqual(
      [...name.matchAll(/\{(\w+)\}/g)].map(([, each]) => each!).sort(),
    );
  }
});

it('refers to nothing that is not there, and names nothing that is not used', () => {
  const refs = new Set(
    [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(([, each]) => each!),
  );
  const names = Object.keys(document.components.schemas).map(
    (each) => `#/components/schemas/${each}`,
  );
  expect([...refs].sort()).toEqual(names.sort());
});

it('documents the bodies that the policy’s validator judges', () => {
  const put = document.paths['/v1/templates/{name}']!['put'] as unknown as {
    requestBody: { content: Record<string, { schema: { properties: object } }> };
  };
  const { properties } = put.requestBody.content['application/json']!.schema;
  expect(Object.keys(properties)).toEqual([
    'name',
    'description',
    'appliesTo',
    'inbound',
    'outbound',
  ]);
  expect(JSON.stringify(properties)).toContain('198.51.100.10-198.51.100.20');
});

it('knows every kind of problem', () => {
  const { properties } = document.components.schemas['Problem'] as unknown as {
    properties: { type: { enum: string[] } };
  };
  expect(properties.type.enum).toEqual(
    Object.keys(problemKinds).map((kind) => `urn:tunwall:problem:${kind}`),
  );
});
