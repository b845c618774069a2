/** The OpenAPI document: made from the schemas of the routes, served at `/openapi.json`. */
import swagger from '@fastify/swagger';
import type { FastifyInstance } from 'fastify';
import { Type } from 'typebox';
import type { TObject } from 'typebox';
import { maxWhy } from '../store/store.ts';
import type { Api } from './api.ts';
import { components, problems } from './schemas.ts';
import { confirmWords } from './unconfirmed.ts';

export async function registerOpenApi(server: FastifyInstance): Promise<void> {
  await server.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'tunwall',
        version: 'v1',
        description:
          'The HTTP API of tunwall, a stateful firewall on a Linux TUN device. Errors are problem details (RFC 9457).',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      },
      servers: [{ url: '/', description: 'This gateway' }],
      tags: [
        { name: 'templates', description: 'Rules, and the sets of them' },
        { name: 'sets', description: 'Named sets of addresses' },
        { name: 'history', description: 'Changes of the policy, versions of templates and sets' },
        { name: 'servers', description: 'The machines that are protected' },
        { name: 'assignments', description: 'Templates of many servers at once' },
        { name: 'changes', description: 'Several operations, and what they would do' },
        { name: 'live', description: 'Flows, drops, counts, captures, and why' },
        { name: 'operation', description: 'Health, metrics, status' },
        { name: 'audit', description: 'The audit log' },
        { name: 'users', description: 'Users, roles, tokens' },
        { name: 'session', description: 'Logging in' },
      ],
      components: {
        securitySchemes: {
          token: { type: 'http', scheme: 'bearer', description: 'An API token' },
          session: { type: 'apiKey', in: 'cookie', name: 'tunwall_session' },
        },
      },
    },
    refResolver: {
      buildLocalReference: (schema, _baseUri, _fragment, at) =>
        typeof schema['$id'] === 'string' ? schema['$id'] : `schema-${at}`,
    },
    transform: ({ schema, url, route }) => {
      const access = route.config?.access ?? 'owner';
      const words = {
        public: 'everybody',
        anyone: 'every user',
        view: 'who may view',
        owner: 'owners',
      };
      const description = [schema.description, `For ${words[access]}.`]
        .filter((each) => each !== undefined)
        .join(' ');
      const security = access === 'public' ? [] : [{ token: [] }, { session: [] }];
      const method = [route.method].flat()[0]!.toLowerCase();
      const operationId = `${method}${url.replaceAll(/[/:]+(\w)/g, (_, letter: string) => letter.toUpperCase())}`;
      const headers = method === 'get' ? {} : headersOf(schema.tags ?? []);
      return { schema: { ...schema, ...headers, description, security, operationId }, url };
    },
  });
  for (const [name, schema] of components) server.addSchema({ ...schema, $id: name });
}

/** Tags of what belongs to the policy. */
const policyTags = ['templates', 'sets', 'history', 'servers', 'assignments', 'changes'];

function headersOf(tags: readonly string[]): { readonly headers?: TObject } {
  if (tags.some((tag) => policyTags.includes(tag))) return { headers: changeHeaders };
  return tags.includes('users') ? { headers: messageHeaders } : {};
}

/** Of every change. */
const messageHeaders = Type.Object({
  'tunwall-message': Type.Optional(
    Type.String({
      description: `Why, for history and audit log: text in UTF-8, percent-encoded; at most ${maxWhy} characters.`,
    }),
  ),
});

/** Of every change of the policy. */
const changeHeaders = Type.Object({
  ...messageHeaders.properties,
  'tunwall-confirm': Type.Optional(
    Type.String({
      description: `The change is undone after this time, unless it is confirmed: ${confirmWords}.`,
      examples: ['60s'],
    }),
  ),
  prefer: Type.Optional(
    Type.String({ description: '`openings`: `applied` says what has become possible.' }),
  ),
});

export function openApiRoute(app: Api): void {
  app.get(
    '/openapi.json',
    {
      config: { access: 'public' },
      schema: {
        tags: ['operation'],
        summary: 'This document',
        response: { 200: Type.Unsafe<object>({ type: 'object' }), ...problems },
      },
    },
    () => app.swagger(),
  );
}
