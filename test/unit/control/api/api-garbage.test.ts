/**
 * Large bodies that mean nothing, and such as mean too much: answered briefly, by work that grows with their size. Counted, and
 * never timed. What files and single bodies say is in `policy/garbage.test.ts`.
 */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { documentOf } from '../../../support/api-answers.ts';
import { ApiLab } from '../../../support/api.ts';
import type { Json } from '../../../support/api.ts';
import { resolvedPeers } from '../../../../src/control/api/resolved.ts';
import { parsePeer } from '../../../../src/policy/peers.ts';
import { Resolver } from '../../../../src/policy/resolve.ts';
import type { Peer, Server } from '../../../../src/policy/types.ts';

let lab: ApiLab;

beforeAll(async () => {
  lab = await ApiLab.create({ requestsPerMinute: 1e9 });
});
afterAll(() => lab.close());

/** Many enough that an error for each would be far more than an answer may have. */
function many(value: (index: number) => unknown): unknown[] {
  const length = Math.floor(120_000 / (JSON.stringify(value(100_000)).length + 1));
  return Array.from({ length }, (_, index) => value(index));
}

const garbage: readonly unknown[] = [
  many(() => 0),
  many((index) => `server:wbe-${index}`),
  many((index) => `set:ofice-${index}`),
  many((index) => `wbe-${index}`),
  many(() => ({ protocl: 'tcp' })),
  Object.fromEntries(many((index) => [`key-${index}`, 1]) as [string, number][]),
  'x'.repeat(120_000),
];

describe('each route that takes a body', () => {
  it('answers garbage of any kind, in any field, with few errors', async () => {
    const { paths, components } = documentOf(lab.api);
    for (const [path, operations] of Object.entries(paths)) {
      for (const [method, { requestBody }] of Object.entries(operations)) {
        const content = (requestBody as { content?: Json } | undefined)?.content;
        let schema = content?.['application/json']?.['schema'];
        if (schema === undefined) continue;
        const reference = schema['$ref'] as unknown as string | undefined;
        const named = components.schemas[reference?.split('/').at(-1) ?? ''];
        schema = (named as Json | undefined) ?? schema;
        const fields = Object.keys(schema['properties'] ?? {});
        const url = path
          .replace('{direction}', 'inbound')
          .replace('{index}', '0')
          .replace('{name}', path.includes('users') ? 'owner' : 'nobody-has-this');
        for (const [index, value] of garbage.entries()) {
          // One field at a time in turn: all pairs would take minutes.
          const field = fields[index % fields.length];
          const body = index % 2 === 0 || field === undefined ? value : { [field]: value };
          const place = `${method} ${path} ${field} ${index}`;
          const answer = await lab.send('owner', `${method.toUpperCase()} ${url}`, { body });
          expect(answer.status, place).toBeGreaterThanOrEqual(400);
          expect(answer.status, place).toBeLessThan(500);
          expect(answer.body.length, place).toBeLessThan(100_000);
        }
      }
    }
  });
});

it('of peers that are not there, those that are shown are compared with the names that there are', async () => {
  const peers = many((index) => `server:wbe-${index}`);
  const { status, json } = await lab.send('owner', 'POST /v1/resolve', { body: { peers } });
  expect(status).toBe(422);
  const errors = json!['errors'] as unknown as { message: string }[];
  expect(errors).toHaveLength(101);
  expect(errors.at(-1)!.message).toBe(`and ${(peers.length - 100).toLocaleString('en-US')} more`);
});

it('of groups with many members, no more are looked at than are shown', () => {
  const servers = Array.from({ length: 1000 }, (_, index): Server => {
    return { name: `s${index}`, addresses: [index], templates: ['web'] };
  });
  const template = { name: 'web', inbound: [], outbound: [] };
  const resolver = new Resolver({ templates: [template], servers }, 0);
  const members = vi.spyOn(resolver, 'membersOf');
  const { value: web } = parsePeer('template:web') as { value: Peer };
  const rule = { protocol: 'all' as const, peers: Array<Peer>(40_000).fill(web) };
  expect(resolvedPeers(resolver, rule, 200)).toHaveLength(200);
  expect(members).toHaveBeenCalledTimes(1);
  expect(resolvedPeers(resolver, rule)).toHaveLength(10_000);
  expect(members).toHaveBeenCalledTimes(1 + 11);
});
