/**
 * A rig: namespaces client, gateway and server for one subject.
 *
 *     client 198.51.100.2 ──── 198.51.100.1 gateway 10.0.0.1 ──── 10.0.0.2 server
 *
 * Each subject of a workload has a rig of its own, so that the rounds need no rebuilding between them. The lab's watchdog
 * removes it, however this process ends.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { planHosts } from '../../src/lab/lab-plan.ts';
import { Network } from '../../src/lab/network.ts';
import { buildTopology } from '../../src/lab/topology.ts';
import {
  clientAddress,
  clientGateway,
  floodFrom,
  serverAddress,
  serverGateway,
} from './addresses.ts';
import { pinned, subjectCore } from './cores.ts';
import type { SubjectOptions } from './subject.ts';

const repository: string = join(import.meta.dirname, '../..');
const program: string = join(repository, 'dist/main.js');

/** `tunwall …` in the gateway. */
export function tunwallCommand(...args: string[]): string[] {
  return programCommand(program, ...args);
}

export function programCommand(path: string, ...args: string[]): string[] {
  return [process.execPath, path, ...args];
}

const open = new Set<Network>();

/** Builds the network of a rig. */
export async function openLab(): Promise<Network> {
  const lab = Network.create('twb');
  open.add(lab);
  const plans = planHosts({
    client: { address: `${clientAddress}/24`, gateway: clientGateway },
    server: { address: `${serverAddress}/24`, gateway: serverGateway },
  });
  await buildTopology(lab, plans);
  await lab.ip('gateway', 'route', 'add', `${floodFrom}/16`, 'via', clientAddress);
  for (const host of ['client', 'server']) {
    // A backlog and ports that are not what limits the connection rate.
    await sysctl(lab, host, 'net.core.somaxconn', '65535');
    await sysctl(lab, host, 'net.ipv4.tcp_max_syn_backlog', '65535');
    await sysctl(lab, host, 'net.ipv4.ip_local_port_range', '1024 65000');
  }
  return lab;
}

export async function closeLab(lab: Network): Promise<void> {
  await lab.close();
  open.delete(lab);
}

/** Removes every rig that is still there. */
export async function closeRigs(): Promise<void> {
  await Promise.all([...open].map((lab) => lab.close()));
  open.clear();
}

export async function sysctl(
  lab: Network,
  host: string,
  name: string,
  value: string,
): Promise<void> {
  await lab.mustExec(host, ['sysctl', '-qw', `${name}=${value}`]);
}

/** Starts the program under test on its core. Its process id is that of the child: everything before it replaces itself. */
export function spawnSubject(
  lab: Network,
  { bothCores = false }: Pick<SubjectOptions, 'bothCores'>,
  command: readonly string[],
  logFd: number,
): number {
  const all = bothCores ? command : pinned(subjectCore, command);
  const child = lab.spawn('gateway', all, logFd);
  if (child.pid === undefined) throw new Error(`cannot start ${command[0]!}`);
  return child.pid;
}

/** @param log file whose end belongs to the message of failure */
export async function until(
  what: string,
  condition: () => Promise<boolean>,
  log?: string,
): Promise<void> {
  for (let tries = 0; tries < 600; tries++) {
    if (await condition()) return;
    await sleep(50);
  }
  const end =
    log === undefined ? '' : `; the log ends with:\n${readFileSync(log, 'utf8').slice(-2000)}`;
  throw new Error(`waited in vain until ${what}${end}`);
}

/** Packets and bytes that came into the gateway from both sides; a super-packet counts as one. */
export async function arrivals(lab: Network): Promise<{ packets: number; bytes: number }> {
  const sums = { packets: 0, bytes: 0 };
  for (const device of ['client', 'server']) {
    const text = await lab.ip('gateway', '-s', '-j', 'link', 'show', 'dev', device);
    const [link] = JSON.parse(text) as [{ stats64: { rx: { packets: number; bytes: number } } }];
    sums.packets += link.stats64.rx.packets;
    sums.bytes += link.stats64.rx.bytes;
  }
  return sums;
}

/** What comes in at the gateway's interfaces is worked on by the core of the subject, wherever it was sent. */
export async function steerToSubject(lab: Network): Promise<void> {
  const mask = (1 << subjectCore).toString(16);
  const steer = `for f in /sys/class/net/*/queues/rx-*/rps_cpus; do echo ${mask} > $f; done`;
  await lab.mustExec('gateway', ['sh', '-ec', steer]);
}
