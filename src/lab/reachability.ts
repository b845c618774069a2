/** Who reaches whom, tried with real packets, as a table. */
import { setTimeout as sleep } from 'node:timers/promises';
import { formatTable } from '../text/table.ts';
import type { Gateway } from './gateway.ts';
import type { Host } from './host.ts';
import type { LabDrop, Probe } from './types.ts';

/** Tries at a time. */
const atATime = 12;
/** A try that is neither answered nor dropped is made so often: the machine may be busy. */
const maxTries = 6;

interface Question {
  readonly from: Host;
  readonly to: Host;
  readonly probe: Probe;
}

/**
 * A row for each sender, a column for each target: what passes.
 *
 * @param probes what is tried on each target; by default ping and what it serves
 */
export async function reachabilityOf(
  hosts: readonly Host[],
  gateway: Gateway,
  probes?: readonly Probe[],
): Promise<string> {
  const questions = hosts.flatMap((from) =>
    hosts
      .filter((to) => to !== from)
      .flatMap((to) =>
        (probes ?? (['ping', ...to.services] as const)).map((probe) => ({ from, to, probe })),
      ),
  );
  const passed = new Set<Question>();
  const waiting = [...questions];
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      if (await passes(next, gateway)) passed.add(next);
    }
  };
  await Promise.all(Array.from({ length: atATime }, work));
  const cell = (from: Host, to: Host): string => {
    if (from === to) return '-';
    const mine = questions.filter((each) => each.from === from && each.to === to);
    const through = mine.filter((each) => passed.has(each)).map(({ probe }) => probe);
    return through.length > 0 ? through.join(' ') : '.';
  };
  const rows = hosts.map((from) => [from.name, ...hosts.map((to) => cell(from, to))]);
  return formatTable(['from \\ to', ...hosts.map(({ name }) => name)], rows)
    .map(({ plain }) => plain.trimEnd())
    .join('\n');
}

/** Until it is answered, or the firewall has reported a drop of this kind. */
async function passes(question: Question, gateway: Gateway): Promise<boolean> {
  for (let tries = 0; tries < maxTries; tries++) {
    const since = Date.now();
    const answer = attempt(question);
    const stop = new AbortController();
    const dropped = untilDropped(question, gateway, since, stop.signal);
    const outcome = await Promise.race([answer, dropped]);
    stop.abort();
    if (outcome !== 'silence') return outcome === 'passed';
    // The record of a drop may be on its way.
    if (await wasDropped(question, gateway, since)) return false;
  }
  return false;
}

type Outcome = 'passed' | 'blocked' | 'silence';

async function attempt({ from, to, probe }: Question): Promise<Outcome> {
  if (probe === 'ping') return (await from.ping(to)) ? 'passed' : 'silence';
  const [protocol, port] = probe.split(':') as [string, string];
  if (protocol === 'udp') {
    const command = ['nc', '-u', '-w', '1', to.address, port];
    const { stdout } = await from.exec(command, { input: 'hello\n' });
    return stdout.startsWith('hello') ? 'passed' : 'silence';
  }
  const url = `http://${to.address}:${port}/`;
  const { code } = await from.exec(['curl', '-s', '-o', '/dev/null', '--max-time', '2', url]);
  // 52, 56: it was connected; the server speaks something else. 7: it was refused.
  return [0, 1, 52, 56].includes(code) ? 'passed' : code === 7 ? 'blocked' : 'silence';
}

async function untilDropped(
  question: Question,
  gateway: Gateway,
  since: number,
  signal: AbortSignal,
): Promise<Outcome> {
  while (!signal.aborted) {
    await sleep(150);
    if (await wasDropped(question, gateway, since)) return 'blocked';
  }
  return 'silence';
}

async function wasDropped(question: Question, gateway: Gateway, since: number): Promise<boolean> {
  const drops = await gateway.drops();
  return drops.some((drop) => Date.parse(drop.at) >= since - 1 && isAbout(drop, question));
}

/** The packet of a try, or its answer. */
function isAbout(drop: LabDrop, { from, to, probe }: Question): boolean {
  const [protocol, port] = probe === 'ping' ? ['icmp'] : probe.split(':');
  if (drop.protocol !== protocol) return false;
  const port1 = port === undefined ? undefined : Number(port);
  const there =
    from.addresses.includes(drop.source) &&
    to.addresses.includes(drop.destination) &&
    (port1 === undefined || drop.destinationPort === port1);
  const back =
    to.addresses.includes(drop.source) &&
    from.addresses.includes(drop.destination) &&
    port1 !== undefined &&
    drop.sourcePort === port1;
  return there || back;
}
