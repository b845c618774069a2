/** How long a test waits for a lab of `tunwall/lab`: until it is up, until it is gone; and for the firewall in it. */
import { once } from 'node:events';
import { FirewallProcess } from '../../src/lab/firewall-process.ts';
import { Lab } from '../../src/lab/index.ts';
import { saveFiles } from '../../src/lab/lab-config.ts';
import type { Network } from '../../src/lab/network.ts';
import type { Benchmark, Context } from '../lib/benchmark.ts';
import { interleave } from '../lib/interleave.ts';
import { serverAddress } from '../net/addresses.ts';
import { closeLab, openLab } from '../net/rig.ts';

const many = 10;
const keys = ['up', 'gone', 'manyUp', 'manyGone', 'start'] as const;
type Key = (typeof keys)[number];

const figures: Record<Key, readonly [id: string, title: string, note: string]> = {
  up: ['lab.up', 'a lab: until it is up', 'A client, a server, and the firewall between them.'],
  gone: ['lab.gone', 'a lab: until it is gone', 'From `close` until no namespace is left.'],
  manyUp: ['lab.many-up', `${many} labs at once: until all are up`, 'On both cores.'],
  manyGone: ['lab.many-gone', `${many} labs at once: until all are gone`, 'On both cores.'],
  start: [
    'lab.start',
    'tunwall run: until it has forwarded its first packet',
    'Of a ping that asks every 2 ms; from when the process is started until ping has ended.',
  ],
};

async function timed<T>(work: () => Promise<T>): Promise<[ms: number, result: T]> {
  const before = performance.now();
  const result = await work();
  return [performance.now() - before, result];
}

async function upAndGone(count: number): Promise<[upMs: number, goneMs: number]> {
  const [upMs, labs] = await timed(() =>
    Promise.all(Array.from({ length: count }, () => Lab.create())),
  );
  const [goneMs] = await timed(() => Promise.all(labs.map((lab) => lab.close())));
  return [upMs, goneMs];
}

async function gatewayWithoutFirewall(network: Network): Promise<FirewallProcess> {
  const firewall = new FirewallProcess(network);
  const { directory, socket } = firewall;
  saveFiles(directory, [
    ['gateway.yaml', `api: { socket: ${socket} }\n`],
    ['templates/pings.yaml', 'inbound:\n  - { protocol: icmp }\n'],
    [
      'servers.yaml',
      `servers:\n  - { name: server, addresses: ${serverAddress}, templates: pings }\n`,
    ],
  ]);
  await firewall.gateway('up', '--config', directory);
  return firewall;
}

/** A ping that ends with its first answer. */
async function firstAnswer(network: Network, firewall: FirewallProcess): Promise<number> {
  const ping = ['ping', '-n', '-q', '-i', '0.002', '-c', '1', '-w', '60', serverAddress];
  const child = network.spawn('client', ping);
  await once(child, 'spawn');
  const [ms, [code]] = await timed(async () => {
    firewall.spawn();
    return (await once(child, 'exit')) as [number | null];
  });
  if (code !== 0) throw new Error(`no answer; the log is ${firewall.log}`);
  await firewall.untilUp();
  await firewall.stop();
  return ms;
}

async function measure(context: Context): Promise<void> {
  const network = await openLab();
  try {
    const firewall = await gatewayWithoutFirewall(network);
    const measured = await interleave(context, 'lab', [{ name: 'tunwall' }], keys, async () => {
      const [up, gone] = await upAndGone(1);
      const [manyUp, manyGone] = await upAndGone(many);
      const start = await firstAnswer(network, firewall);
      const values = { up, gone, manyUp, manyGone, start };
      return Object.fromEntries(keys.map((key) => [key, { value: values[key] }]));
    });
    for (const key of keys) {
      const [id, title, note] = figures[key];
      context.record({ id, title, unit: 'ms', better: 'lower', series: measured[key], note });
    }
  } finally {
    await closeLab(network);
  }
}

export const lab: Benchmark = {
  name: 'lab',
  describe: `a lab for tests, alone and ${many} at once: up and gone; and the firewall's start`,
  run: measure,
};
