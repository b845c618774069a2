/** The routes of sets: see `api-table.ts`. */
import type { Row } from './api-table-operation.ts';

const gone = { problem: 'not-found' };
const office = '/v1/sets/office';
const none = '/v1/sets/nope';
const outdated = { headers: { 'if-match': '"stale"' }, problem: 'precondition-failed' };
const plain = { 'content-type': 'text/plain' };

export const setTable: Record<string, Row> = {
  'GET /v1/sets': {
    access: 'view',
    url: '/v1/sets?changed=1',
    wrong: [{ url: '/v1/sets?sort=name', problem: 'invalid', errors: ['sort'] }],
  },
  'POST /v1/sets': {
    access: 'owner',
    url: '/v1/sets',
    body: { name: 'vpn', addresses: ['10.8.0.0/16'], except: ['10.8.0.1'] },
    status: 201,
    wrong: [
      { body: { name: 'office' }, problem: 'exists' },
      { body: {}, problem: 'invalid', errors: ['name'] },
      { body: { name: '../x' }, problem: 'invalid', errors: ['name'] },
      { body: { name: 'x', addreses: [] }, problem: 'invalid', errors: ['addreses'] },
      {
        body: { name: 'x', addresses: ['10.0.0.1/8'], include: ['office'] },
        problem: 'invalid',
        errors: ['addresses[0]', 'include[0]'],
      },
      { body: { name: 'x', include: ['set:ofice'] }, problem: 'invalid', errors: ['include[0]'] },
      { body: { name: 'x', file: '../x.txt' }, problem: 'invalid', errors: ['file'] },
      { body: { name: 'x', file: 'x.txt' }, problem: 'invalid', errors: ['file'] },
    ],
  },
  'GET /v1/sets/{name}': { access: 'view', url: office, wrong: [{ url: none, ...gone }] },
  'PUT /v1/sets/{name}': {
    access: 'owner',
    url: office,
    body: { addresses: ['192.0.2.7'], file: 'office.txt' },
    wrong: [
      { body: { name: 'other' }, problem: 'invalid', errors: ['name'] },
      { body: { include: ['set:all'] }, problem: 'broken' },
      { body: {}, ...outdated },
      { headers: { 'if-none-match': '*' }, body: {}, problem: 'precondition-failed' },
      { url: none, headers: { 'if-match': '*' }, body: {}, problem: 'precondition-failed' },
    ],
  },
  'PATCH /v1/sets/{name}': {
    access: 'owner',
    url: office,
    body: { description: 'Ours', add: ['192.0.2.0/24', '10.0.0.9'], remove: ['203.0.113.7'] },
    wrong: [
      { url: none, body: { add: ['10.0.0.1'] }, ...gone },
      { body: { add: ['10.0.0.300'] }, problem: 'invalid', errors: ['add[0]'] },
      { body: { remove: ['192.0.2.7'] }, problem: 'invalid', errors: ['remove[0]'] },
      { body: { addresses: [] }, problem: 'invalid', errors: ['addresses'] },
      { body: { add: ['10.0.0.1'] }, ...outdated },
    ],
  },
  'DELETE /v1/sets/{name}': {
    access: 'owner',
    url: `${office}?force=1`,
    wrong: [{ url: none, ...gone }, { url: office, problem: 'in-use' }, outdated],
  },
  'GET /v1/sets/{name}/list': {
    access: 'view',
    url: `${office}/list`,
    wrong: [{ url: `${none}/list`, ...gone }],
  },
  'POST /v1/sets/import': {
    access: 'owner',
    url: '/v1/sets/import?name=drop',
    headers: plain,
    body: '; Spamhaus DROP\n192.0.2.0/24 ; SBL1\n',
    wrong: [
      { headers: plain, body: 'x\n', problem: 'invalid', errors: ['line 1'] },
      { headers: plain, body: '# nothing\n', problem: 'invalid', errors: [''] },
      {
        url: '/v1/sets/import?name=UPPER',
        headers: plain,
        body: '10.0.0.1',
        problem: 'invalid',
        errors: ['file', 'name'],
      },
      {
        url: '/v1/sets/import?format=xml',
        headers: plain,
        body: 'x',
        problem: 'invalid',
        errors: ['format'],
      },
      { headers: { 'content-type': 'text/html' }, body: 'x', problem: 'unsupported-media-type' },
      { headers: {}, body: ['10.0.0.1'], problem: 'unsupported-media-type' },
    ],
  },
  'POST /v1/sets/{name}/clone': {
    access: 'owner',
    url: `${office}/clone`,
    body: { to: 'copy' },
    status: 201,
    wrong: [
      { url: `${none}/clone`, body: { to: 'copy' }, ...gone },
      { body: { to: 'all' }, problem: 'exists' },
    ],
  },
  'POST /v1/sets/{name}/rename': {
    access: 'owner',
    url: `${office}/rename`,
    body: { to: 'hq' },
    status: 201,
    wrong: [
      { url: `${none}/rename`, body: { to: 'hq' }, ...gone },
      { body: { to: 'all' }, problem: 'exists' },
      { body: { to: 'hq' }, ...outdated },
    ],
  },
  'GET /v1/sets/{name}/history': {
    access: 'view',
    url: `${office}/history`,
    wrong: [{ url: `${none}/history`, ...gone }],
  },
  'GET /v1/sets/{name}/history/{version}': {
    access: 'view',
    url: `${office}/history/1`,
    wrong: [{ url: `${office}/history/2`, ...gone }],
  },
  'GET /v1/sets/{name}/history/diff': {
    access: 'view',
    url: `${office}/history/diff?from=0&to=1`,
    wrong: [{ url: `${office}/history/diff?to=9`, ...gone }],
  },
  'POST /v1/sets/{name}/rollback': {
    access: 'owner',
    url: `${office}/rollback`,
    body: { version: 1 },
    wrong: [
      { body: { version: 7 }, problem: 'invalid', errors: ['version'] },
      { url: `${none}/rollback`, body: { version: 1 }, ...gone },
    ],
  },
};
