/** Why a packet passes or drops: against the engine's verdict, against a scan of the rules, and in words. */
import { describe, expect, it } from 'vitest';
import { explainCommand, offlineAnswers } from '../../../src/cli/explain-command.ts';
import { createOutput } from '../../../src/cli/output.ts';
import { runProgram } from '../../../src/cli/program.ts';
import { compilePolicy } from '../../../src/policy/compile.ts';
import { explainFlow, explainPacket } from '../../../src/policy/explain.ts';
import type { Explanation, ExplainSource } from '../../../src/policy/explain.ts';
import { failedFields, nearestRule } from '../../../src/policy/nearest-rule.ts';
import type { FlowQuestion } from '../../../src/policy/opening-packet.ts';
import { openingPacket } from '../../../src/policy/opening-packet.ts';
import { defaultGatewayConfig } from '../../../src/policy/validate-gateway.ts';
import { validateTemplate } from '../../../src/policy/validate.ts';
import { MatchResult, Matcher } from '../../../src/dataplane/match/matcher.ts';
import { EngineFixture } from '../../support/engine-fixture.ts';
import {
  addressToInt,
  icmpMessage,
  icmpQuery,
  ipv4Packet,
  tcpPacket,
  udpPacket,
} from '../../../src/testing/packets.ts';
import { naiveMatch, ruleAllows, toServers } from '../../support/policies.ts';
import { PolicyMaker, interestingPorts } from '../../support/random-policy.ts';
import { seededRandom } from '../../support/seed.ts';

const web = '10.0.0.2';
const db = '10.0.0.3';
const bare = '10.0.0.4';
const quiet = '10.0.0.5';
const client = '198.51.100.7';

const files: Record<string, string> = {
  web: `inbound:
  - { protocol: tcp, ports: [80, 443], comment: HTTP }
  - { protocol: icmp, sources: [10.0.0.0/8] }
outbound:
  - { protocol: tcp, ports: [5432], destinations: [10.0.0.3] }`,
  database: `inbound:
  - { protocol: tcp, ports: [5432], sources: [10.0.0.2, 10.0.0.16/28] }`,
};
const templates = Object.entries(files).map(
  ([name, text]) => validateTemplate(name, `${name}.yaml`, text).value!,
);
const servers = toServers([
  { name: 'web-1', addresses: [web], templates: ['web'] },
  { name: 'db-1', addresses: [db], templates: ['database'] },
  { name: 'bare', addresses: [bare], templates: [] },
  { name: 'quiet', addresses: [quiet], templates: ['database'] },
]);
const source: ExplainSource = {
  templates,
  servers,
  compiled: compilePolicy({ templates, servers }, 7),
  loose: false,
};
const unsigned = (address: string): number => addressToInt(address) >>> 0;
const ask = (
  protocol: FlowQuestion['protocol'],
  from: string,
  to: string,
  destinationPort = 0,
  more: Partial<FlowQuestion> = {},
): Explanation =>
  explainFlow(source, {
    protocol,
    source: unsigned(from),
    destination: unsigned(to),
    destinationPort,
    ...more,
  });

