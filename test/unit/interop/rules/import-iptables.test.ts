/** Importing iptables-save: options by hand, and random chains against a naive walk through them. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { importRules } from '../../../../src/interop/rules/import.ts';
import type { ImportResult } from '../../../../src/interop/rules/import-result.ts';
import { compilePolicy } from '../../../../src/policy/compile.ts';
import type { Server, Template } from '../../../../src/policy/types.ts';
import { MatchResult, Matcher } from '../../../../src/dataplane/match/matcher.ts';
import { assignedTo, read, reported } from '../../../support/imports.ts';
import { printIptables, randomRule, walkIptables } from '../../../support/random-iptables.ts';
import type { PlainChain, PlainIptablesRule } from '../../../support/random-iptables.ts';
import { PolicyMaker, interestingPorts } from '../../../support/random-policy.ts';
import { seed, seededRandom } from '../../../support/seed.ts';

const run = (text: string): ImportResult => importRules(text, undefined, { fallbackName: 'host' });
const fixture = (name: string): string =>
  readFileSync(new URL(`../../../fixtures/import/${name}`, import.meta.url), 'utf8');

/** INPUT with these rules behind the usual first one, everything else dropped. */
const input = (...rules: string[]): ImportResult =>
  run(
    [
      '*filter',
      ':INPUT DROP [0:0]',
      ':FORWARD DROP [0:0]',
      ':OUTPUT DROP [0:0]',
      ':own - [0:0]',
      '-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
      ...rules,
      '-A OUTPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT',
      'COMMIT',
    ].join('\n'),
  );

