/** The flow log of a running firewall, with real traffic: what ends is told, with its rule; files are rotated; the end of it all. */
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { chown, mkdir } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FirewallLab, client, db, obstacle, web } from '../support/firewall.ts';
import type { Config } from '../support/firewall.ts';

const nobody = 65_534;

interface Line {
  readonly event: 'start' | 'end';
  readonly reason?: string;
  readonly source: string;
  readonly destinationPort?: number;
  readonly rules: readonly { template: string; direction: string; index: number }[];
  readonly original?: { packets: number; bytes: number };
}

describe.skipIf(obstacle !== undefined)('the flow log', () => {
  let firewall: FirewallLab;
  let directory: string;
  const config = (allowed: boolean): Config => ({
    gateway: {
      flows: { survive: false },
      timeouts: { tcpTimeWait: 1, tcpClose: 1, icmp: 600 },
      log: { dropsPerSecond: 0, flows: { file: join(directory, 'flows.log'), maxSize: 65_536 } },
    },
    templates: {
      web: {
        inbound: [
          { protocol: 'icmp', enabled: allowed },
          { protocol: 'tcp', ports: [80], log: true },
        ],
      },
    },
    servers: [
      { name: 'web', addresses: [web], templates: ['web'] },
      { name: 'db', addresses: [db], templates: [] },
    ],
  });

  beforeAll(async () => {
    firewall = await FirewallLab.create({ templates: {}, servers: [] });
    directory = join(firewall.lab.directory, 'flow-log');
    await mkdir(directory);
    await chown(directory, nobody, nobody);
    firewall.write(config(true));
    await firewall.serve('web', 'tcp:80');
    await firewall.start();
  });
  afterAll(async () => {
    await firewall.close();
  });

  /** All lines, the oldest file first. */
  async function lines(): Promise<Line[]> {
    const names = (await readdir(directory)).sort().reverse();
    const texts = await Promise.all(names.map((name) => readFile(join(directory, name), 'utf8')));
    return texts
      .join('')
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as Line);
  }

  it('tells of connections, of their rule, and how each flow ended', async () => {
    const { lab } = firewall;
    const connections = 100;
    await lab.exec('client', [
      'sh',
      '-c',
      `for i in $(seq ${connections}); do curl -s -o /dev/null http://${web}/; done`,
    ]);
    await lab.exec('client', ['ping', '-c', '1', '-W', '30', web]);
    const ended = (each: Line): boolean => each.event === 'end';
    await firewall.until('all connections are told', async () => {
      return (
        (await lines()).filter((each) => ended(each) && each.reason === 'closed').length ===
        connections
      );
    });
    const rules = [{ template: 'web', direction: 'inbound', index: 1 }];
    const told = await lines();
    const began = told.filter(({ event }) => event === 'start');
    expect(began).toHaveLength(connections);
    for (const line of told.filter(({ reason }) => reason === 'closed')) {
      expect(line).toMatchObject({ source: client, destinationPort: 80, rules });
      expect(line.original!.packets).toBeGreaterThan(3);
    }
    expect(await readdir(directory)).toContain('flows.log.1');

    // The rule of the ping goes, and its flow with it. It is told by the rule that had allowed it.
    firewall.write(config(false));
    await firewall.until('the flow is cut', async () =>
      (await lines()).some(({ reason }) => reason === 'policy-change'),
    );
    expect((await lines()).find(({ reason }) => reason === 'policy-change')).toMatchObject({
      protocol: 'icmp',
      destinationServer: 'web',
      rules: [{ template: 'web', direction: 'inbound', index: 0 }],
    });
    const written = (await lines()).length;
    await firewall.until('all lines are counted', async () => {
      return (await firewall.metrics()).get('tunwall_flow_log_lines_total') === written;
    });
    expect((await firewall.metrics()).get('tunwall_flow_log_lost_total')).toBe(0);
  });

  it('tells of those that the end of the firewall ends', async () => {
    const { lab } = firewall;
    const before = (await lines()).length;
    // A connection that nobody closes.
    lab.spawn('client', ['bash', '-c', `exec 3<>/dev/tcp/${web}/80; sleep 600`]);
    await firewall.until('it is there', async () => (await lines()).length > before);
    expect(await firewall.stop()).toBe(0);
    expect((await lines()).at(-1)).toMatchObject({
      event: 'end',
      reason: 'shutdown',
      source: client,
    });
  });
});