describe('a packet that opens a flow', () => {
  it('passes by a rule with its place', () => {
    expect(ask('tcp', client, web, 443, { sourcePort: 4000 })).toEqual({
      verdict: 'pass',
      reason: 'none',
      message: 'it passes',
      decidedBy: 'rules',
      packet: {
        protocol: 'tcp',
        source: client,
        destination: web,
        sourcePort: 4000,
        destinationPort: 443,
        tcpFlags: 'S',
      },
      sides: [
        {
          direction: 'inbound',
          server: 'web-1',
          templates: ['web'],
          rules: 2,
          allowed: true,
          rule: {
            template: 'web',
            direction: 'inbound',
            index: 0,
            position: 0,
            line: 2,
            text: 'TCP: 80,443 from any',
            comment: 'HTTP',
          },
        },
      ],
      epoch: 7,
    });
  });

  it('is answered as the data plane does it, if its server rejects', () => {
    const rejecting = servers.map((server) =>
      server.name === 'web-1' ? { ...server, reject: { inbound: true } } : server,
    );
    const compiled = compilePolicy({ templates, servers: rejecting }, 7);
    const packets = [
      tcpPacket(client, web, { srcPort: 4000, dstPort: 8443, flags: 'S' }),
      tcpPacket(client, web, { srcPort: 4000, dstPort: 8443, flags: 'R' }),
      tcpPacket(client, web, { srcPort: 4000, dstPort: 443, flags: 'S' }),
      tcpPacket(client, db, { srcPort: 4000, dstPort: 443, flags: 'S' }),
      tcpPacket(web, client, { srcPort: 4000, dstPort: 443, flags: 'S' }),
      udpPacket(client, web, 4000, 53),
      icmpQuery(client, web, 8, 1),
      icmpQuery(client, web, 0, 1),
    ];
    const explained = packets.map(
      (packet) => explainPacket({ ...source, servers: rejecting, compiled }, packet).answer,
    );
    const none = undefined;
    expect(explained).toEqual(['rst', none, none, none, none, 'icmp', 'icmp', none]);
    const sent = packets.map((packet) => {
      const f = new EngineFixture({ policy: new Matcher(compiled.words) });
      // What passes is no answer.
      const [answer] = f.forward(packet).filter((each) => each[12] !== packet[12]);
      return answer && (answer[9] === 6 ? 'rst' : 'icmp');
    });
    expect(explained).toEqual(sent);
  });

  it('drops with the nearest rule and the field that fails', () => {
    const { verdict, reason, sides } = ask('tcp', client, web, 8443);
    expect({ verdict, reason }).toEqual({ verdict: 'drop', reason: 'no-inbound-rule' });
    expect(sides[0]).toMatchObject({
      allowed: false,
      nearest: {
        template: 'web',
        position: 0,
        failed: [{ field: 'ports', expected: '80,443', found: '8443' }],
      },
    });
    expect(ask('icmp', client, web).sides[0]?.nearest).toMatchObject({
      position: 1,
      text: 'ICMP from 10.0.0.0/8',
      failed: [{ field: 'sources', expected: '10.0.0.0/8', found: client }],
    });
  });

  it('between servers both sides are reported, also one that the match does not reach', () => {
    const passing = ask('tcp', web, db, 5432);
    expect(passing.verdict).toBe('pass');
    expect(passing.sides.map(({ direction, rule }) => [direction, rule?.text])).toEqual([
      ['outbound', 'TCP: 5432 to 10.0.0.3'],
      ['inbound', 'TCP: 5432 from 10.0.0.2, 10.0.0.16/28'],
    ]);
    const reverse = ask('tcp', db, web, 80);
    expect(reverse.reason).toBe('no-outbound-rule');
    expect(reverse.sides.map(({ server, allowed, rules }) => [server, allowed, rules])).toEqual([
      ['db-1', false, 0],
      ['web-1', true, 2],
    ]);
    const neither = ask('udp', web, db, 5433);
    expect(neither.sides.map(({ nearest }) => nearest?.failed.map(({ field }) => field))).toEqual([
      ['protocol', 'ports'],
      ['protocol', 'ports'],
    ]);
  });

  it('of a server without templates, or without rules of that direction, has no nearest rule', () => {
    expect(ask('tcp', client, bare, 80).sides).toEqual([
      { direction: 'inbound', server: 'bare', templates: [], rules: 0, allowed: false },
    ]);
    const out = ask('tcp', quiet, client, 80).sides[0];
    expect(out).toMatchObject({ direction: 'outbound', rules: 0, templates: ['database'] });
    expect(out).not.toHaveProperty('nearest');
  });

  it.each([
    ['no-server', client, '203.0.113.1'],
    ['land', web, web],
    ['martian-source', '127.0.0.1', web],
    ['martian-source', '240.0.0.1', web],
    ['martian-destination', web, '224.0.0.1'],
    ['martian-destination', web, '255.255.255.255'],
  ])('%s needs no rule', (reason, from, to) => {
    for (const protocol of ['tcp', 'udp', 'icmp'] as const) {
      expect(ask(protocol, from, to, 80)).toMatchObject({ verdict: 'drop', reason, sides: [] });
    }
  });

  it('knows what ICMP types do', () => {
    const reasonOf = (icmpType: number): string => ask('icmp', web, db, 0, { icmpType }).reason;
    expect(reasonOf(0)).toBe('icmp-type');
    expect(reasonOf(3)).toBe('icmp-error');
    expect(reasonOf(5)).toBe('icmp-redirect');
    expect(reasonOf(4)).toBe('icmp-type');
    expect(reasonOf(200)).toBe('icmp-type');
    // Requests are asked the rules.
    for (const request of [8, 13, 15, 17]) expect(reasonOf(request)).toBe('no-outbound-rule');
  });
});