describe('a rule', () => {
  it.each<[string, object]>([
    ['-p tcp -m tcp --dport 22', { protocol: 'tcp', ports: [22] }],
    ['-p tcp -m tcp --dport 1024:', { protocol: 'tcp', ports: ['1024-65535'] }],
    ['-p udp --dport 0:65535', { protocol: 'udp' }],
    ['-p 17', { protocol: 'udp' }],
    [
      '-p tcp -m multiport --dports 80,443,8000:8100',
      { protocol: 'tcp', ports: [80, 443, '8000-8100'] },
    ],
    ['-p tcp --dport 80:90 -m multiport --dports 85:95', { protocol: 'tcp', ports: ['85-90'] }],
    ['-s 10.0.0.0/8 -p icmp', { protocol: 'icmp', sources: ['10.0.0.0/8'] }],
    ['-s 10.0.0.0/255.255.0.0 -p icmp', { protocol: 'icmp', sources: ['10.0.0.0/16'] }],
    ['-s 10.1.2.3 -p icmp', { protocol: 'icmp', sources: ['10.1.2.3'] }],
    [
      '-p tcp -m iprange --src-range 10.0.0.1-10.0.0.6',
      { protocol: 'tcp', sources: ['10.0.0.1-10.0.0.6'] },
    ],
    ['-p icmp -m icmp --icmp-type any', { protocol: 'icmp' }],
    ['-p tcp -m state --state NEW', { protocol: 'tcp' }],
    ['-p tcp -m conntrack ! --ctstate INVALID', { protocol: 'tcp' }],
    ['-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN', { protocol: 'tcp' }],
    ['-p tcp --syn', { protocol: 'tcp' }],
    ['! -i lo -p tcp', { protocol: 'tcp' }],
    ['-i + -p tcp', { protocol: 'tcp' }],
    ['-p tcp -m multiport --dports 1,22:22', { protocol: 'tcp', ports: [1, 22] }],
    [
      '! -s 10.0.0.0/8 -p tcp',
      { protocol: 'tcp', sources: ['0.0.0.0-9.255.255.255', '11.0.0.0-255.255.255.255'] },
    ],
    [
      '-p tcp -m iprange ! --src-range 10.0.0.1-10.0.0.6',
      { protocol: 'tcp', sources: ['0.0.0.0-10.0.0.0', '10.0.0.7-255.255.255.255'] },
    ],
    ['-s 10.0.0.0/8,192.0.2.1 -p tcp', { protocol: 'tcp', sources: ['10.0.0.0/8', '192.0.2.1'] }],
    ['-p tcp -m conntrack --ctdir ORIGINAL', { protocol: 'tcp' }],
    ['-p tcp -m addrtype --dst-type LOCAL', { protocol: 'tcp' }],
    ['-p tcp -m addrtype ! --dst-type BROADCAST', { protocol: 'tcp' }],
    ['-p tcp -m rpfilter', { protocol: 'tcp' }],
    ['-p tcp ! -f', { protocol: 'tcp' }],
    ['-p icmp -m icmp ! --icmp-type 5', { protocol: 'icmp' }],
    [
      '-p tcp -m comment --comment "a \\"b\\" -j DROP"',
      { protocol: 'tcp', comment: 'a "b" -j DROP' },
    ],
  ])('%s', (conditions, rule) => {
    const result = input(`-A INPUT ${conditions} -j ACCEPT`);
    expect(reported(result)).toEqual([]);
    expect(result.templates[0]!.inbound).toEqual([rule]);
    read(result);
  });

  it.each([
    ['-s 10.0.0.0/255.0.255.0 -p tcp', '-s 10.0.0.0/255.0.255.0'],
    ['-i eth0 -p tcp', '-i eth0'],
    ['! -i eth0 -p tcp', '! -i eth0'],
    ['-p tcp --sport 80', '--sport 80'],
    ['-p tcp ! --dport 0:65535', '! --dport 0:65535'],
    ['-p tcp ! --sport :65535', '! --sport :65535'],
    ['-p icmp ! --icmp-type any', '! --icmp-type any'],
    ['-p tcp --dport 0', 'port 0 cannot be expressed, only 1 to 65535'],
    ['-p icmp ! --icmp-type 8', '--icmp-type 13, 15, 17: rules have no ICMP types'],
    [
      '-p tcp -m policy --dir in --pol ipsec --proto udp',
      '-m policy; --dir in; --pol ipsec; --proto udp',
    ],
    ['-p tcp -m socket', '-m socket'],
    ['-p tcp -m multiport --ports 80', '--ports 80'],
    ['-p tcp -m limit --limit 3/min --limit-burst 5', '-m limit; --limit 3/min; --limit-burst 5'],
    ['-p tcp -m set --match-set office src', '-m set; --match-set office src'],
    ['-p icmp -m icmp --icmp-type 8', '--icmp-type 8: rules have no ICMP types'],
    ['-p tcp --dport http', '--dport http'],
    ['-p tcp --constructor', '--constructor'],
    ['-d 10.0.0.2 -p tcp', '-d: a template is for all addresses of its servers'],
    ['-p gre', 'protocol gre: only ICMP, TCP and UDP can be expressed'],
    ['-p tcp -m state --state INVALID', 'packets of the state INVALID never pass'],
    ['-p icmp --icmp-type redirect', 'ICMP redirect never passes'],
  ])('%s is left out', (conditions, message) => {
    const result = input(`-A INPUT ${conditions} -j ACCEPT`);
    expect(reported(result)).toEqual([`lost line 7: ${message}`]);
    expect(result.templates[0]!.inbound).toEqual([]);
  });

  it.each([
    ['-f', 'note line 7: a datagram in fragments is judged as a whole here'],
    ['-s 127.0.0.0/8', 'note line 7: packets with such addresses never come through the firewall'],
    [
      '-d 224.0.0.251 -p udp',
      'note line 7: packets with such addresses never come through the firewall',
    ],
    [
      '-m pkttype --pkt-type broadcast',
      'note line 7: such packets never come through the firewall',
    ],
    ['-m rpfilter --invert', 'note line 7: the gateway drops forged sources before any rule'],
    ['-i lo', 'note line 7: traffic of the loopback interface never comes through the firewall'],
    [
      '-p icmp --icmp-type 3/4',
      'note line 7: ICMP 3/4 needs no rule: it passes when it belongs to a live flow',
    ],
    ['-p tcp ! --syn', undefined],
    ['-m state --state RELATED', undefined],
  ])('%s is not needed', (conditions, remark) => {
    const result = input(`-A INPUT ${conditions} -j ACCEPT`);
    expect(reported(result)).toEqual(remark === undefined ? [] : [remark]);
    expect(result.templates[0]!.inbound).toEqual([]);
  });
});

