/** The rows of `api-table.ts` that are about the running firewall, users and sessions. */
import type { Access } from '../../src/control/api/access.ts';
import type { Sent } from './api.ts';
import { flow } from './fake-observer.ts';

export interface Wrong extends Sent {
  readonly url?: string;
  readonly problem: string;
  /** Paths of the errors, if there are. */
  readonly errors?: readonly string[];
}

export interface Row extends Sent {
  readonly access: Access;
  readonly url: string;
  readonly status?: number;
  /** Instead of `status`, for an owner: with a token, as all of these requests are. */
  readonly ownerStatus?: number;
  readonly wrong?: readonly Wrong[];
  /** Only a running firewall can answer. */
  readonly live?: boolean;
}

const gone = { problem: 'not-found' };

export const operationTable: Record<string, Row> = {
  'GET /healthz': { access: 'public', url: '/healthz' },
  'GET /metrics': { access: 'public', url: '/metrics', status: 503 },
  'GET /openapi.json': { access: 'public', url: '/openapi.json' },

  'POST /v1/resolve': {
    access: 'view',
    url: '/v1/resolve',
    body: { peers: ['server:web-1', '192.0.2.0/24'], except: ['192.0.2.7'] },
    wrong: [
      { body: {}, problem: 'invalid', errors: ['peers'] },
      { body: { peers: ['192.0.2.0/33'] }, problem: 'invalid', errors: ['peers[0]'] },
      {
        body: { peers: ['set:nope', '10.0.0.1'], except: ['server:nope'] },
        problem: 'invalid',
        errors: ['peers[0]', 'except[0]'],
      },
      { body: { peers: [], other: 1 }, problem: 'invalid', errors: ['other'] },
    ],
  },
  'POST /v1/explain': {
    access: 'view',
    url: '/v1/explain',
    body: { src: '198.51.100.7', dst: '10.0.0.2', protocol: 'tcp', dstPort: 443 },
    wrong: [
      { body: {}, problem: 'invalid', errors: ['src', 'dst', 'protocol'] },
      {
        body: { src: '1.2.3', dst: '::1', protocol: 'tcp', icmpType: 8 },
        problem: 'invalid',
        errors: ['src', 'dst', 'icmpType', 'dstPort'],
      },
      { body: { hex: '450', src: '10.0.0.1' }, problem: 'invalid', errors: ['src', 'hex'] },
      { body: { protocol: 'sctp' }, problem: 'invalid', errors: ['protocol'] },
    ],
  },
  'GET /v1/reach': {
    access: 'view',
    url: '/v1/reach?from=any&to=web-1%3A443&protocol=tcp',
    wrong: [
      { url: '/v1/reach', problem: 'invalid', errors: ['to'] },
      {
        url: '/v1/reach?from=web-1%3A80&to=nope%3A99999',
        problem: 'invalid',
        errors: ['to', 'from'],
      },
      { url: '/v1/reach?to=web-1%3A80&protocol=icmp', problem: 'invalid', errors: ['to'] },
      { url: '/v1/reach?to=set%3Anope', problem: 'invalid', errors: ['to'] },
    ],
  },
  'GET /v1/servers/{name}/suggestion': {
    access: 'view',
    url: '/v1/servers/web-1/suggestion?peers=4&atLeast=2',
    wrong: [
      { url: '/v1/servers/nope/suggestion', problem: 'not-found' },
      { url: '/v1/servers/web-1/suggestion?peers=0', problem: 'invalid', errors: ['peers'] },
      { url: '/v1/servers/web-1/suggestion?template=x', problem: 'invalid', errors: ['template'] },
    ],
  },
  'GET /v1/find': {
    access: 'view',
    url: '/v1/find?q=443',
    wrong: [
      { url: '/v1/find', problem: 'invalid', errors: ['q'] },
      { url: '/v1/find?q=10.0.0.1%2F8', problem: 'invalid', errors: ['q'] },
      { url: '/v1/find?q=70000', problem: 'invalid', errors: ['q'] },
    ],
  },
  'GET /v1/flows': {
    access: 'view',
    url: '/v1/flows?server=web-1&port=443&rule=web%2Finbound%2F0&sort=age&limit=10',
    live: true,
    wrong: [
      { url: '/v1/flows?server=nope', ...gone },
      { url: '/v1/flows?rule=nope', ...gone },
      { url: '/v1/flows?rule=web%2Finbound%2F99', ...gone },
      { url: '/v1/flows?rule=web%2F0', problem: 'invalid', errors: ['rule'] },
      { url: '/v1/flows?address=10.0.0', problem: 'invalid', errors: ['address'] },
      {
        url: '/v1/flows?port=65536&state=open&sort=size&limit=0',
        problem: 'invalid',
        errors: ['port', 'state', 'sort', 'limit'],
      },
    ],
  },
  'DELETE /v1/flows/{id}': {
    access: 'owner',
    url: `/v1/flows/${flow.id}`,
    live: true,
    wrong: [{ url: '/v1/flows/0-0', ...gone }],
  },
  'GET /v1/drops': {
    access: 'view',
    url: '/v1/drops',
    headers: { accept: 'application/json' },
    live: true,
    wrong: [
      { url: '/v1/drops?server=nope', ...gone },
      {
        url: '/v1/drops?reason=because&limit=1001',
        problem: 'invalid',
        errors: ['reason', 'limit'],
      },
    ],
  },
  'GET /v1/drops/groups': {
    access: 'view',
    url: '/v1/drops/groups?by=source,reason&sort=last',
    live: true,
    wrong: [
      { url: '/v1/drops/groups?server=nope', ...gone },
      { url: '/v1/drops/groups?by=colour', problem: 'invalid', errors: ['by'] },
    ],
  },
  'GET /v1/drop-reasons': { access: 'view', url: '/v1/drop-reasons' },
  'GET /v1/stats': {
    access: 'view',
    url: '/v1/stats?rules=true&servers=true',
    live: true,
    wrong: [{ url: '/v1/stats?servers=web-1', problem: 'invalid', errors: ['servers'] }],
  },
  'GET /v1/stats/history': {
    access: 'view',
    url: '/v1/stats/history?step=minute&limit=10',
    live: true,
    wrong: [{ url: '/v1/stats/history?step=hour', problem: 'invalid', errors: ['step'] }],
  },
  'GET /v1/stats/history/servers': {
    access: 'view',
    url: '/v1/stats/history/servers?names=web-1,db-1',
    live: true,
    wrong: [{ url: '/v1/stats/history/servers', problem: 'invalid', errors: ['names'] }],
  },
  'GET /v1/capture': {
    access: 'owner',
    url: '/v1/capture?verdict=dropped&server=web-1&snaplen=128&limit=5',
    live: true,
    wrong: [
      { url: '/v1/capture?server=nope', ...gone },
      { url: '/v1/capture?snaplen=1', problem: 'invalid', errors: ['snaplen'] },
    ],
  },
  'GET /v1/status': { access: 'view', url: '/v1/status' },
  'GET /v1/gateways': { access: 'view', url: '/v1/gateways' },
  'POST /v1/upgrade': { access: 'owner', url: '/v1/upgrade', status: 503 },
  'GET /v1/audit': {
    access: 'owner',
    url: '/v1/audit?limit=5&since=2020-01-01T00:00:00Z',
    wrong: [
      { url: '/v1/audit?since=then&until=now', problem: 'invalid', errors: ['since', 'until'] },
      { url: '/v1/audit?result=good', problem: 'invalid', errors: ['result'] },
    ],
  },

  'GET /v1/users': { access: 'owner', url: '/v1/users' },
  'POST /v1/users': {
    access: 'owner',
    url: '/v1/users',
    body: { name: 'carol', role: 'member' },
    status: 201,
    wrong: [
      { body: { name: 'owner', role: 'member' }, problem: 'exists' },
      { body: { name: '../x', role: 'member' }, problem: 'invalid', errors: ['name'] },
      { body: { role: 'root' }, problem: 'invalid', errors: ['name', 'role'] },
      {
        body: { name: 'carol', role: 'member', password: 'short' },
        problem: 'invalid',
        errors: ['password'],
      },
    ],
  },
  'GET /v1/users/{name}': {
    access: 'anyone',
    url: '/v1/users/SELF',
    wrong: [{ url: '/v1/users/nope', ...gone }],
  },
  'DELETE /v1/users/{name}': {
    access: 'owner',
    url: '/v1/users/member',
    status: 204,
    wrong: [
      { url: '/v1/users/nope', ...gone },
      { url: '/v1/users/owner', problem: 'last-owner' },
    ],
  },
  'PUT /v1/users/{name}/role': {
    access: 'owner',
    url: '/v1/users/member/role',
    body: { role: 'billing-admin' },
    wrong: [
      { url: '/v1/users/nope/role', body: { role: 'member' }, ...gone },
      { url: '/v1/users/owner/role', body: { role: 'member' }, problem: 'last-owner' },
      { body: { role: 'root' }, problem: 'invalid', errors: ['role'] },
    ],
  },
  'PUT /v1/users/{name}/password': {
    access: 'anyone',
    url: '/v1/users/SELF/password',
    body: { password: 'a new password', current: 'wrong' },
    // No user here has a password at first: see api-session.test.ts for how it is done.
    status: 422,
    ownerStatus: 403,
    wrong: [
      { url: '/v1/users/nope/password', body: { password: 'a new password' }, ...gone },
      { body: { password: 'a new password' }, problem: 'forbidden' },
      {
        body: { password: 'a new password', revokeTokens: 1 },
        problem: 'invalid',
        errors: ['revokeTokens'],
      },
      {
        url: '/v1/users/member/password',
        body: { password: 'short' },
        problem: 'invalid',
        errors: ['password'],
      },
    ],
  },
  'POST /v1/users/{name}/tokens': {
    access: 'anyone',
    url: '/v1/users/SELF/tokens',
    body: { name: 'deploy' },
    status: 201,
    ownerStatus: 403,
    wrong: [
      { url: '/v1/users/nope/tokens', body: { name: 'deploy' }, ...gone },
      { body: { name: 'deploy' }, problem: 'forbidden' },
      { url: '/v1/users/member/tokens', body: { name: 'test' }, problem: 'exists' },
      {
        url: '/v1/users/member/tokens',
        body: { name: 'NO' },
        problem: 'invalid',
        errors: ['name'],
      },
    ],
  },
  'DELETE /v1/users/{name}/tokens/{token}': {
    access: 'anyone',
    url: '/v1/users/SELF/tokens/test',
    status: 204,
    wrong: [{ url: '/v1/users/owner/tokens/nope', ...gone }],
  },
  'POST /v1/session': {
    access: 'public',
    url: '/v1/session',
    body: { name: 'owner', password: 'wrong' },
    status: 401,
    wrong: [{ body: { name: 'owner' }, problem: 'invalid', errors: ['password'] }],
  },
  'GET /v1/session': { access: 'anyone', url: '/v1/session' },
  'DELETE /v1/session': { access: 'anyone', url: '/v1/session', status: 204 },
};
