/** Servers that observe: against the naive matcher on random policies, through the whole engine, and what may be written. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { MatchResult, Matcher } from '../../../src/dataplane/match/matcher.ts';
import { judgeServer } from '../../../src/policy/bodies.ts';
import {
  changedObservations,
  compilePolicy,
  isChangedByTime,
} from '../../../src/policy/compile.ts';
import { explainFlow } from '../../../src/policy/explain.ts';
import type { QuestionProtocol } from '../../../src/policy/opening-packet.ts';
import { policyDigest } from '../../../src/policy/policy-digest.ts';
import type { Server } from '../../../src/policy/types.ts';
import { validateServers } from '../../../src/policy/validate.ts';
import { createFirewall } from '../../../src/testing/index.ts';
import type { FirewallOptions } from '../../../src/testing/index.ts';
import { addressToInt, tcpPacket, udpPacket } from '../../../src/testing/packets.ts';
import { NaivePolicy } from '../../support/naive-policy.ts';
import { withGroups } from '../../support/random-groups.ts';
import { PolicyMaker, interestingPorts } from '../../support/random-policy.ts';
import { seed, seededRandom } from '../../support/seed.ts';

const day = 86_400_000;
const nowMs = Date.parse('2026-06-01T00:00:00Z');
const at = (ms: number): string => new Date(nowMs + ms).toISOString();

const pool = [1, 2, 3, 4, 5, 16, 255].map((last) => (addressToInt('10.0.0.0') >>> 0) + last);
const protocols: Readonly<Record<QuestionProtocol, number>> = { icmp: 1, tcp: 6, udp: 17 };

/** Random servers with ends before, around and far behind now. */
function observing(servers: readonly Server[], maker: PolicyMaker): Server[] {
  const ends = [-20 * day, -1000, 0, 1000, 3 * day, 14 * day, 14 * day + 5000, 40 * day];
  return servers.map((server) =>
    maker.chance(0.3) ? server : { ...server, mode: 'observe', until: at(maker.pick(ends)) },
  );
}

/** Whether a packet passes, asked of each end by itself. */
function naivePasses(
  naive: NaivePolicy,
  ...[protocol, source, destination, port, momentMs]: [
    QuestionProtocol,
    number,
    number,
    number,
    number,
  ]
): 'no-server' | 'allowed' | 'would-drop' | 'dropped' {
  const ownerOf = (address: number): Server | undefined =>
    naive.source.servers.find(({ addresses }) => addresses.includes(address));
  const ends = [
    { server: ownerOf(source), direction: 'outbound' as const, peer: destination },
    { server: ownerOf(destination), direction: 'inbound' as const, peer: source },
  ].filter(({ server }) => server !== undefined);
  if (ends.length === 0) return 'no-server';
  const lacking = ends.filter(
    ({ server, direction, peer }) =>
      !naive
        .templatesOf(server!)
        .some((each) => each[direction].some((rule) => naive.allows(rule, protocol, peer, port))),
  );
  if (lacking.length === 0) return 'allowed';
  const observed = lacking.every(({ server }) => {
    const leftMs = Date.parse(server!.until ?? '') - momentMs;
    return server!.mode === 'observe' && leftMs > 0 && leftMs <= 14 * day;
  });
  return observed ? 'would-drop' : 'dropped';
}

function resultWords(match: number, verdict: number): string {
  if (match === MatchResult.allowed) return 'allowed';
  if (match === MatchResult.noServer) return 'no-server';
  return verdict === MatchResult.allowed ? 'would-drop' : 'dropped';
}