describe('order', () => {
  const ssh = '-A INPUT -p tcp --dport 22 -j ACCEPT';
  it.each<[string, string[], string[], number]>([
    ['a drop of something else', ['-A INPUT -p udp -j DROP'], [], 1],
    ['a drop of other ports', ['-A INPUT -p tcp --dport 23:80 -j REJECT --reject-with x'], [], 1],
    ['a drop of invalid packets', ['-A INPUT -m state --state INVALID -j DROP'], [], 1],
    ['a log', ['-A INPUT -j LOG --log-prefix "x -j DROP"'], [], 1],
    ['a drop of a part', ['-A INPUT -s 10.0.0.1 -j DROP'], [], 1],
    ['a drop that is about no packet that comes', ['-A INPUT -p gre -j DROP'], [], 1],
    [
      'a drop of what never comes',
      ['-A INPUT -d 127.0.0.0/8 ! -i lo -j REJECT'],
      ['note line 7: packets with such addresses never come through the firewall'],
      1,
    ],
    [
      'a drop of all',
      ['-A INPUT -p tcp -j DROP'],
      ['note line 8: never reached: line 7 (DROP) takes all of it before'],
      0,
    ],
    [
      'a limited drop of all',
      ['-A INPUT -p tcp -m limit --limit 1/s -j DROP'],
      ['lost line 8: line 7 (DROP) may take a part of it before: -m limit; --limit 1/s'],
      0,
    ],
    [
      'a rule of which nothing is known',
      ['-A INPUT -p tcp --unknown 5'],
      [
        'lost line 7: --unknown 5: not known, it may drop',
        'lost line 8: line 7 (?) may take a part of it before: --unknown 5',
      ],
      0,
    ],
    [
      'a drop with an option that is not known',
      ['-A INPUT -p tcp --unknown 5 -j DROP'],
      ['lost line 8: line 7 (DROP) may take a part of it before: --unknown 5'],
      0,
    ],
    [
      'an accept with an option that is not known',
      ['-A INPUT -p udp --unknown 5 -j ACCEPT'],
      ['lost line 7: --unknown 5'],
      1,
    ],
    [
      'a target that is not known',
      ['-A INPUT -p tcp -j NFQUEUE --queue-num 1'],
      [
        'lost line 7: what the target NFQUEUE does is not known: it may drop',
        'lost line 8: line 7 (NFQUEUE) may take a part of it before: what it does is not known',
      ],
      0,
    ],
    [
      'a chain that drops a part',
      ['-A INPUT -p tcp -j own', '-A own -s 10.0.0.0/8 -j DROP'],
      [],
      1,
    ],
    [
      'a chain that returns',
      ['-A INPUT -p tcp -j own', '-A own -j RETURN', '-A own -j DROP'],
      [],
      1,
    ],
    [
      'a goto',
      ['-A INPUT -p tcp -g own'],
      ['note line 8: never reached: line 7 (own) takes all of it before'],
      0,
    ],
  ])('behind %s', (_name, before, remarks, taken) => {
    const result = input(...before, ssh);
    expect(reported(result)).toEqual(remarks);
    expect(result.templates[0]!.inbound).toHaveLength(taken);
  });

  it('what has returned from a chain is not accepted by one behind it', () => {
    const result = run(
      [
        '*filter',
        ':INPUT DROP [0:0]',
        ':outer - [0:0]',
        ':inner - [0:0]',
        '-A INPUT -m state --state ESTABLISHED -j ACCEPT',
        '-A INPUT -j outer',
        '-A INPUT -p udp -m udp --dport 53 -j ACCEPT',
        '-A outer -s 10.0.0.1/32 -j RETURN',
        '-A outer -j inner',
        '-A inner -p udp -m udp --dport 123 -j ACCEPT',
        'COMMIT',
      ].join('\n'),
    );
    expect(reported(result)).toEqual([]);
    expect(result.templates[0]!.inbound).toEqual([
      { protocol: 'udp', ports: [123], sources: ['0.0.0.0-10.0.0.0', '10.0.0.2-255.255.255.255'] },
      { protocol: 'udp', ports: [53] },
    ]);
  });

  it('what drops replies is reported', () => {
    const text = (...rules: string[]): string =>
      ['*filter', ':INPUT DROP [0:0]', ':OUTPUT ACCEPT [0:0]', ...rules, 'COMMIT'].join('\n');
    const tcp = '-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT';
    const drop = '-A INPUT -s 10.0.0.1 -p udp -j DROP';
    const replies = '-A INPUT -m state --state ESTABLISHED -j ACCEPT';
    const lost = (...rules: string[]): string[] =>
      reported(run(text(...rules))).filter((each) => each.startsWith('lost'));
    expect(lost(tcp)).toEqual([
      'lost line 2: INPUT does not accept all replies (state ESTABLISHED): here replies of an allowed flow always pass',
    ]);
    expect(lost(drop, replies, tcp)).toEqual([
      'lost line 4: DROP takes replies of allowed flows, too: here they always pass',
    ]);
    expect(lost(replies, drop, tcp)).toEqual([]);
    const open = (...rules: string[]): string[] =>
      reported(run(text(...rules).replace(':INPUT DROP', ':INPUT ACCEPT'))).filter((each) =>
        each.startsWith('lost'),
      );
    expect(open('-A INPUT -p udp -m state --state NEW -j DROP')).toEqual([]);
    expect(open(drop)).toHaveLength(1);
    expect(open(tcp, '-A INPUT -j DROP')).toHaveLength(1);
    expect(lost('-A INPUT -p tcp --tcp-flags ALL NONE -j DROP', replies, tcp)).toEqual([]);
    expect(lost('-A INPUT -p tcp --tcp-flags RST RST -j DROP', replies, tcp)).toHaveLength(1);
  });

  it.each<[input: string, output: string, note: string | undefined]>([
    ['ssh', 'nothing', 'note line 3: OUTPUT'],
    ['ssh', 'replies', undefined],
    ['nothing', 'dns', 'note line 2: INPUT'],
    ['replies', 'dns', undefined],
    ['nothing', 'nothing', undefined],
  ])('INPUT accepts %s and OUTPUT %s: a note if no answer passes', (inbound, outbound, note) => {
    const rules: Record<string, string> = {
      ssh: '-A INPUT -m state --state ESTABLISHED -j ACCEPT\n-A INPUT -p tcp --dport 22 -j ACCEPT',
      dns: '-A OUTPUT -m state --state ESTABLISHED -j ACCEPT\n-A OUTPUT -p udp --dport 53 -j ACCEPT',
      nothing: '-A CHAIN -p tcp --dport 1 -j DROP',
      replies: '-A CHAIN -m state --state ESTABLISHED -j ACCEPT',
    };
    const first = rules[inbound]!.replace('CHAIN', 'INPUT');
    const second = rules[outbound]!.replace('CHAIN', 'OUTPUT');
    const lines = ['*filter', ':INPUT DROP', ':OUTPUT DROP', first, second, 'COMMIT'];
    const says = 'does not accept all replies (state ESTABLISHED)';
    const found = reported(run(lines.join('\n'))).filter((each) => each.includes(says));
    const rest = 'here replies of an allowed flow always pass';
    expect(found).toEqual(note === undefined ? [] : [`${note} ${says}: ${rest}`]);
  });
});

