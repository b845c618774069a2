import { expect, it } from 'vitest';
import { gatewayRegions, whichGateway } from '../../../src/text/regions.ts';

const gateway = (name: string, region?: string, state = 'ok') => ({
  ...{ name, state },
  ...(region !== undefined && { region }),
});
const fleet = [
  gateway('gw-5'),
  gateway('gw-3', 'sgp'),
  gateway('gw-1', 'hkg'),
  gateway('gw-2', 'hkg', 'stopped'),
];

it.each([
  ['hkg', ['hkg: gw-1, gw-2 (stopped)']],
  ['fra', ['fra: no gateway']],
  [undefined, ['hkg: gw-1, gw-2 (stopped)', 'sgp: gw-3', 'no region: gw-5']],
])('of a server in the region %s', (region, expected) => {
  expect(gatewayRegions(region, fleet)).toEqual(expected);
});

it.each([
  [{ name: 'gw-1', region: 'hkg' }, 'gw-1, region hkg'],
  [{ name: 'gw-1' }, 'gw-1'],
  [{ region: 'hkg' }, 'region hkg'],
  [{}, ''],
])('%j is %s', (gatewayNames, expected) => {
  expect(whichGateway(gatewayNames)).toBe(expected);
});
