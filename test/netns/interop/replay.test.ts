/**
 * `tunwall replay` of real traffic: client and server talk through a router that forwards everything, tcpdump on the router
 * captures it, and the replay tells what a firewall there would have let through.
 */
import { once } from 'node:events';
import { mkdir, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { planHosts } from '../../../src/lab/lab-plan.ts';
import { Network } from '../../../src/lab/network.ts';
import { buildTopology } from '../../../src/lab/topology.ts';
import { obstacle, program } from '../support/firewall.ts';

const client = '198.51.100.2';
const web = '10.0.0.2';

interface Summary {
  packets: number;
  judged: number;
  passed: number;
  drops: Record<string, number>;
  notes: string[];
}

interface Line {
  verdict: string;
  reason?: string;
  direction: string;
  protocol: string;
  from: string;
  to: string;
}

async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  for (let tries = 0; tries < 300; tries++) {
    if (await condition()) return;
    await sleep(100);
  }
  throw new Error(`waited in vain until ${what}`);
}

describe.skipIf(obstacle !== undefined)('replay of what tcpdump has captured', () => {
  let lab: Network;
  let config: string;

  beforeAll(async () => {
    lab = Network.create('twr');
    const plans = planHosts({ client: `${client}/24`, web: `${web}/24` });
    const { hosts } = await buildTopology(lab, plans, 'router');
    await lab.mustExec('router', ['sysctl', '-qw', 'net.ipv4.ip_forward=1']);
    config = join(lab.directory, 'config');
    await mkdir(join(config, 'templates'), { recursive: true });
    await writeFile(
      join(config, 'templates/web.yaml'),
      'inbound:\n  - { protocol: tcp, ports: [80] }\n  - { protocol: icmp }\n',
    );
    await writeFile(
      join(config, 'servers.yaml'),
      `servers:\n  - { name: web, addresses: [${web}], templates: [web] }\n`,
    );
    await hosts['web']!.serve('tcp:80', 'tcp:8080', 'udp:53');
  });
  afterAll(async () => {
    await lab.close();
  });

  /** Captures on the client's side of the router while the client does its things. */
  async function capture(name: string, args: readonly string[]): Promise<string> {
    const file = join(lab.directory, name);
    const tcpdump = lab.spawn('router', ['tcpdump', '-U', '-Z', 'root', '-w', file, ...args]);
    // tcpdump writes the header when it captures.
    await until(
      'tcpdump captures',
      async () => ((await stat(file).catch(() => undefined))?.size ?? 0) > 0,
    );
    for (const port of ['80', '8080']) {
      const url = `http://${web}:${port}/`;
      expect(await lab.mustExec('client', ['curl', '-s', '--max-time', '5', url])).toMatch(
        /^hello/,
      );
    }
    await lab.mustExec('client', ['ping', '-c', '2', '-i', '0.2', '-s', '3000', web]);
    const nc = ['nc', '-u', '-w', '1', web, '53'];
    expect((await lab.exec('client', nc, { input: 'hello\n' })).stdout).toBe('hello\n');
    const answer = ['tcpdump', '-Z', 'root', '-c', '1', '-nr', file, `src ${web} and udp port 53`];
    await until('the last answer is in the file', async () => {
      return (await lab.exec('router', answer)).stdout !== '';
    });
    const ended = once(tcpdump, 'exit');
    tcpdump.kill('SIGINT');
    await ended;
    return file;
  }

  async function replay(
    file: string,
    ...args: string[]
  ): Promise<{ lines: Line[]; summary: Summary }> {
    const command = [process.execPath, program, 'replay', file, '--config', config];
    const output = await lab.mustExec('router', [...command, '--json', '--packets', ...args]);
    const objects = output
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as object);
    const { summary } = objects.pop() as { summary: Summary };
    return { lines: objects as Line[], summary };
  }

  /** The verdicts that packets to or from a port got, once each. */
  const verdictsOf = (lines: readonly Line[], port: number): string[] => {
    const end = `${web}:${port}`;
    const about = lines.filter(({ from, to }) => from === end || to === end);
    return [...new Set(about.map(({ reason, verdict }) => reason ?? verdict))].sort();
  };

  it.each([
    ['Ethernet', ['-i', 'client']],
    ['Linux cooked', ['-i', 'any', '-Q', 'in', '-y', 'LINUX_SLL']],
    ['Linux cooked 2 with nanoseconds', ['-i', 'any', '-Q', 'in', '-j', 'host', '--nano']],
    ['cut at 100 bytes', ['-i', 'client', '-s', '100']],
  ])('%s', async (name, args) => {
    const file = await capture(`${name.replaceAll(' ', '-')}.pcap`, args);
    const { lines, summary } = await replay(file, '--ignore-checksums');
    expect(verdictsOf(lines, 80)).toEqual(['pass']);
    // No rule for the way in, and without a flow the answers are nothing that may come out.
    expect(verdictsOf(lines, 8080)).toEqual(['invalid-state', 'no-inbound-rule']);
    expect(verdictsOf(lines, 53)).toEqual(['no-inbound-rule', 'no-outbound-rule']);
    const pings = lines.filter(({ protocol }) => protocol === 'icmp');
    const isCut = args.includes('-s');
    // 3,000 bytes are three fragments; two requests and two answers. Cut short, their checksum cannot be right.
    expect(pings.map(({ reason, verdict }) => reason ?? verdict).sort()).toEqual(
      [
        ...Array<string>(8).fill('held'),
        ...Array<string>(4).fill(isCut ? 'bad-checksum' : 'pass'),
      ].sort(),
    );
    expect(summary.judged).toBe(lines.length);
    // A drop of the datagram counts each of its fragments.
    expect(summary.drops['bad-checksum']).toBe(isCut ? 12 : undefined);
    // The last fragments are short enough to be whole.
    expect(/cut short[^]*\n8 of them/.test(summary.notes.join('\n'))).toBe(isCut);
  });

  it('tells why a capture of the sending host has bad checksums', async () => {
    const file = await capture('offload.pcap', ['-i', 'client']);
    const { summary } = await replay(file);
    expect(summary.drops['bad-checksum']).toBeGreaterThan(5);
    expect(summary.notes.join('\n')).toMatch(/not completed yet.*--ignore-checksums/);
  });

  it('writes what tcpdump reads, with a verdict for every packet', async () => {
    const file = await capture('again.pcap', ['-i', 'client', 'ip']);
    const out = join(lab.directory, 'verdicts.pcapng');
    const { lines, summary } = await replay(file, '--ignore-checksums', '--write', out);
    const show = async (name: string): Promise<string[]> => {
      const text = await lab.mustExec('router', ['tcpdump', '-Z', 'root', '-ttnr', name]);
      return text.trimEnd().split('\n');
    };
    expect(await show(out)).toEqual(await show(file));
    expect(lines).toHaveLength(summary.packets);
    // What was written can be replayed, to the same end.
    const again = await replay(out, '--ignore-checksums');
    expect(again.lines).toEqual(lines);
  });
});
