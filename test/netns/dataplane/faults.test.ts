/**
 * Whatever fails inside of the firewall, and in whichever thread: it ends or it goes on, it never hangs, and nothing passes
 * that may not. A supervisor starts it again as the systemd unit would.
 *
 * Every named function of the data plane and of the service can be made to throw once (fault-build.ts). Here these are the functions
 * in which an error would be worst, and some at random; TUNWALL_FAULTS=all takes every one that is reached.
 */
import { chmod, chown, mkdir, readFile, writeFile } from 'node:fs/promises';
import { openSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { seed } from '../../support/seed.ts';
import { faultBuild } from '../support/fault-build.ts';
import { FirewallLab, obstacle, queues, repository, web } from '../support/firewall.ts';
import type { Config } from '../support/firewall.ts';

const nobody = 65_534;
const randomPoints = 4;

/** An error here would be worst: under the lock, with a policy half taken, in the middle of the table's links. */
const worst = [
  'dataplane/engine/engine.js judge',
  'dataplane/engine/engine.js judgeNew',
  'dataplane/engine/engine.js tick',
  'dataplane/engine/engine.js setPolicy',
  'dataplane/engine/flow-review.js sweep',
  'dataplane/flow/flow-table.js linkLast',
  'dataplane/flow/flow-table.js unlink',
  'dataplane/tun/linux-tun.js exchange',
  'dataplane/worker/packet-loop.js takePolicies',
  'dataplane/worker/shared-lock.js acquire',
  'dataplane/worker/shared-lock.js release',
  'dataplane/worker/flow-inspector.js copyChunk',
  'dataplane/worker/data-plane.js setPolicy',
  'dataplane/worker/data-plane.js drainEvents',
  'dataplane/worker/data-plane.js onApplied',
  'dataplane/worker/data-plane.js stop',
  'control/service/live-policy.js apply',
  'control/service/service.js takeEvents',
];

/** What may pass: UDP to port 53, and TCP to port 80. A ping may not. */
const config: Config = {
  templates: {
    web: {
      inbound: [
        { protocol: 'udp', ports: [53] },
        { protocol: 'tcp', ports: [80] },
      ],
    },
  },
  servers: [{ name: 'web', addresses: [web], templates: ['web'] }],
};

/** Restart= and RestartSec= of the unit, as a shell sees them. */
const supervisor = 'delay=$1; shift; while :; do "$@"; echo "ended: $?"; sleep "$delay"; done';

function chosenPoints(points: readonly string[]): string[] {
  if (process.env['TUNWALL_FAULTS'] === 'all') return [...points];
  let state = seed;
  const random = Array.from({ length: randomPoints }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return points[Math.floor((state / 2 ** 32) * points.length)]!;
  });
  return [...worst, ...random];
}