describe('a packet from the wire', () => {
  const explain = (packet: Uint8Array, loose = false): Explanation =>
    explainPacket({ ...source, loose }, packet);

  it.each<[string, Uint8Array, string]>([
    ['SYN', tcpPacket(client, web, { srcPort: 1, dstPort: 80, flags: 'S' }), 'none'],
    ['SYN+ACK', tcpPacket(client, web, { srcPort: 1, dstPort: 80, flags: 'SA' }), 'invalid-state'],
    ['ACK', tcpPacket(client, web, { srcPort: 1, dstPort: 80, flags: 'A' }), 'invalid-state'],
    ['bare FIN', tcpPacket(client, web, { srcPort: 1, dstPort: 80, flags: 'F' }), 'bad-tcp-flags'],
    ['ping', icmpQuery('10.9.9.9', web, 8, 5), 'none'],
    ['an echo reply', icmpQuery('10.9.9.9', web, 0, 5), 'icmp-type'],
    [
      'GRE',
      ipv4Packet({ src: client, dst: web, protocol: 47, payload: new Uint8Array(8) }),
      'protocol',
    ],
    ['UDP', udpPacket(client, web, 53, 53), 'no-inbound-rule'],
    ['IPv6', Uint8Array.of(0x60, 0, 0, 0), 'ipv6'],
    ['nothing', new Uint8Array(), 'truncated'],
    ['half a header', udpPacket(client, web, 53, 53).slice(0, 13), 'truncated'],
    ['a cut-off packet', udpPacket(client, web, 53, 53).slice(0, 30), 'truncated'],
  ])('%s', (_name, packet, reason) => {
    expect(explain(packet)).toMatchObject({ reason, verdict: reason === 'none' ? 'pass' : 'drop' });
  });

  it('a mid-stream segment opens a flow where tcp.loose lets it, and its rules are reported', () => {
    const ack = tcpPacket(client, web, { srcPort: 1, dstPort: 80, flags: 'A' });
    expect(explain(ack, true).verdict).toBe('pass');
    const strict = explain(ack);
    expect(strict).toMatchObject({ verdict: 'drop', decidedBy: 'packet' });
    expect(strict.sides[0]).toMatchObject({ server: 'web-1', allowed: true });
  });

  it('a wrong checksum is seen, and a fragment is held', () => {
    const damaged = tcpPacket(client, web, { srcPort: 1, dstPort: 80, flags: 'S' });
    damaged[36]! ^= 1;
    expect(explain(damaged)).toMatchObject({ reason: 'bad-checksum', decidedBy: 'packet' });
    const payload = icmpMessage(8, 0, 0);
    const fragment = ipv4Packet({
      src: client,
      dst: web,
      protocol: 1,
      payload,
      moreFragments: true,
    });
    expect(explain(fragment)).toMatchObject({ verdict: 'held', reason: 'fragment' });
  });
});

describe('the nearest rule', () => {
  const rulesOf = (text: string) => {
    const template = validateTemplate('t', 't.yaml', `inbound:\n${text}`).value!;
    return compilePolicy({ templates: [template], servers: [] }, 1).rulesOf.get('t')!;
  };
  const subject = { protocol: 'tcp', peer: unsigned(client), port: 8080 } as const;
  it.each([
    ['fewest failing fields', '{ protocol: udp, ports: [8080], sources: [10.0.0.1] }'],
    ['the right protocol before the right port', '{ protocol: udp, ports: [8080] }'],
    ['the nearest port', '{ protocol: tcp, ports: [80] }'],
    ['the nearest edge of a range', '{ protocol: tcp, ports: ["1-7000", "9000-65535"] }'],
    ['the first of equals', '{ protocol: tcp, ports: [8081] }'],
  ])('%s', (_name, further) => {
    const nearer = '{ protocol: tcp, ports: [8079] }';
    const order = _name === 'the first of equals' ? [nearer, further] : [further, nearer];
    const rules = rulesOf(order.map((rule) => `  - ${rule}`).join('\n'));
    expect(nearestRule(rules, subject)?.rule.ports).toEqual([{ from: 8079, to: 8079 }]);
  });

  it('by address, when the ports are right', () => {
    const rules = rulesOf(
      '  - { protocol: tcp, sources: [10.0.0.0/8] }\n  - { protocol: tcp, sources: [198.51.101.0/24] }',
    );
    const nearest = nearestRule(rules, subject)!;
    expect(failedFields('inbound', nearest, subject)).toEqual([
      { field: 'sources', expected: '198.51.101.0/24', found: client },
    ]);
  });
});

