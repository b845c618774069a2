/**
 * Every route: its access level, a correct request, and wrong ones with their answers. `api-access.test.ts` sends
 * them, and fails for a route that has no row.
 */
import { operationTable } from './api-table-operation.ts';
import type { Row } from './api-table-operation.ts';
import { setTable } from './api-table-sets.ts';

const rule = { protocol: 'udp', ports: [53] };
const noName = '/v1/templates/nope';
const badRule = { protocol: 'tcp', ports: [0], sources: ['10.0.0.0/33'] };
const badRulePaths = ['ports[0]', 'sources[0]'];
const gone = { problem: 'not-found' };
const web = '/v1/templates/web';
const stale = { 'if-match': '"stale"' };
const outdated = { headers: stale, problem: 'precondition-failed' };
const unreadable = { headers: { 'if-match': 'stale' }, problem: 'bad-request' };

export const routeTable: Record<string, Row> = {
  ...operationTable,
  ...setTable,
  'GET /v1/templates': {
    access: 'view',
    url: '/v1/templates?changed=true',
    wrong: [
      { url: '/v1/templates?changed=perhaps', problem: 'invalid', errors: ['changed'] },
      { url: '/v1/templates?sort=name', problem: 'invalid', errors: ['sort'] },
    ],
  },
  'POST /v1/templates': {
    access: 'owner',
    url: '/v1/templates',
    body: { name: 'mail', inbound: [rule], assignTo: ['web-1'] },
    status: 201,
    wrong: [
      { problem: 'invalid', errors: [''] },
      { body: [], problem: 'invalid', errors: [''] },
      { body: { name: 'web' }, problem: 'exists' },
      { body: { name: '../x' }, problem: 'invalid', errors: ['name'] },
      { body: { name: 'UPPER' }, problem: 'invalid', errors: ['name'] },
      {
        body: { inbound: [badRule], outbound: [{}], assignTo: 'web-1' },
        problem: 'invalid',
        errors: [
          ...['name', 'assignTo', 'inbound[0].ports[0]', 'inbound[0].sources[0]', 'outbound[0]'],
        ],
      },
      { body: { name: 'x', inbund: [] }, problem: 'invalid', errors: ['inbund'] },
      { body: { name: 'x', preset: 'sshh' }, problem: 'invalid', errors: ['preset'] },
      { body: { name: 'x', clone: 'nope' }, problem: 'invalid', errors: ['clone'] },
      {
        body: { name: 'x', preset: 'ssh', clone: 'web', inbound: [] },
        problem: 'invalid',
        errors: ['clone', 'inbound'],
      },
      {
        body: { name: 'x', assignTo: ['web-1', 'y'] },
        problem: 'invalid',
        errors: ['assignTo[1]'],
      },
    ],
  },
  'POST /v1/templates/prune': {
    access: 'owner',
    url: '/v1/templates/prune',
    body: {},
    wrong: [
      { body: { templates: ['nope'] }, ...gone },
      { body: { templates: ['nope'], dryRun: true }, ...gone },
      { body: { dryRun: 'yes' }, problem: 'invalid', errors: ['dryRun'] },
    ],
  },
  'GET /v1/templates/{name}': { access: 'view', url: web, wrong: [{ url: noName, ...gone }] },
  'PUT /v1/templates/{name}': {
    access: 'owner',
    url: web,
    body: { inbound: [rule] },
    wrong: [
      { url: '/v1/templates/..%2fx', body: {}, problem: 'invalid', errors: ['name'] },
      { body: { name: 'other' }, problem: 'invalid', errors: ['name'] },
      {
        body: { inbound: [rule, badRule] },
        problem: 'invalid',
        errors: ['inbound[1].ports[0]', 'inbound[1].sources[0]'],
      },
      { ...outdated, body: {} },
      { ...unreadable, body: {} },
      { headers: { 'if-none-match': '*' }, body: {}, problem: 'precondition-failed' },
      { headers: { 'if-none-match': '"x"' }, body: {}, problem: 'bad-request' },
      { url: noName, headers: { 'if-match': '*' }, body: {}, problem: 'precondition-failed' },
    ],
  },
  'DELETE /v1/templates/{name}': {
    access: 'owner',
    url: `${web}?force=true`,
    wrong: [
      { url: noName, ...gone },
      { url: web, problem: 'in-use' },
      { url: `${web}?force=yes`, problem: 'invalid', errors: ['force'] },
      outdated,
      unreadable,
    ],
  },
  'POST /v1/templates/{name}/clone': {
    access: 'owner',
    url: `${web}/clone`,
    body: { to: 'copy' },
    status: 201,
    wrong: [
      { url: `${noName}/clone`, body: { to: 'copy' }, ...gone },
      { body: { to: 'spare' }, problem: 'exists' },
      { body: { to: '../copy' }, problem: 'invalid', errors: ['to'] },
      { body: {}, problem: 'invalid', errors: ['to'] },
    ],
  },
  'POST /v1/templates/{name}/rename': {
    access: 'owner',
    url: `${web}/rename`,
    body: { to: 'other' },
    status: 201,
    wrong: [
      { url: `${noName}/rename`, body: { to: 'other' }, ...gone },
      { body: { to: 'spare' }, problem: 'exists' },
      { body: { to: 'other' }, ...outdated },
    ],
  },
  'POST /v1/templates/{name}/rules/{direction}': {
    access: 'owner',
    url: `${web}/rules/inbound?index=0`,
    body: rule,
    status: 201,
    wrong: [
      { url: `${noName}/rules/inbound`, body: rule, ...gone },
      { url: `${web}/rules/sideways`, body: rule, problem: 'invalid', errors: ['direction'] },
      { url: `${web}/rules/inbound?index=9`, body: rule, ...gone },
      { url: `${web}/rules/inbound?index=-1`, body: rule, problem: 'invalid', errors: ['index'] },
      { url: `${web}/rules/inbound?index=0e0`, body: rule, problem: 'invalid', errors: ['index'] },
      { body: badRule, problem: 'invalid', errors: badRulePaths },
      { body: { destinations: ['any'] }, problem: 'invalid', errors: [''] },
      { body: rule, ...outdated },
    ],
  },
  'PUT /v1/templates/{name}/rules/{direction}/{index}': {
    access: 'owner',
    url: `${web}/rules/inbound/1`,
    body: { ...rule, hits: 7 },
    wrong: [
      { url: `${web}/rules/outbound/0`, body: rule, ...gone },
      { url: `${web}/rules/inbound/x`, body: rule, problem: 'invalid', errors: ['index'] },
      { body: badRule, problem: 'invalid', errors: badRulePaths },
      { body: rule, ...outdated },
    ],
  },
  'DELETE /v1/templates/{name}/rules/{direction}/{index}': {
    access: 'owner',
    url: `${web}/rules/inbound/1`,
    wrong: [{ url: `${web}/rules/inbound/2`, ...gone }, outdated, unreadable],
  },
  'POST /v1/templates/{name}/rules/{direction}/{index}/move': {
    access: 'owner',
    url: `${web}/rules/inbound/1/move`,
    body: { to: 0 },
    wrong: [
      { body: { to: 2 }, ...gone },
      { body: { to: -1 }, problem: 'invalid', errors: ['to'] },
      { body: { to: 0 }, ...outdated },
    ],
  },
  'GET /v1/templates/{name}/history': {
    access: 'view',
    url: `${web}/history`,
    wrong: [{ url: '/v1/templates/..%2f..%2fetc/history', ...gone }],
  },
  'GET /v1/templates/{name}/history/{version}': {
    access: 'view',
    url: `${web}/history/1`,
    wrong: [
      { url: `${web}/history/9`, ...gone },
      { url: `${web}/history/0`, problem: 'invalid', errors: ['version'] },
      ...['1e0', '0x1', '01', '+1', '1.0', '%201', '-1', '1n', '9'.repeat(30)].map((each) => ({
        ...{ url: `${web}/history/${each}`, problem: 'invalid', errors: ['version'] },
      })),
      { url: '/v1/templates/..%2f..%2fetc/history/1', ...gone },
    ],
  },
  'GET /v1/templates/{name}/history/diff': {
    access: 'view',
    url: `${web}/history/diff?from=0&to=1`,
    wrong: [
      { url: `${noName}/history/diff`, ...gone },
      { url: `${web}/history/diff?from=8`, ...gone },
      { url: `${web}/history/diff?from=x&to=0`, problem: 'invalid', errors: ['from', 'to'] },
    ],
  },
  'POST /v1/templates/{name}/rollback': {
    access: 'owner',
    url: `${web}/rollback`,
    body: { version: 1 },
    wrong: [
      { url: `${noName}/rollback`, body: { version: 1 }, ...gone },
      { body: { version: 9 }, problem: 'invalid', errors: ['version'] },
      { body: { version: '1' }, problem: 'invalid', errors: ['version'] },
      { body: { version: 1 }, ...outdated },
    ],
  },
  'GET /v1/templates/{name}/servers': {
    access: 'view',
    url: `${web}/servers`,
    wrong: [{ url: `${noName}/servers`, ...gone }],
  },
  'PUT /v1/templates/{name}/servers': {
    access: 'owner',
    url: `${web}/servers`,
    body: { servers: ['db-1'] },
    wrong: [
      { url: `${noName}/servers`, body: { servers: [] }, ...gone },
      { body: { servers: ['db-1', 'y'] }, problem: 'invalid', errors: ['servers[1]'] },
      { body: { servers: [1] }, problem: 'invalid', errors: ['servers[0]'] },
    ],
  },

  'GET /v1/servers': {
    access: 'view',
    url: '/v1/servers?template=web&selector=role%3Dweb',
    wrong: [{ url: '/v1/servers?selector=a%20b', problem: 'invalid', errors: ['selector'] }],
  },
  'POST /v1/servers': {
    access: 'owner',
    url: '/v1/servers',
    body: { name: 'new', addresses: ['10.0.0.9'], templates: ['web'] },
    status: 201,
    wrong: [
      { body: { name: 'web-1', addresses: ['10.0.0.9'] }, problem: 'exists' },
      {
        body: { addresses: ['10.0.0.256'], templates: ['wbe'], labels: { a: 1 } },
        problem: 'invalid',
        errors: ['name', 'addresses[0]', 'templates[0]', 'labels.a'],
      },
      {
        body: { name: 'new', addresses: ['10.0.0.9', '10.0.0.2'] },
        problem: 'invalid',
        errors: ['addresses[1]'],
      },
      { body: { name: '../x', addresses: ['10.0.0.9'] }, problem: 'invalid', errors: ['name'] },
    ],
  },
  'GET /v1/servers/{name}': {
    access: 'view',
    url: '/v1/servers/web-1',
    wrong: [
      { url: '/v1/servers/..', ...gone },
      { url: '/v1/servers/nope', ...gone },
    ],
  },
  'PUT /v1/servers/{name}': {
    access: 'owner',
    url: '/v1/servers/new',
    body: { addresses: ['10.0.0.9'] },
    status: 201,
    wrong: [
      { body: { addresses: [] }, problem: 'invalid', errors: ['addresses'] },
      { url: '/v1/servers/web-1', body: { addresses: ['10.0.0.2'] }, ...outdated },
      {
        ...{ url: '/v1/servers/web-1', body: { addresses: ['10.0.0.2'] } },
        ...{ headers: { 'if-none-match': '*' }, problem: 'precondition-failed' },
      },
    ],
  },
  'PATCH /v1/servers/{name}': {
    access: 'owner',
    url: '/v1/servers/web-1',
    body: { labels: { role: 'web', env: null }, region: null },
    wrong: [
      { url: '/v1/servers/nope', body: {}, ...gone },
      { body: { labels: { role: 1 } }, problem: 'invalid', errors: ['labels.role'] },
      { body: { addresses: ['x'] }, problem: 'invalid', errors: ['addresses[0]'] },
      { body: { lables: {} }, problem: 'invalid', errors: ['lables'] },
      { body: { addresses: null }, problem: 'invalid', errors: [''] },
      { body: { region: 'hk' }, ...outdated },
    ],
  },
  'POST /v1/servers/{name}/rename': {
    access: 'owner',
    url: '/v1/servers/web-1/rename',
    body: { to: 'web-9' },
    status: 201,
    wrong: [
      { url: '/v1/servers/nope/rename', body: { to: 'x' }, ...gone },
      { body: { to: 'db-1' }, problem: 'exists' },
      { body: { to: 'UPPER' }, problem: 'invalid', errors: ['to'] },
      { body: { to: 'x' }, ...outdated },
    ],
  },
  'DELETE /v1/servers/{name}': {
    access: 'owner',
    url: '/v1/servers/web-1',
    wrong: [{ url: '/v1/servers/nope', ...gone }, outdated, unreadable],
  },
  'GET /v1/servers/{name}/rules': {
    access: 'view',
    url: '/v1/servers/web-1/rules',
    wrong: [{ url: '/v1/servers/nope/rules', ...gone }],
  },
  'GET /v1/servers/{name}/templates': {
    access: 'view',
    url: '/v1/servers/web-1/templates',
    wrong: [{ url: '/v1/servers/nope/templates', ...gone }],
  },
  'PUT /v1/servers/{name}/templates': {
    access: 'owner',
    url: '/v1/servers/web-1/templates',
    body: { templates: ['spare'] },
    wrong: [
      { url: '/v1/servers/nope/templates', body: { templates: [] }, ...gone },
      { url: '/v1/servers/nope/templates', body: { templates: ['web'] }, ...gone },
      { body: { templates: ['nope'] }, problem: 'invalid', errors: ['templates[0]'] },
      { body: { templates: [] }, ...outdated },
    ],
  },
  'POST /v1/assignments': {
    access: 'owner',
    url: '/v1/assignments',
    body: { servers: ['web-1', 'db-1'], templates: ['web', 'spare'] },
    wrong: [
      {
        body: { servers: ['web-1', 'x'], templates: ['y'] },
        problem: 'invalid',
        errors: ['templates[0]', 'servers[1]'],
      },
      { body: { servers: ['web-1'] }, problem: 'invalid', errors: ['templates'] },
      { body: { templates: ['web'] }, problem: 'invalid', errors: [''] },
      {
        body: { selector: 'a b', templates: ['web'] },
        problem: 'invalid',
        errors: ['selector'],
      },
      {
        body: { selector: 'a', servers: [], templates: ['web'] },
        problem: 'invalid',
        errors: ['selector'],
      },
    ],
  },
  'POST /v1/assignments/remove': {
    access: 'owner',
    url: '/v1/assignments/remove',
    body: { servers: ['web-1'], templates: ['web'] },
    wrong: [
      { body: { servers: ['x'], templates: ['web'] }, problem: 'invalid', errors: ['servers[0]'] },
    ],
  },
  'GET /v1/history': {
    access: 'view',
    url: '/v1/history?limit=2',
    wrong: [{ url: '/v1/history?limit=0', problem: 'invalid', errors: ['limit'] }],
  },
  'GET /v1/history/diff': {
    access: 'view',
    url: '/v1/history/diff',
    wrong: [
      { url: '/v1/history/diff?from=x', problem: 'invalid', errors: ['from'] },
      { url: '/v1/history/diff?from=0&to=999999', problem: 'not-found' },
    ],
  },
  'POST /v1/review': {
    access: 'owner',
    url: '/v1/review?flows=true',
    body: { template: { name: 'web', inbound: [] } },
    wrong: [
      { body: {}, problem: 'invalid', errors: [''] },
      {
        ...{ url: '/v1/review?flows=2', body: { template: { name: 'web' } } },
        ...{ problem: 'invalid', errors: ['flows'] },
      },
      {
        body: { template: { name: 'web' }, operations: [] },
        problem: 'invalid',
        errors: ['template'],
      },
      {
        body: { template: { name: 'web', inbound: [badRule] } },
        problem: 'invalid',
        errors: ['inbound[0].ports[0]', 'inbound[0].sources[0]'],
      },
      {
        body: { operations: [{ kind: 'destroy-template', name: 'web' }] },
        problem: 'in-use',
      },
      {
        body: { operations: [{ kind: 'destroy-templat', name: 'web' }, 7] },
        problem: 'invalid',
        errors: ['operations[0].kind', 'operations[1].kind'],
      },
    ],
  },
  'POST /v1/changes/confirm': {
    access: 'owner',
    url: '/v1/changes/confirm',
    // Nothing waits.
    status: 404,
    wrong: [
      { url: '/v1/changes/confirm?revision=7', ...gone },
      { url: '/v1/changes/confirm?revision=0', problem: 'invalid', errors: ['revision'] },
    ],
  },
  'POST /v1/changes/revert': {
    access: 'owner',
    url: '/v1/changes/revert',
    // Nothing waits.
    status: 404,
    wrong: [
      { url: '/v1/changes/revert?revision=7', ...gone },
      { url: '/v1/changes/revert?revision=0', problem: 'invalid', errors: ['revision'] },
    ],
  },
  'POST /v1/changes': {
    access: 'owner',
    url: '/v1/changes',
    body: {
      operations: [
        { kind: 'create-template', name: 'mail', body: { inbound: [rule] } },
        { kind: 'assign', servers: ['db-1'], templates: ['mail'] },
      ],
    },
    wrong: [
      { body: { operations: [] }, problem: 'invalid', errors: ['operations'] },
      {
        body: {
          operations: [
            { kind: 'create-template', name: 'mail', body: { inbound: [badRule] } },
            { kind: 'add-rule', template: 'web', direction: 'inbound', rule: badRule },
          ],
        },
        problem: 'invalid',
        errors: [
          ...['operations[0].body.inbound[0].ports[0]', 'operations[0].body.inbound[0].sources[0]'],
          ...['operations[1].rule.ports[0]', 'operations[1].rule.sources[0]'],
        ],
      },
      {
        body: { operations: [{ kind: 'move-rule', template: 5, direction: 'up', index: -1 }] },
        problem: 'invalid',
        errors: ['template', 'direction', 'index', 'to'].map((each) => `operations[0].${each}`),
      },
    ],
  },
  'GET /v1/presets': { access: 'view', url: '/v1/presets' },
  'GET /v1/presets/{name}': {
    access: 'view',
    url: '/v1/presets/ssh',
    wrong: [{ url: '/v1/presets/nope', ...gone }],
  },
};
