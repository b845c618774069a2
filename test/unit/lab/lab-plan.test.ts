import { expect, it } from 'vitest';
import { planHosts } from '../../../src/lab/lab-plan.ts';

it('each host has a cable of its own, and the firewall the first address of its network', () => {
  const plans = planHosts({
    client: '198.51.100.9/28',
    web: { address: ['10.0.0.1/24', '10.0.0.3/24'], gateway: '10.0.0.254', routers: ['near'] },
  });
  expect(plans).toEqual([
    {
      ...{ name: 'client', address: '198.51.100.9/28', addresses: ['198.51.100.9/28'] },
      ...{ gatewayAddress: '198.51.100.1/28', routers: [], serves: [] },
    },
    {
      ...{ name: 'web', address: '10.0.0.1/24', addresses: ['10.0.0.1/24', '10.0.0.3/24'] },
      ...{ gatewayAddress: '10.0.0.254/24', routers: ['near'], serves: [] },
    },
  ]);
});

it.each([
  [{}, 'a lab without hosts'],
  [{ Web: '10.0.0.2/24' }, '"Web" cannot be a host'],
  [{ gateway: '10.0.0.2/24' }, '"gateway" cannot be a host'],
  [{ web: '10.0.0.2' }, 'web: 10.0.0.2 is no address'],
  [{ web: { address: [] } }, 'web has no address'],
  [{ web: '10.0.0.1/24' }, "web has the firewall's address 10.0.0.1"],
  [
    { a: '10.0.0.2/24', b: '10.0.0.3/16' },
    'a and b are in one network, 10.0.0.2/24 and 10.0.0.3/16',
  ],
  [{ a: { address: '10.0.0.2/24', routers: ['b'] }, b: '10.0.1.2/24' }, 'there are two hosts b'],
])('refuses %j', (hosts, message) => {
  expect(() => planHosts(hosts)).toThrow(message);
});
