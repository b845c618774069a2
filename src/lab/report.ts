/** What a lab leaves behind when a test fails: a directory with all that tells why. */
import { copyFile, cp, mkdtemp, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Gateway } from './gateway.ts';
import type { PlannedHost } from './lab-plan.ts';
import type { Network } from './network.ts';

interface Reported {
  readonly network: Network;
  readonly plans: readonly PlannedHost[];
  readonly gw: Gateway;
  readonly reports: string | undefined;
}

const readme = `topology.txt    hosts, cables, addresses, routes
drops.json      the last packets that were dropped, with their reasons
flows.json      what was tracked
packets.pcapng  packets from the start, with verdicts as comments: Wireshark opens it
firewall.log    what the firewall said
config/         its configuration
`;

export async function writeReport({ network, plans, gw, reports }: Reported): Promise<string> {
  const place = await mkdtemp(join(reports ?? tmpdir(), 'tunwall-lab-report-'));
  const write = (name: string, text: string): Promise<void> => writeFile(join(place, name), text);
  const json = async (name: string, value: () => Promise<unknown>): Promise<void> => {
    // The firewall itself may have ended: what there is, is reported.
    const found = await value().catch((error: unknown) => ({ error: String(error) }));
    await write(name, `${JSON.stringify(found, undefined, 2)}\n`);
  };
  await untilWritten(gw.packets);
  await write('README.txt', readme);
  await write('topology.txt', await topologyOf(network, plans));
  await json('drops.json', () => gw.drops());
  await json('flows.json', () => gw.flows());
  await copyFile(gw.packets, join(place, 'packets.pcapng'));
  await copyFile(gw.log, join(place, 'firewall.log'));
  await cp(join(network.directory, 'config'), join(place, 'config'), { recursive: true });
  return place;
}

/** The last packets are on their way for some milliseconds. */
async function untilWritten(file: string): Promise<void> {
  let before = -1;
  for (let tries = 0; tries < 10; tries++) {
    await sleep(250);
    const { size } = await stat(file);
    if (size === before) return;
    before = size;
  }
}

async function topologyOf(network: Network, plans: readonly PlannedHost[]): Promise<string> {
  const cables = plans.map(({ name, addresses, routers, gatewayAddress }) =>
    [`${name} ${addresses.join(', ')}`, ...routers.toReversed(), `gateway ${gatewayAddress}`].join(
      ' ── ',
    ),
  );
  const names = ['gateway', ...plans.flatMap(({ name, routers }) => [...routers, name])];
  const parts = await Promise.all(
    names.map(async (name) => {
      const addresses = await network.ip(name, '-4', '-br', 'addr');
      return `${name}\n${addresses}${await network.ip(name, '-4', 'route')}`;
    }),
  );
  return `${cables.join('\n')}\n\n${parts.join('\n')}`;
}