describe('against the naive matcher', () => {
  const random = fc.integer({ min: 0, max: 2 ** 31 - 1 });
  // The clock of the packet threads wraps at 2^32.
  const clocks = fc.constantFrom(0, 1, 2 ** 31 - 1000, -(2 ** 31), -1000, 123_456_789);

  it('what lacks a rule passes where each end without one observes, and so says explain', () => {
    const property = fc.property(random, clocks, (start, clockMs) => {
      const maker = new PolicyMaker(seededRandom(start), pool);
      const policy = withGroups(maker.policy(4), maker);
      const source = { ...policy, servers: observing(policy.servers, maker) };
      const naive = new NaivePolicy(source, nowMs);
      const compiled = compilePolicy(source, 1, { nowMs, clockMs });
      const matcher = new Matcher(compiled.words);
      for (let round = 0; round < 150; round++) {
        const [from, to] = [maker.pick(pool), maker.pick(pool)];
        if (from === to) continue;
        const protocol = maker.pick(['icmp', 'tcp', 'udp'] as const);
        const port = protocol === 'icmp' ? 0 : maker.pick(interestingPorts);
        const wanted = naivePasses(naive, protocol, from, to, port, nowMs);
        const code = protocols[protocol];
        const match = matcher.match(code, from, to, port);
        const verdict =
          match === MatchResult.allowed ? match : matcher.observe(match, code, from, port, clockMs);
        expect(resultWords(match, verdict), `${protocol} ${from} ${to} ${port}`).toBe(wanted);
        const explained = explainFlow(
          { ...source, compiled, loose: false },
          { protocol, source: from, destination: to, ...(port > 0 && { destinationPort: port }) },
        );
        expect(explained.verdict).toBe(
          wanted === 'allowed' || wanted === 'would-drop' ? 'pass' : 'drop',
        );
        expect(explained.reason === 'would-drop').toBe(wanted === 'would-drop');
      }
    });
    fc.assert(property, { seed, numRuns: 150 });
  });

  it('it ends with the moment, by the packet threads alone, and for ever', () => {
    const lengths = fc.integer({ min: 2000, max: 14 * day });
    const later = fc.integer({ min: 0, max: 2 ** 32 - 14 * day - 10_000 });
    const property = fc.property(clocks, lengths, later, (clockMs, lengthMs, laterMs) => {
      const servers: Server[] = [
        { name: 's', addresses: [1], templates: [], mode: 'observe', until: at(lengthMs) },
      ];
      const { words } = compilePolicy({ templates: [], servers }, 1, { nowMs, clockMs });
      const matcher = new Matcher(words);
      expect(matcher.observes(0, clockMs)).toBe(true);
      expect(matcher.observes(0, (clockMs + lengthMs - 1000) | 0)).toBe(true);
      // Half a wrap of the clock later the word looks as if it lay ahead.
      expect(matcher.observes(0, (clockMs + lengthMs + 1 + laterMs) | 0)).toBe(false);
    });
    fc.assert(property, { seed, numRuns: 300 });
  });
});

describe('through the engine', () => {
  const observed = (
    until: string,
  ): Required<Pick<FirewallOptions, 'now' | 'servers' | 'templates'>> => ({
    now: at(0),
    servers: [
      { name: 'web', addresses: '10.0.0.2', templates: 'web', mode: 'observe' as const, until },
      { name: 'db', addresses: '10.0.0.3' },
    ],
    templates: { web: { inbound: [{ protocol: 'tcp', ports: 443 }] } },
  });
  const client = '198.51.100.7';
  const [web, db] = ['10.0.0.2', '10.0.0.3'];
  const segment = (from: string, to: string, srcPort: number, dstPort: number, flags = 'S') =>
    tcpPacket(from, to, {
      ...{ srcPort, dstPort, flags, seq: flags === 'SA' ? 9 : flags === 'A' ? 2 : 1 },
      ...(flags.includes('A') && { ack: flags === 'SA' ? 2 : 10 }),
    });

  it('a port without a rule passes as would-drop, once a flow, and is cut when the time is over', () => {
    const firewall = createFirewall(observed(at(3600_000)));
    const outcome = (packet: Uint8Array): unknown => {
      const { verdict, reason } = firewall.send(packet);
      return [verdict, reason];
    };
    const opened = firewall.send(segment(client, web, 4000, 22));
    expect([opened.verdict, opened.reason]).toEqual(['pass', 'would-drop']);
    expect(opened.explanation()).toContain('it passes, because the server observes');
    expect(outcome(segment(web, client, 22, 4000, 'SA'))).toEqual(['pass', undefined]);
    const acknowledged = segment(client, web, 4000, 22, 'A');
    expect(outcome(acknowledged)).toEqual(['pass', undefined]);
    expect(outcome(segment(client, web, 4001, 443))).toEqual(['pass', undefined]);
    const openPorts = () => firewall.flows().map(({ destinationPort }) => destinationPort);
    expect(openPorts()).toEqual([22, 443]);
    firewall.clock.advance(3600_000 - 1);
    expect(openPorts()).toEqual([22]);
    firewall.clock.advance(1);
    expect(openPorts()).toEqual([]);
    expect(outcome(acknowledged)).toEqual(['drop', 'policy-cut']);
    expect(outcome(segment(client, web, 4009, 22))).toEqual(['drop', 'no-inbound-rule']);
  });

  it.each<[NonNullable<NonNullable<FirewallOptions['gateway']>['reload']>, number[]]>([
    ['cut', []],
    ['keep', [22, 53]],
    [{ drain: 60 }, [22, 53]],
  ])('its end is treated as that of a rule: reload %j', (reload, left) => {
    const until = at(1000);
    const firewall = createFirewall({
      ...{ now: at(0), gateway: { reload } },
      servers: [{ name: 'web', addresses: web, templates: 'web', mode: 'observe', until }],
      templates: { web: { inbound: [{ protocol: 'udp', ports: 53, expires: until }] } },
    });
    firewall.send([udpPacket(client, web, 4000, 53), segment(client, web, 4000, 22)]);
    const ports = (): unknown[] =>
      firewall
        .flows()
        .map(({ destinationPort }) => destinationPort)
        .sort();
    expect(ports()).toEqual([22, 53]);
    firewall.clock.advance(1000);
    expect(ports()).toEqual(left);
  });

  it('both ends are asked, and what opens nothing is dropped all the same', () => {
    const firewall = createFirewall(observed(at(day)));
    const outcome = (packet: Uint8Array): unknown => {
      const { verdict, reason } = firewall.send(packet);
      return [verdict, reason];
    };
    expect(outcome(segment(web, db, 4000, 5432))).toEqual(['drop', 'no-inbound-rule']);
    expect(outcome(segment(db, web, 4000, 22))).toEqual(['drop', 'no-outbound-rule']);
    expect(outcome(segment(web, client, 4000, 25))).toEqual(['pass', 'would-drop']);
    expect(outcome(segment(client, web, 4000, 22, 'A'))).toEqual(['drop', 'invalid-state']);
    const { servers } = observed(at(day));
    firewall.update({
      servers: servers.map((each) => ({ ...each, mode: 'observe' as const, until: at(day) })),
    });
    expect(outcome(segment(web, db, 4001, 5432))).toEqual(['pass', 'would-drop']);
  });

  it('a flow that began while it observed goes on when a rule has come for it', () => {
    const firewall = createFirewall(observed(at(day)));
    firewall.send([udpPacket(client, web, 4000, 53), udpPacket(client, web, 4000, 54)]);
    firewall.update({
      servers: [{ name: 'web', addresses: web, templates: 'web' }],
      templates: { web: { inbound: [{ protocol: 'udp', ports: 53 }] } },
    });
    firewall.clock.advance(1000);
    expect(firewall.flows().map(({ destinationPort }) => destinationPort)).toEqual([53]);
  });
});

