/** Who a client of the API is: behind a proxy, as a monitor that asks by any name, or on the listener for metrics. */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ApiLab } from '../../../support/api.ts';
import { alice } from '../../../support/stores.ts';

let lab: ApiLab;
afterEach(async () => lab.close());

const proxied = { 'x-forwarded-for': '203.0.113.9, 198.51.100.7', 'x-forwarded-proto': 'https' };
const wrongToken = { authorization: 'Bearer tunwall_wrong' };

async function denied(): Promise<(string | undefined)[]> {
  const { records } = await lab.store.audit.query({ result: 'denied' });
  return records.map(({ actor }) => actor.address);
}

describe('behind a proxy', () => {
  const send = (remoteAddress: string, headers: Record<string, string>) =>
    lab.send('nobody', 'GET /v1/status', { remoteAddress, headers });

  it('that is trusted, it has the address that the proxy has seen', async () => {
    lab = await ApiLab.create({ trustsProxy: (address) => address === '127.0.0.1' });
    await send('127.0.0.1', { ...proxied, ...wrongToken });
    await send('192.0.2.1', { ...proxied, ...wrongToken });
    expect((await denied()).sort()).toEqual(['192.0.2.1', '198.51.100.7']);
  });

  it('the cookie is for TLS only if a proxy that is trusted says that the browser speaks it', async () => {
    lab = await ApiLab.create({ trustsProxy: (address) => address === '127.0.0.1' });
    const body = { name: 'bob', password: 'correct horse' };
    await lab.store.users.create(alice, { ...body, role: 'member' });
    const cookie = async (remoteAddress: string, protocol: string): Promise<unknown> => {
      const headers = { ...proxied, 'x-forwarded-proto': protocol };
      const sent = { body, headers, remoteAddress };
      return (await lab.send('nobody', 'POST /v1/session', sent)).headers['set-cookie'];
    };
    expect(await cookie('127.0.0.1', 'https')).toMatch(/^__Host-tunwall_session=.*; Secure/);
    for (const plain of [await cookie('127.0.0.1', 'http'), await cookie('192.0.2.1', 'https')]) {
      expect(plain).toMatch(/^tunwall_session=/);
      expect(plain).not.toContain('Secure');
    }
  });

  it('that is not trusted, it has the address of the proxy, and the operator is told once', async () => {
    lab = await ApiLab.create();
    for (let i = 0; i < 2; i++) await send('127.0.0.1', { ...proxied, ...wrongToken });
    expect(await denied()).toEqual(['127.0.0.1']);
    expect(lab.warnings).toEqual([
      '127.0.0.1 asks for others (X-Forwarded-For): if it is your proxy, name it in api.trustedProxies of gateway.yaml',
    ]);
  });
});

describe('metrics', () => {
  const ask = (url: string, remoteAddress: string) =>
    lab.send('nobody', `GET ${url}`, { remoteAddress, headers: { host: 'fw.example:9100' } });
  const mayMonitor = (address: string): boolean => address === '192.0.2.1';

  it('are answered under any name where the address is allowed, and nothing else is', async () => {
    lab = await ApiLab.create({ mayMonitor });
    // Without a firewall there are none, which is an answer as well.
    expect((await ask('/metrics', '192.0.2.1')).problem).toBe('no-firewall');
    expect((await ask('/metrics', '192.0.2.2')).problem).toBe('foreign-host');
    expect((await ask('/v1/status', '192.0.2.1')).problem).toBe('foreign-host');
  });

  it('have a listener of their own, which serves nothing else, and only to allowed addresses', async () => {
    lab = await ApiLab.create({ mayMonitor, listener: 'metrics' });
    expect((await ask('/metrics', '192.0.2.1')).problem).toBe('no-firewall');
    expect((await ask('/healthz', '192.0.2.1')).status).toBe(200);
    expect((await ask('/healthz', '192.0.2.2')).problem).toBe('forbidden');
    expect((await ask('/v1/status', '192.0.2.1')).problem).toBe('not-found');
    expect((await ask('/', '192.0.2.1')).problem).toBe('not-found');
  });
});

describe('the audit log', () => {
  beforeEach(async () => {
    lab = await ApiLab.create();
  });

  it('has every wrong token, and no look without credentials', async () => {
    await lab.send('nobody', 'GET /v1/session');
    await lab.send('nobody', 'GET /v1/status');
    expect(await denied()).toEqual([]);
    await lab.send('nobody', 'GET /v1/status', { headers: wrongToken });
    expect(await denied()).toEqual(['127.0.0.1']);
  });
});