describe('random policies', () => {
  it('a named rule allows the packet; where a rule is missing, none of that server allows it', () => {
    const addresses = Array.from({ length: 12 }, (_, i) => 0x0a000000 + i * 5);
    const maker = new PolicyMaker(seededRandom(), [...addresses, 0xc0000201]);
    const seen = new Map<string, number>();
    for (let round = 0; round < 120; round++) {
      const policy = maker.policy(8);
      const compiled = compilePolicy(policy, round);
      const match = new Matcher(compiled.words);
      for (let probe = 0; probe < 60; probe++) {
        const protocol = maker.pick(['icmp', 'tcp', 'udp'] as const);
        const number = { icmp: 1, tcp: 6, udp: 17 }[protocol];
        const [src, dst] = [maker.pick(maker.addresses), maker.pick(maker.addresses)];
        if (src === dst) continue;
        const port = maker.pick(interestingPorts) + maker.below(2) - 1;
        const reported = explainFlow(
          { ...policy, compiled, loose: false },
          { protocol, source: src, destination: dst, destinationPort: port },
        );
        seen.set(reported.reason, (seen.get(reported.reason) ?? 0) + 1);
        const expected = naiveMatch(policy.templates, policy.servers, number, src, dst, port);
        expect(match.match(number, src, dst, port)).toBe(expected);
        expect(reported.verdict === 'pass').toBe(expected === MatchResult.allowed);
        expect(reported.sides.length === 0).toBe(expected === MatchResult.noServer);
        for (const side of reported.sides) {
          const server = policy.servers.find(({ name }) => name === side.server)!;
          const inbound = side.direction === 'inbound';
          expect(server.addresses).toContain(inbound ? dst : src);
          const peer = inbound ? src : dst;
          const own = policy.templates
            .filter(({ name }) => server.templates.includes(name))
            .flatMap((template) => template[side.direction]);
          expect(side.rules).toBe(own.length);
          const place = side.rule ?? side.nearest;
          const rule =
            place &&
            policy.templates.find(({ name }) => name === place.template)![side.direction][
              place.position
            ]!;
          expect(side.allowed).toBe(own.some((each) => ruleAllows(each, number, peer, port)));
          if (side.rule) {
            expect(ruleAllows(rule!, number, peer, port)).toBe(true);
            expect(own).toContain(rule);
          } else {
            expect(own.length > 0).toBe(rule !== undefined);
            if (rule) {
              expect(own).toContain(rule);
              expect(side.nearest!.failed.length).toBeGreaterThan(0);
            }
          }
        }
      }
    }
    for (const reason of ['none', 'no-server', 'no-inbound-rule', 'no-outbound-rule']) {
      expect(seen.get(reason), reason).toBeGreaterThan(50);
    }
  });
});