describe('what may be written', () => {
  const read = (server: string) =>
    validateServers('servers.yaml', `servers:\n${server}\n`, new Set(), nowMs);
  const entry = (more: string): string => `  - { name: a, addresses: [10.0.0.2], ${more} }`;

  it.each<[string, string, string, string]>([
    ['no end', 'mode: observe', 'error', 'servers[0].mode: observe needs an end'],
    ['too far', `mode: observe, until: ${at(14 * day + 1000)}`, 'error', 'at most 14 days ahead'],
    ['past', `mode: observe, until: ${at(-1000)}`, 'warning', 'has passed: the server enforces'],
    ['an end alone', `until: ${at(1000)}`, 'error', 'only mode: observe has an end'],
    ['enforce with one', `mode: enforce, until: ${at(1000)}`, 'error', 'only mode: observe has'],
    ['no time', 'mode: observe, until: tomorrow', 'error', 'servers[0].until: expected a time'],
    ['another mode', 'mode: observ', 'error', 'expected enforce or observe, found "observ"'],
  ])('%s', (_, more, severity, message) => {
    const { problems, value } = read(entry(more));
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatchObject({ severity, line: 2 });
    expect(`${problems[0]!.path}: ${problems[0]!.message}`).toContain(message);
    expect(value === undefined).toBe(severity === 'error');
  });

  it.each([
    `mode: observe, until: ${at(14 * day)}`,
    `mode: observe, until: ${at(1)}`,
    'mode: enforce',
  ])('%s', (more) => {
    expect(read(entry(more)).problems).toEqual([]);
  });

  it('a body has the same keys and errors', () => {
    const addresses = ['10.0.0.2'];
    const judged = judgeServer('a', { addresses, mode: 'observe' }, new Set());
    expect(judged).toMatchObject({ problems: [{ path: 'mode' }] });
  });
});

describe('over time', () => {
  const servers: Server[] = [
    { name: 'a', addresses: [1], templates: [], mode: 'observe', until: at(1000) },
    { name: 'b', addresses: [2], templates: [], mode: 'observe', until: at(20 * day) },
    { name: 'c', addresses: [3], templates: [] },
  ];
  const source = { templates: [], servers };

  it('a policy says what has ended, and what counts again after the clock was set back', () => {
    const policy = compilePolicy(source, 1, { nowMs });
    expect(isChangedByTime(policy, nowMs + 999)).toBe(false);
    expect(changedObservations(policy, nowMs + 1000)).toMatchObject([{ server: 'a', live: false }]);
    expect(changedObservations(policy, nowMs + 7 * day)).toMatchObject([
      { server: 'a', live: false },
      { server: 'b', live: true },
    ]);
    // So far back that the end is further ahead than any may be.
    expect(changedObservations(policy, nowMs - 15 * day)).toMatchObject([{ live: false }]);
  });

  it('its digest is another one', () => {
    const digestAt = (ms: number): string =>
      policyDigest(source, compilePolicy(source, 1, { nowMs: ms }));
    expect(digestAt(nowMs)).toBe(digestAt(nowMs + 500));
    expect(digestAt(nowMs)).not.toBe(digestAt(nowMs + 1000));
  });
});