describe('documents', () => {
  it('a host, as iptables-save prints it', () => {
    const result = run(fixture('host.rules'));
    expect(result.format).toBe('iptables');
    expect(result.templates).toEqual([
      {
        name: 'host',
        description: 'Imported from iptables: INPUT and OUTPUT',
        inbound: [
          { protocol: 'tcp', ports: [22], sources: ['10.0.0.0/8'], comment: 'SSH from "inside"' },
          {
            protocol: 'tcp',
            ports: [443],
            sources: ['198.51.100.64/31', '198.51.100.67-198.51.100.127'],
          },
          { protocol: 'tcp', ports: [80, 443, '8000-8100'], sources: ['192.0.2.10-192.0.2.20'] },
          {
            protocol: 'udp',
            ports: [53],
            sources: ['0.0.0.0-203.0.112.255', '203.0.114.0-255.255.255.255'],
          },
          { protocol: 'udp', ports: [123], sources: ['192.0.2.0/24'] },
          {
            protocol: 'tcp',
            ports: [81],
            sources: ['0.0.0.0-9.255.255.255', '11.0.0.0-255.255.255.255'],
          },
        ],
        outbound: [{ protocol: 'all', comment: 'OUTPUT accepts by policy' }],
      },
    ]);
    expect(reported(result)).toEqual([
      'note line 5: addresses that the table nat translates are not translated here',
      'note line 10: all protocols are ICMP, TCP and UDP here: others are dropped',
      'note line 13: traffic of the loopback interface never comes through the firewall',
      'lost line 19: --icmp-type 8: rules have no ICMP types',
      'lost line 22: -m limit; --limit 3/min',
      'lost line 24: -i eth1',
      'lost line 25: -d: a template is for all addresses of its servers',
      'lost line 26: protocol esp: only ICMP, TCP and UDP can be expressed',
    ]);
  });

  it('a router: one template for all servers, and one for each address', () => {
    const result = run(fixture('router.rules'));
    expect(
      result.templates.map(({ name, inbound, outbound }) => [name, inbound, outbound]),
    ).toEqual([
      [
        'host-forward',
        [{ protocol: 'udp', ports: [53], sources: ['10.0.0.0/24'] }, { protocol: 'icmp' }],
        [{ protocol: 'tcp', ports: [80], destinations: ['10.0.0.5'] }, { protocol: 'icmp' }],
      ],
      [
        'host-forward-10.0.0.5',
        [
          { protocol: 'tcp', ports: [80] },
          { protocol: 'tcp', ports: [5432], sources: ['10.0.0.6'] },
        ],
        [],
      ],
      ['host-forward-10.0.0.0-24', [], [{ protocol: 'udp', ports: [53] }]],
      [
        'host-forward-10.0.0.6',
        [],
        [{ protocol: 'tcp', ports: [5432], destinations: ['10.0.0.5'] }],
      ],
    ]);
    const remarks = reported(result);
    expect(remarks.at(-1)).toBe('lost line 10: -i eth0; -o eth1');
    expect(remarks).toContain(
      'note line 6: servers are not invented: assign the template host-forward-10.0.0.5 to the servers with addresses in 10.0.0.5, and no others',
    );
  });

  it.each([
    ['# Generated by ip6tables-save v1\n*filter\n', 'these are rules of ip6tables'],
    ['*filter\n:INPUT DROP [0:0]\nfoo', 'line 3: expected a line of iptables-save, found "foo"'],
    ['*filter\n:INPUT', 'line 2: expected a line of iptables-save, found ":INPUT"'],
    ['*filter\n-A own -j ACCEPT', 'line 2: the chain own is not declared'],
    ['-A INPUT -j ACCEPT', 'line 1: expected a line of iptables-save, found "-A INPUT -j ACCEPT"'],
    ['nonsense', 'this is nothing that can be imported'],
    ['', 'this is nothing that can be imported'],
  ])('%j is refused', (text, message) => {
    expect(() => run(text)).toThrow(message);
  });

  it('chains that jump in a circle end', () => {
    expect(() => input('-A INPUT -j own', '-A own -j own')).toThrow('jump to each other too often');
  });

  it('nothing but policies is nothing to import', () => {
    const result = run('*filter\n:INPUT ACCEPT [0:0]\n:FORWARD ACCEPT [0:0]\nCOMMIT\n');
    expect(result.templates).toEqual([]);
    expect(reported(result)).toEqual([
      'note line 3: FORWARD has no rules and accepts everything: it is not imported',
    ]);
  });
});