describe('tunwall explain', () => {
  async function run(
    args: string[],
    input = '',
  ): Promise<{ code: number; out: string; err: string }> {
    let out = '';
    let err = '';
    const output = createOutput(
      { write: (text) => (out += text) },
      { write: (text) => (err += text) },
      {},
    );
    const config = { gateway: defaultGatewayConfig, templates, servers, problems: [] };
    const problem = {
      severity: 'error',
      file: 'bad/servers.yaml',
      line: 2,
      column: 3,
      path: 'servers[0]',
      message: 'nonsense',
    } as const;
    const verb = explainCommand({
      answer: offlineAnswers((directory) =>
        Promise.resolve(directory === 'bad' ? { ...config, problems: [problem] } : config),
      ),
      readText: () => Promise.resolve(input),
    });
    const code = await runProgram(['explain', '--config', 'conf', ...args], {
      version: '1',
      output,
      verbs: [verb],
    });
    return { code, out, err };
  }

  it('prints verdict, server, rule and place', async () => {
    expect(await run(['--from', client, '--to', `${web}:443`, '--proto', 'tcp'])).toEqual({
      code: 0,
      err: '',
      out: `PASS  tcp ${client}:49152 -> ${web}:443 flags S

inbound of server web-1: allowed by TCP: 80,443 from any
  template web, conf/templates/web.yaml:2: inbound[0] (HTTP)
`,
    });
    expect((await run(['--from', web, '--to', `${db}:80`, '--proto', 'tcp'])).out).toBe(
      `DROP  tcp ${web}:49152 -> ${db}:80 flags S
  no-outbound-rule: no outbound rule of the source server allows it

outbound of server web-1: none of 1 rule allows it
  nearest: TCP: 5432 to 10.0.0.3
  template web, conf/templates/web.yaml:5: outbound[0]
  ports: the rule has 5432, the packet 80

inbound of server db-1: none of 1 rule allows it
  nearest: TCP: 5432 from 10.0.0.2, 10.0.0.16/28
  template database, conf/templates/database.yaml:2: inbound[0]
  ports: the rule has 5432, the packet 80
`,
    );
    expect((await run(['--from', client, '--to', bare, '--proto', 'icmp'])).out).toContain(
      'inbound of server bare: nothing is allowed, it has no templates\n',
    );
    expect((await run(['--from', quiet, '--to', client, '--proto', 'icmp'])).out).toContain(
      'its templates (database) have no outbound rules\n',
    );
  });

  it('takes servers by name, and TCP where a port is given', async () => {
    const { out } = await run(['--from', 'web-1', '--to', 'db-1:5432']);
    expect(out).toBe((await run(['--from', web, '--to', `${db}:5432`, '--proto', 'tcp'])).out);
    expect(out).toContain(`PASS  tcp ${web}:49152 -> ${db}:5432`);
    expect(await run(['--from', 'web-2', '--to', 'db-1:5432'])).toMatchObject({
      code: 1,
      err: expect.stringContaining('there is no server "web-2"; did you mean "web-1"?') as string,
    });
  });

  it('takes a packet from a hex dump', async () => {
    const hex = Buffer.from(tcpPacket(client, web, { srcPort: 7, dstPort: 80, flags: 'FA' }));
    const { code, out } = await run(['--hex', '-'], hex.toString('hex'));
    expect(code).toBe(0);
    expect(out).toMatch(
      /^DROP {2}tcp 198\.51\.100\.7:7 -> 10\.0\.0\.2:80 flags FA\n {2}invalid-state/,
    );
    expect(out).toContain('The rules above do not matter');
    expect((await run(['--hex', '-'], '60 00')).out).toMatch(
      /^DROP\n {2}ipv6: IPv6 is not forwarded\n$/,
    );
    expect(await run(['--hex', '-'], '4')).toMatchObject({
      code: 1,
      err: expect.stringContaining('odd number') as string,
    });
  });

  it('prints everything as JSON', async () => {
    const { out } = await run(['--from', client, '--to', `${web}:443`, '--proto', 'tcp', '--json']);
    const { sides, ...rest } = ask('tcp', client, web, 443);
    expect(JSON.parse(out)).toEqual({
      ...rest,
      epoch: 0,
      packet: { ...rest.packet, sourcePort: 49_152 },
      sides: [{ ...sides[0], rule: { ...sides[0]!.rule, file: 'conf/templates/web.yaml' } }],
    });
  });

  it.each<[string[], RegExp]>([
    [[], /expected --from, --to and --proto \(or a port behind --to\), or --hex/],
    [['--from', client, '--to', web], /expected --from/],
    [['--from', 'no name', '--to', `${web}:1`], /not an IPv4 address/],
    [['--from', '10.0.0.999', '--to', `${web}:1`], /not an IPv4 address/],
    [['--from', client, '--to', web, '--proto', 'tcp'], /--to needs a port for tcp/],
    [['--from', client, '--to', `${web}:1`, '--proto', 'icmp'], /ICMP has no ports/],
    [['--from', client, '--to', `${web}:1`, '--proto', 'gre'], /choices are tcp, udp, icmp/],
    [['--from', client, '--to', `${web}:70000`, '--proto', 'tcp'], /expected a port from 0/],
    [['--from', '::1', '--to', web, '--proto', 'icmp'], /not an IPv4 address|IPv6/],
    [
      ['--from', client, '--to', `${web}:1`, '--proto', 'udp', '--icmp-type', '8'],
      /--icmp-type is/,
    ],
    [['--from', client, '--to', web, '--proto', 'icmp', '--icmp-type', '256'], /from 0 to 255/],
    [['--hex', '-', '--proto', 'tcp'], /cannot be used with/],
  ])('%j is a usage error', async (args, message) => {
    const { code, err, out } = await run(args);
    expect(err).toMatch(message);
    expect({ code, out }).toEqual({ code: 2, out: '' });
  });

  it('needs a valid directory', async () => {
    const args = ['--config', 'bad', '--from', client, '--to', web, '--proto', 'icmp'];
    const { code, err } = await run(args);
    expect(code).toBe(1);
    expect(err).toContain('bad/servers.yaml:2:3: servers[0]: nonsense\n');
    expect(err).toContain('tunwall check --config bad');
  });
});

it('opening packets are as long as they say, and the parser takes them', () => {
  for (const protocol of ['tcp', 'udp', 'icmp'] as const) {
    const bytes = openingPacket({ protocol, source: unsigned(client), destination: 1 });
    expect((bytes[12]! << 8) | bytes[13]!).toBe(bytes.length - 10);
  }
});
