/** What is counted outlives the process with the flows: hits of rules and totals of servers, exactly, whatever ended it. */
import { chown, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FirewallLab, db, obstacle, openConfig, repository } from '../support/firewall.ts';
import type { Config } from '../support/firewall.ts';

const nobody = 65_534;
const pings = { protocol: 'icmp' } as const;
const config: Config = {
  templates: { ...openConfig.templates, pings: { inbound: [pings] } },
  servers: [openConfig.servers[0]!, { name: 'db', addresses: [db], templates: ['pings'] }],
};

interface Rule {
  readonly hits: number;
  readonly hitsSince: string;
  readonly lastHit?: string;
}

describe.skipIf(obstacle !== undefined)('what was counted', { timeout: 300_000 }, () => {
  let firewall: FirewallLab;
  beforeAll(async () => {
    firewall = await FirewallLab.create(config);
    // An upgrade is written into the audit log.
    await chown(firewall.configDirectory, nobody, nobody);
    await firewall.start();
  });
  afterAll(async () => {
    await firewall.close();
  });

  async function get<Answer>(path: string): Promise<Answer> {
    const asked = ['curl', '-sS', '--unix-socket', firewall.socket, `http://localhost/v1/${path}`];
    return JSON.parse(await firewall.lab.mustExec('gateway', asked)) as Answer;
  }

  /** The rule for pings, whatever its place is, and the server that they went to. */
  async function counted() {
    const { inbound } = await get<{ inbound: (Rule & { readonly protocol: string })[] }>(
      'templates/pings',
    );
    const { servers } = await get<{ servers: Record<string, unknown> }>('stats');
    const { hits, hitsSince, lastHit } = inbound.find(({ protocol }) => protocol === 'icmp')!;
    return { hits, hitsSince, lastHit, db: servers['db'] };
  }

  /** End of the first second that charts know, in ms since 1970, once there is one. */
  async function firstCharted(): Promise<number> {
    let first = 0;
    await firewall.until('charts have a step', async () => {
      const { end, flows } = await get<{ end: string; flows: unknown[] }>('stats/history');
      first = Date.parse(end) - 1000 * (flows.length - 1);
      return flows.length > 0;
    });
    return first;
  }

  /** A flow with three packets each way, and a packet that is dropped. */
  async function traffic(): Promise<void> {
    const { lab } = firewall;
    await lab.mustExec('client', ['ping', '-c', '3', '-i', '0.2', '-W', '60', db]);
    const before = await firewall.drops('no-inbound-rule');
    await lab.exec('client', ['nc', '-u', '-w', '1', db, '99'], { input: 'x' });
    await firewall.until(
      'it is dropped',
      async () => (await firewall.drops('no-inbound-rule')) > before,
    );
  }

  /** Times of the last hit are told by the clock of each process: they may differ by a moment. */
  function expectSame(after: Awaited<ReturnType<typeof counted>>, before: typeof after): void {
    expect({ ...after, lastHit: '' }).toEqual({ ...before, lastHit: '' });
    const apartMs = Date.parse(after.lastHit!) - Date.parse(before.lastHit!);
    expect(Math.abs(apartMs)).toBeLessThan(1000);
  }

  it.each(['SIGKILL', 'SIGTERM'] as const)('goes on after %s', async (signal) => {
    await traffic();
    const before = await counted();
    expect(before.hits).toBeGreaterThan(0);
    const first = await firstCharted();
    await firewall.stop(signal);
    await firewall.start();
    const after = await counted();
    expectSame(after, before);
    expect(await firstCharted()).toBe(first);
    await traffic();
    expect((await counted()).hits).toBe(before.hits + 1);
  });

  it('goes on when a change came before: rules and servers are others by number, and the same', async () => {
    await traffic();
    const before = await counted();
    const changed: Config = {
      templates: {
        ...config.templates,
        pings: { inbound: [{ protocol: 'tcp', ports: [9] }, pings] },
      },
      servers: [{ name: 'a', addresses: ['10.0.1.9'], templates: [] }, ...config.servers].reverse(),
    };
    await firewall.apply(changed);
    expectSame(await counted(), before);
    await traffic();
    const then = await counted();
    expect(then.hits).toBe(before.hits + 1);
    await firewall.stop('SIGKILL');
    firewall.write(config);
    await firewall.start();
    expectSame(await counted(), then);
  });

  it('goes on with the next process of an upgrade, and of one that died', async () => {
    await traffic();
    const before = await counted();
    const pid = async (): Promise<number | undefined> => {
      const { process } = (await firewall.status()) as { process?: { pid: number } };
      return process?.pid;
    };
    const firstStep = await firstCharted();
    const first = (await pid())!;
    const upgrade = ['upgrade', '--json', '--socket', firewall.socket];
    const program = join(repository, 'dist/main.js');
    await firewall.lab.mustExec('gateway', [process.execPath, program, ...upgrade]);
    expectSame(await counted(), before);
    const second = (await pid())!;
    expect(second).not.toBe(first);
    process.kill(second, 'SIGKILL');
    await firewall.until(
      'the next one answers',
      async () => ![undefined, second].includes(await pid()),
    );
    expectSame(await counted(), before);
    expect(await firstCharted()).toBe(firstStep);
  });

  it('begins anew where it is damaged, with a sentence, and only that', async () => {
    await traffic();
    const before = await counted();
    await firewall.stop('SIGKILL');
    const directory = join(firewall.lab.directory, 'firewall-run');
    for (const name of await readdir(directory)) {
      if (name.startsWith('hits-')) await writeFile(join(directory, name), 'not a header');
    }
    const startedMs = Date.now();
    await firewall.start();
    const after = await counted();
    expect(after).toMatchObject({ hits: 0, lastHit: undefined, db: before.db });
    expect(Date.parse(after.hitsSince)).toBeGreaterThanOrEqual(startedMs);
    const said = (await firewall.log()).map(({ msg }) => String(msg));
    expect(
      said.some((msg) =>
        /^hits of an earlier process are not used: .*: its header is damaged$/.test(msg),
      ),
    ).toBe(true);
  });
});