describe('random chains against a naive walk', () => {
  const addresses = Array.from({ length: 10 }, (_, i) => 0x0a000000 + i * 9);
  const maker = new PolicyMaker(seededRandom(), addresses);
  const server = 0x0a000000;
  const other = 0x0a000009;
  const established: PlainIptablesRule = { states: ['ESTABLISHED'], target: 'ACCEPT' };
  const seen = { allowed: 0, denied: 0, equal: 0 };

  function chains(name: string, ends: readonly ('source' | 'destination')[]): PlainChain[] {
    const rules = (targets: readonly string[]): PlainIptablesRule[] =>
      Array.from({ length: 1 + maker.below(5) }, () => randomRule(maker, targets, ends));
    const accepting = ['ACCEPT', 'ACCEPT', 'ACCEPT', 'LOG'];
    // Half of the rule sets only accept, so that most of them can be expressed whole.
    const targets = maker.chance(0.5) ? accepting : [...accepting, 'DROP', 'REJECT', 'RETURN'];
    return [
      {
        name,
        policy: maker.chance(0.8) ? 'DROP' : 'ACCEPT',
        rules: [
          established,
          ...rules([...targets.filter((each) => each !== 'RETURN'), `${name}-1`]),
        ],
      },
      { name: `${name}-1`, policy: '-', rules: rules([...targets, `${name}-2`]) },
      { name: `${name}-2`, policy: '-', rules: rules(targets) },
    ];
  }

  /** What the import lets pass, the rules let pass; and the other way round where nothing was lost. */
  function compare(
    all: readonly PlainChain[],
    text: string,
    chain: string,
    policy: Matcher,
    lost: boolean,
    source: number,
    destination: number,
  ): void {
    const protocol = maker.pick([1, 6, 17]);
    const port = protocol === 1 ? 0 : maker.pick(interestingPorts);
    const packet = { protocol, source, destination, port };
    const allowed = policy.match(protocol, source, destination, port) === MatchResult.allowed;
    const context = `TUNWALL_SEED=${seed} ${protocol} ${source} ${destination} ${port}\n${text}`;
    const odd = all.some(({ rules }) => rules.some((rule) => rule.odd !== undefined));
    for (const coin of odd ? [() => true, () => false, () => maker.chance(0.5)] : [() => true]) {
      const accepted = walkIptables(all, chain, packet, coin);
      if (allowed) expect(accepted, context).toBe(true);
      if (!lost) expect(allowed, context).toBe(accepted);
    }
    seen[allowed ? 'allowed' : 'denied']++;
    if (!lost) seen.equal++;
  }

  const policyOf = (templates: readonly Template[], servers: readonly Server[]): Matcher =>
    new Matcher(compilePolicy({ templates, servers }, 1).words);
  const lostIn = ({ remarks }: ImportResult): boolean =>
    remarks.some(
      ({ severity, message }) =>
        severity === 'lost' && !/replies|protocol esp|state INVALID/.test(message),
    );

  it('of a host', () => {
    for (let round = 0; round < 150; round++) {
      const all = [...chains('INPUT', ['source']), ...chains('OUTPUT', ['destination'])];
      if (maker.chance(0.1)) all[0]!.rules.push(randomRule(maker, ['ACCEPT'], ['destination']));
      const text = printIptables(all);
      const result = run(text);
      const templates = read(result);
      expect(templates).toHaveLength(1);
      const policy = policyOf(templates, [
        { name: 's', addresses: [server], templates: [templates[0]!.name] },
      ]);
      for (let probe = 0; probe < 40; probe++) {
        const peer = maker.pick(addresses.slice(1));
        const lost = lostIn(result);
        if (maker.chance(0.5)) compare(all, text, 'INPUT', policy, lost, peer, server);
        else compare(all, text, 'OUTPUT', policy, lost, server, peer);
      }
    }
    for (const count of Object.values(seen)) expect(count).toBeGreaterThan(500);
  });

  it('of a router, with its templates assigned as reported', () => {
    Object.assign(seen, { allowed: 0, denied: 0, equal: 0 });
    for (let round = 0; round < 150; round++) {
      const all = chains('FORWARD', ['source', 'destination']);
      const text = printIptables(all);
      const result = run(text);
      const templates = read(result);
      const policy = policyOf(templates, [
        { name: 'a', addresses: [server], templates: assignedTo(templates, server) },
        { name: 'b', addresses: [other], templates: assignedTo(templates, other) },
      ]);
      const ends = [server, other, ...addresses.slice(2)];
      for (let probe = 0; probe < 40; probe++) {
        const [own, peer] = [maker.pick([server, other]), maker.pick(ends)];
        if (own === peer) continue;
        const [from, to] = maker.chance(0.5) ? [own, peer] : [peer, own];
        compare(all, text, 'FORWARD', policy, lostIn(result), from, to);
      }
    }
    for (const count of Object.values(seen)) expect(count).toBeGreaterThan(500);
  });
});
