/** One rule set: what the kernel lets through of the probes, and what the imported templates would. */
import { MatchResult, Matcher } from '../../src/dataplane/match/matcher.ts';
import { importRules } from '../../src/interop/rules/import.ts';
import type { ImportResult } from '../../src/interop/rules/import-result.ts';
import { compilePolicy } from '../../src/policy/compile.ts';
import type { Template } from '../../src/policy/types.ts';
import { Random } from '../oracle/random.ts';
import { assignedTo, read } from '../support/imports.ts';
import {
  addressToInt,
  icmpMessage,
  ipv4Packet,
  tcpSegment,
  udpDatagram,
} from '../../src/testing/packets.ts';
import { keyOfAttempt } from './kernel-hooks.ts';
import type { Attempt, Backend, Interface, KernelHooks } from './kernel-hooks.ts';
import { generate, hostAddresses, icmpTypes, peers, ports, serverAddresses } from './rule-sets.ts';
import type { Hook, RuleSet } from './rule-sets.ts';

interface Probe {
  readonly protocol: 1 | 6 | 17;
  readonly source: string;
  readonly destination: string;
  readonly sourcePort: number;
  /** Of ICMP the type. */
  readonly port: number;
}

export interface Comparison {
  readonly set: RuleSet;
  /** Why the kernel or the importer does not take the rules. */
  readonly refused?: string;
  readonly refusedBy?: 'kernel' | 'importer';
  /** Probes that the import lets in and the kernel does not. */
  readonly wider: readonly string[];
  /** Probes that the kernel lets in, and those of them that the import does, too. */
  readonly passed: number;
  readonly imported: number;
  readonly narrower: readonly string[];
}

const probesEach = 80;
const numbers = { icmp: 1, tcp: 6, udp: 17 } as const;

export async function compare(
  kernel: KernelHooks,
  seed: number,
  caseNumber: number,
): Promise<Comparison> {
  const random = new Random(seed, caseNumber);
  const set = generate(random);
  const nothing = { set, wider: [], passed: 0, imported: 0, narrower: [] };
  const backend: Backend = random.chance(0.3) ? 'legacy' : 'nft';
  const refused = kernel.load(set.text, backend);
  if (refused !== undefined) return { ...nothing, refused, refusedBy: 'kernel' };
  const probes = Array.from({ length: probesEach }, () => probe(random, set.hook));
  const through = await reaching(kernel, set.hook, probes);
  const results = new Map<string, string>();
  let passed = 0;
  let imported = 0;
  const narrower: string[] = [];
  // As it was written, and as the kernel's own tool prints it; with and without the knowledge of the interface.
  for (const text of [set.text, kernel.save()]) {
    for (const device of random.chance(0.5) ? [undefined, 'eth0'] : [undefined]) {
      const allows = importedPolicy(text, set.hook, device);
      if (typeof allows === 'string') {
        return { ...nothing, refused: allows, refusedBy: 'importer' };
      }
      for (const [id, each] of probes.entries()) {
        const isThrough = through[id]!;
        const isAllowed = allows(each);
        if (isThrough) passed++;
        if (isThrough && isAllowed) imported++;
        if (isAllowed && !isThrough) results.set(describe(each), text);
        if (isThrough && !isAllowed) narrower.push(describe(each));
      }
    }
  }
  const wider = [...results.keys()];
  return { set, wider, passed, imported, narrower: [...new Set(narrower)] };
}

/** Which of the probes come through. */
async function reaching(
  kernel: KernelHooks,
  hook: Hook,
  probes: readonly Probe[],
): Promise<boolean[]> {
  if (hook !== 'OUTPUT') {
    const reached = kernel.send(hook, probes.map(packetOf));
    return probes.map((_, id) => reached.has(id + 1));
  }
  const attempts = probes as readonly Attempt[];
  const left = await kernel.attempt(attempts);
  return attempts.map((each) => left.has(keyOfAttempt(each)));
}

function probe(random: Random, hook: Hook): Probe {
  const protocol = random.weighted([
    [4, numbers.tcp],
    [2, numbers.udp],
    // The host opens no raw sockets.
    [hook === 'OUTPUT' ? 0 : 1, numbers.icmp],
  ]);
  const port = protocol === 1 ? random.pick(icmpTypes) : random.pick(ports) + random.int(0, 1);
  const own = random.pick(hook === 'FORWARD' ? serverAddresses : hostAddresses);
  const peer = random.pick(peers);
  const outwards = hook === 'OUTPUT' || (hook === 'FORWARD' && random.chance(0.3));
  return {
    protocol,
    source: outwards ? own : peer,
    destination: outwards ? peer : own,
    sourcePort: random.pick([67, 53, 1024, 40_000, 50_001]),
    port: Math.min(port, 65_535),
  };
}

/** Probes come from eth0, except those of servers. */
function packetOf(each: Probe, index: number): readonly [Interface, Uint8Array] {
  const { protocol, source, destination, sourcePort, port } = each;
  const payload =
    protocol === 1
      ? icmpMessage(port, 0, ((index + 1) << 16) | 1, new Uint8Array(12))
      : protocol === 6
        ? tcpSegment(source, destination, {
            srcPort: sourcePort,
            dstPort: port,
            flags: 'S',
            seq: 7,
          })
        : udpDatagram(source, destination, sourcePort, port, new Uint8Array(8));
  const packet = ipv4Packet({
    src: source,
    dst: destination,
    protocol,
    payload,
    identification: index + 1,
  });
  return [(serverAddresses as readonly string[]).includes(source) ? 'eth1' : 'eth0', packet];
}

/** The policy of the imported templates, assigned as the import says; or why there is none. */
function importedPolicy(
  text: string,
  hook: Hook,
  device: string | undefined,
): ((probe: Probe) => boolean) | string {
  let result: ImportResult;
  try {
    result = importRules(text, 'iptables', {
      fallbackName: 'host',
      ...(device !== undefined && { interface: device }),
    });
  } catch (error) {
    return (error as Error).message;
  }
  const templates = read(result);
  const own = hook === 'FORWARD' ? serverAddresses : hostAddresses;
  const servers = own.map((address, index) => ({
    name: `server-${index}`,
    addresses: [unsigned(address)],
    templates: namesFor(templates, hook, unsigned(address)),
  }));
  const matcher = new Matcher(compilePolicy({ templates, servers }, 1).words);
  return ({ protocol, source, destination, port }) =>
    matcher.match(
      protocol,
      addressToInt(source),
      addressToInt(destination),
      protocol === 1 ? 0 : port,
    ) === MatchResult.allowed;
}

function namesFor(templates: readonly Template[], hook: Hook, address: number): string[] {
  return hook === 'FORWARD' ? assignedTo(templates, address) : templates.map(({ name }) => name);
}

const unsigned = (address: string): number => addressToInt(address) >>> 0;

function describe({ protocol, source, destination, sourcePort, port }: Probe): string {
  const name = { 1: 'icmp type', 6: 'tcp', 17: 'udp' }[protocol];
  return `${name} ${port} from ${source} (${sourcePort}) to ${destination}`;
}