describe.skipIf(obstacle !== undefined)(`a fault, with ${queues} queue(s)`, () => {
  const build = obstacle === undefined ? faultBuild() : { program: '', points: [] };
  let firewall: FirewallLab;
  let faults: string;
  let socket: string;
  let changes = 0;

  beforeAll(async () => {
    firewall = await FirewallLab.create(config);
    const { lab } = firewall;
    firewall.program = build.program;
    const runtime = join(lab.directory, 'run');
    socket = join(runtime, 'tunwall.sock');
    faults = join(lab.directory, 'faults');
    await mkdir(runtime);
    await mkdir(faults);
    for (const name of ['armed', 'fired']) {
      await writeFile(join(faults, name), name === 'armed' ? '0' : '');
      await chmod(join(faults, name), 0o666);
    }
    firewall.write({ ...config, gateway: { api: { socket } } });
    await chown(runtime, nobody, nobody);
    await chown(firewall.configDirectory, nobody, nobody);
    await firewall.serve('web', 'tcp:80', 'udp:53');
    const count = `
      table ip t {
        counter pings { }
        chain c {
          type filter hook prerouting priority raw
          icmp type echo-request counter name pings
        }
      }`;
    await lab.mustExec('web', ['nft', '-f', '-'], { input: count });

    const unit = await readFile(join(repository, 'scripts/systemd/tunwall.service'), 'utf8');
    expect(unit).toMatch(/^Restart=always$/m);
    const restartMs = Number(/^RestartSec=(\d+)ms$/m.exec(unit)![1]);
    const run = firewall.runCommand('--config', firewall.configDirectory);
    const supervised = ['sh', '-c', supervisor, 'sh', String(restartMs / 1000), ...run];
    const environment = ['env', `TUNWALL_FAULT=${faults}`];
    lab.spawn('gateway', [...environment, ...supervised], openSync(firewall.logFile, 'a'));
    await firewall.until('it is healthy', isHealthy);
    lab.spawn('client', ['ping', '-q', '-i', '0.02', web]);
  });
  afterAll(async () => {
    await firewall.close();
  });

  const isHealthy = async (): Promise<boolean> => (await firewall.healthz())?.['status'] === 'ok';
  const curl = (path: string, ...args: string[]): Promise<unknown> => {
    const url = `http://127.0.0.1:8740/v1${path}`;
    const command = ['curl', '-sS', '-m', '0.5', '--unix-socket', socket, ...args, url];
    return firewall.lab.exec('gateway', command);
  };
  const ask = (bytes: number): Promise<unknown> =>
    firewall.lab.exec('client', ['nc', '-u', '-w', '1', web, '53'], { input: '.'.repeat(bytes) });
  const fetchPage = async (): Promise<boolean> => {
    const command = ['curl', '-s', '-m', '1', `http://${web}/`];
    return (await firewall.lab.exec('client', command)).stdout.startsWith('hello');
  };
  const fired = async (): Promise<number> =>
    (await readFile(join(faults, 'fired'), 'utf8')).split('\n').length - 1;
  const pings = async (): Promise<number> => {
    const list = ['nft', 'list', 'counter', 'ip', 't', 'pings'];
    return Number(/packets (\d+)/.exec(await firewall.lab.mustExec('web', list))![1]);
  };

  /** Everything that a firewall is asked to do, at once: packets of all kinds, changes, and readers of all kinds. */
  async function useIt(): Promise<void> {
    changes++;
    const template = join(firewall.configDirectory, `templates/change-${changes % 2}.yaml`);
    await writeFile(template, `inbound: [{ protocol: tcp, ports: [${changes}] }]\n`);
    await Promise.all([
      ask(5),
      ask(4000),
      fetchPage(),
      curl('/flows'),
      curl('/stats', '-H', 'accept: application/json'),
      curl('/drops', '-H', 'accept: text/event-stream'),
      curl('/capture?limit=5', '-o', '/dev/null'),
      curl('/flows/1-1', '-X', 'DELETE'),
      firewall.metrics(),
    ]);
  }

  /** Asks the firewall to end, in order; its supervisor starts it again. */
  async function restart(): Promise<void> {
    const script = `for p in $(ip netns pids ${firewall.lab.namespace('gateway')}); do
      grep -q -a "main.js" /proc/$p/cmdline && ! grep -q -a "delay=" /proc/$p/cmdline && kill -TERM $p; done; true`;
    await firewall.lab.exec('gateway', ['sh', '-c', script]);
  }

  it.each(chosenPoints(build.points))('%s', async (point) => {
    const number = build.points.indexOf(point) + 1;
    expect(number, `no such function: ${point}`).toBeGreaterThan(0);
    const before = await fired();
    await writeFile(join(faults, 'armed'), String(number));
    const wasReached = async (): Promise<boolean> => (await fired()) > before;
    await useIt();
    if (!(await wasReached())) {
      await restart();
      await firewall.until('it was reached, or it is healthy', async () => {
        return (await wasReached()) || (await isHealthy());
      });
    }
    const mustBeReached = worst.includes(point);
    if (mustBeReached) {
      await firewall.until('the function is reached', async () => {
        if (!(await wasReached())) await useIt();
        return wasReached();
      });
    }
    await writeFile(join(faults, 'armed'), '0');
    // It ends, and comes again, or it goes on: either way it does all that it should.
    await firewall.until('it does what it should', async () => {
      return (await isHealthy()) && (await fetchPage());
    });
    expect(await pings()).toBe(0);
  });
});
