/** Importing iptables-save: the grammar is closed, every table counts, and real hosts come across. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { importRules } from '../../../../src/interop/rules/import.ts';
import type { ImportResult } from '../../../../src/interop/rules/import-result.ts';
import { reported } from '../../../support/imports.ts';

const run = (text: string, device?: string): ImportResult =>
  importRules(text, undefined, {
    fallbackName: 'host',
    ...(device !== undefined && { interface: device }),
  });
const fixture = (name: string): string =>
  readFileSync(new URL(`../../../fixtures/import/${name}`, import.meta.url), 'utf8');
const lost = (result: ImportResult): string[] =>
  reported(result).filter((each) => each.startsWith('lost'));

const established = '-A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT';
const table = (name: string, chains: Record<string, string>, ...rules: string[]): string =>
  [
    `*${name}`,
    ...Object.entries(chains).map(([chain, policy]) => `:${chain} ${policy} [0:0]`),
    ...rules,
    'COMMIT',
    '',
  ].join('\n');
const filter = (...rules: string[]): string =>
  table(
    ...(['filter', { INPUT: 'DROP', OUTPUT: 'DROP', own: '-' }] as const),
    ...[established, ...rules, established.replace('INPUT', 'OUTPUT')],
  );

const ssh = '-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT';
const outside = ['0.0.0.0-203.0.112.255', '203.0.114.0-255.255.255.255'];

/** iptables reads 022 as 18, 0x6 as 6, and " 6" as well; iptables-save writes none of them. */
describe('a number in another notation is not guessed', () => {
  it.each([
    '-p tcp --dport 022',
    '-p tcp --dport 026:0x50',
    '-p tcp -m multiport --dports 80,022',
    '! -p 06',
    '! -p 0x6',
    '-p icmp --icmp-type 010',
    '-s 0313.0.113.0/24',
    '-s 203.0.113.9/030',
    '-m iprange --src-range 010.0.0.1-010.0.0.9',
  ])('an ACCEPT with %s is left out', (words) => {
    const result = run(filter(`-A INPUT ${words} -j ACCEPT`, ssh));
    expect(result.templates[0]!.inbound).toEqual([{ protocol: 'tcp', ports: [22] }]);
    expect(lost(result)).toHaveLength(1);
  });

  it.each(['-p 06', '-p 0x6', '-p +6', '-p " 6"', '-p unheard-of', '-p tcp --dport 026'])(
    'a DROP with %s blocks what is behind it',
    (words) => {
      const result = run(filter(`-A INPUT ${words} -s 203.0.113.0/24 -j DROP`, ssh));
      expect(result.templates[0]!.inbound).toMatchObject([{ sources: outside }]);
    },
  );

  it('a DROP of an ICMP type, too', () => {
    const result = run(
      filter('-A INPUT -p icmp --icmp-type 010 -j DROP', '-A INPUT -p icmp -j ACCEPT', ssh),
    );
    expect(result.templates[0]!.inbound).toEqual([{ protocol: 'tcp', ports: [22] }]);
  });

  it.each(['', ':022'])('nor where packets are sent by a translation to 10.9.0.2%s', (port) => {
    const nat = table(
      'nat',
      { PREROUTING: 'ACCEPT' },
      `-A PREROUTING -p tcp --dport 8080 -j DNAT --to-destination 10.9.0.2${port}`,
    );
    const result = run(nat + filter(ssh, '-A INPUT -p tcp --dport 18 -j ACCEPT'));
    expect(result.templates[0]!.inbound).toEqual(
      port === ''
        ? [
            { protocol: 'tcp', ports: [22] },
            { protocol: 'tcp', ports: [18] },
          ]
        : [],
    );
  });
});

describe('the grammar is closed', () => {
  it.each([
    ['two tables of one name', filter(ssh) + filter(), 'line 9: the table filter is there twice'],
    [
      'an unknown table',
      table('broute', { BROUTING: 'ACCEPT' }),
      'line 1: expected a line of iptables-save, found "*broute"',
    ],
    ['a table without its end', filter(ssh).replace('COMMIT\n', ''), 'the table has no end'],
    ['a table in another', '*filter\n*nat\nCOMMIT\n', 'line 2: the table has no end'],
    [
      'a chain that is declared again',
      filter('-A INPUT -s 203.0.113.0/24 -j DROP', ':INPUT ACCEPT [0:0]', ssh),
      'line 7: the chain INPUT is declared twice',
    ],
    [
      'a built-in chain without a policy, which would keep the one it had',
      table('raw', { PREROUTING: '-' }, '-A PREROUTING -p tcp -j DROP') + filter(ssh),
      'line 2: the built-in chain PREROUTING has no policy',
    ],
    [
      'a chain with the name of a target',
      filter(':REJECT - [0:0]'),
      'line 6: the chain REJECT has the name of a target',
    ],
    [
      'a newline within a comment',
      filter(
        '-A INPUT -s 203.0.113.0/24 -m comment --comment "x',
        '-A INPUT -j ACCEPT',
        '#" -j DROP',
      ),
      'line 6: a quotation does not end in its line',
    ],
    [
      'an option without its value',
      filter('-A INPUT -p tcp --dport'),
      'line 6: --dport has no value',
    ],
    ['two protocols', filter('-A INPUT -p udp -p tcp -j ACCEPT'), 'line 6: -p is there twice'],
    [
      'two sources',
      filter('-A INPUT -s 10.0.0.1 --src 10.0.0.2 -j DROP'),
      'line 6: -s is there twice',
    ],
    ['two targets', filter('-A INPUT -j DROP -j ACCEPT'), 'line 6: -j is there twice'],
    ['a negated target', filter('-A INPUT ! -j DROP'), 'line 6: -j cannot be negated'],
    [
      'a negation behind its option',
      filter('-A INPUT -s ! 10.0.0.0/8 -j ACCEPT'),
      'line 6: the exclamation mark stands behind -s, not before it',
    ],
    [
      'an address of IPv6',
      filter('-A INPUT -s 2001:db8::/32 -j ACCEPT'),
      'line 6: 2001:db8::/32 is an IPv6',
    ],
    ['another command', filter('-D INPUT 1'), 'line 6: expected a line of iptables-save'],
  ])('%s is refused', (_name, text, message) => {
    expect(() => run(text)).toThrow(message);
  });

  it.each([
    ['the target first', '-A INPUT -j ACCEPT -p tcp --dport 22'],
    ['its options before the conditions', '-A INPUT -j LOG --log-prefix "-j DROP" -p tcp\n' + ssh],
    ['counters', `[5:300] ${ssh}`],
    ['tabs', ssh.replaceAll(' ', '\t')],
    ['other names', '-A INPUT --protocol tcp --destination-port 22 --jump ACCEPT'],
    ['values that are glued to their options', '-A INPUT -ptcp --dport=22 -jACCEPT'],
    ['a protocol behind its match', '-A INPUT -m tcp -p tcp --dport 22 -j ACCEPT'],
    ['a protocol by number', '-A INPUT -p 6 --dport 22 -j ACCEPT'],
  ])('%s', (_name, rules) => {
    const result = run(filter(...rules.split('\n')));
    expect(reported(result)).toEqual([]);
    expect(result.templates[0]!.inbound).toEqual([{ protocol: 'tcp', ports: [22] }]);
  });

  it.each(['-j', 'x -j ACCEPT', "it's", '# -j DROP', 'a \\"b\\" -p udp'])(
    'a comment is one word: %s',
    (comment) => {
      const rule = `-A INPUT -s 10.0.0.0/8 -m comment --comment "${comment}" -p tcp -j DROP`;
      const { inbound } = run(filter(rule, ssh)).templates[0]!;
      const sources = ['0.0.0.0-9.255.255.255', '11.0.0.0-255.255.255.255'];
      expect(inbound).toEqual([{ protocol: 'tcp', ports: [22], sources }]);
    },
  );

  it('a shortened option is not known: it may be a drop', () => {
    const result = run(filter('-A INPUT -s 203.0.113.0/24 --jum DROP', ssh));
    expect(result.templates[0]!.inbound).toEqual([
      { protocol: 'tcp', ports: [22], sources: outside },
    ]);
    expect(lost(result)).toHaveLength(2);
  });

  it('what iptables-save says it leaves out may drop', () => {
    const warning =
      '# Warning: iptables-legacy tables present, use iptables-legacy-save to see them\n';
    expect(lost(run(warning + filter(ssh)))).toEqual([
      'lost line 1: "iptables-legacy tables present, use iptables-legacy-save to see them": other rules may drop what these accept',
    ]);
    const foreign = "# Table `x' is incompatible, use 'nft' tool.\n";
    expect(lost(run(foreign + filter(ssh)))).toHaveLength(1);
  });
});

describe('other tables', () => {
  const drop = '-A PREROUTING -s 203.0.113.0/24 -j DROP';
  it.each([
    ['raw', { PREROUTING: 'ACCEPT' }, [drop]],
    ['mangle', { PREROUTING: 'ACCEPT', INPUT: 'ACCEPT' }, [drop]],
    ['mangle', { INPUT: 'ACCEPT' }, ['-A INPUT -s 203.0.113.0/24 -j DROP']],
    ['security', { INPUT: 'ACCEPT' }, ['-A INPUT -s 203.0.113.0/24 -j DROP']],
    [
      'raw',
      { PREROUTING: 'ACCEPT', a: '-' },
      ['-A PREROUTING -j a', drop.replace('PREROUTING', 'a')],
    ],
    [
      'mangle',
      { PREROUTING: 'DROP' },
      ['-A PREROUTING ! -s 203.0.113.0/24 -j ACCEPT', '-A PREROUTING -j RETURN'],
    ],
  ])('what %s drops is dropped: %j', (name, chains, rules) => {
    const before = run(table(name, chains, ...rules) + filter(ssh)).templates[0]!;
    const behind = run(filter(ssh) + table(name, chains, ...rules)).templates[0]!;
    expect(before.inbound).toEqual([{ protocol: 'tcp', ports: [22], sources: outside }]);
    expect(behind.inbound).toEqual(before.inbound);
  });

  it('what they accept goes on, and is asked again', () => {
    const raw = table(
      'raw',
      { PREROUTING: 'ACCEPT' },
      '-A PREROUTING -p tcp -m tcp --dport 22 -j ACCEPT',
      '-A PREROUTING -j DROP',
    );
    const text = raw + filter(ssh, '-A INPUT -p udp -j ACCEPT');
    expect(run(text).templates[0]!.inbound).toEqual([{ protocol: 'tcp', ports: [22] }]);
  });

  it('OUTPUT has tables of its own', () => {
    const mangle = table(
      'mangle',
      { POSTROUTING: 'ACCEPT' },
      '-A POSTROUTING -d 203.0.113.0/24 -j DROP',
    );
    const raw = table('raw', { OUTPUT: 'ACCEPT' }, '-A OUTPUT -p udp -j DROP');
    const text = filter('-A OUTPUT -j ACCEPT') + mangle + raw;
    expect(run(text).templates[0]!.outbound).toEqual([
      { protocol: 'icmp', destinations: outside },
      { protocol: 'tcp', destinations: outside },
    ]);
  });

  it.each([
    ['NOTRACK', '-A PREROUTING -p tcp -j NOTRACK'],
    ['CT', '-A PREROUTING -p tcp -j CT --notrack'],
    [
      'a state, which is not known yet',
      '-A PREROUTING -p tcp -m conntrack --ctstate INVALID -j DROP',
    ],
  ])('raw: %s', (_name, rule) => {
    const text = table('raw', { PREROUTING: 'ACCEPT' }, rule) + filter(ssh);
    expect(run(text).templates[0]!.inbound).toEqual([]);
    expect(lost(run(text)).join()).toContain('line 3');
  });

  describe('translation', () => {
    const nat = (rule: string): string => table('nat', { PREROUTING: 'ACCEPT' }, rule);
    const both = filter(
      ssh,
      '-A INPUT -p tcp -m multiport --dports 80,8080 -j ACCEPT',
      '-A INPUT -p udp -j ACCEPT',
    );
    const left = [{ protocol: 'tcp', ports: [22] }, { protocol: 'udp' }];
    it.each([
      '-p tcp -m tcp --dport 80 -j REDIRECT --to-ports 8080',
      '-p tcp -m tcp --dport 80 -j DNAT --to-destination 192.0.2.5:8080',
      '-p tcp -m multiport --dports 80,8080 -j DNAT --to-destination 192.0.2.5',
    ])('neither end of it is opened: %s', (rule) => {
      const result = run(nat(`-A PREROUTING ${rule}`) + both);
      expect(result.templates[0]!.inbound).toEqual(left);
      expect(lost(result)[0]).toMatch(/^lost line 3: (REDIRECT|DNAT) sends packets elsewhere/);
    });

    it('a port that stays as it is, or that is unknown', () => {
      const same = nat('-A PREROUTING -p tcp -m tcp --dport 80 -j REDIRECT');
      expect(run(same + both).templates[0]!.inbound[1]).toEqual({ protocol: 'tcp', ports: [8080] });
      const odd = nat('-A PREROUTING -p tcp -m tcp --dport 80 -j DNAT --to-destination :x');
      expect(run(odd + both).templates[0]!.inbound).toEqual([{ protocol: 'udp' }]);
    });

    it('of sources changes nothing', () => {
      const masquerade = table('nat', { POSTROUTING: 'ACCEPT' }, '-A POSTROUTING -j MASQUERADE');
      const result = run(masquerade + both);
      expect(lost(result)).toEqual([]);
      expect(result.templates[0]!.inbound).toHaveLength(3);
    });
  });
});

describe('conditions that templates do not have', () => {
  const zone = filter(
    '-A INPUT -i eth0 -g own',
    '-A INPUT -g own',
    '-A own -p tcp -m tcp --dport 443 -j ACCEPT',
  );
  it('cancel with their opposite', () => {
    expect(reported(run(zone))).toEqual([]);
    expect(run(zone).templates[0]!.inbound).toEqual([{ protocol: 'tcp', ports: [443] }]);
    const opposite = filter(
      '-A INPUT -i eth0 -p tcp -m tcp --dport 22:80 -j ACCEPT',
      '-A INPUT ! -i eth0 -p tcp -m tcp --dport 80:90 -j ACCEPT',
    );
    expect(run(opposite).templates[0]!.inbound).toEqual([{ protocol: 'tcp', ports: [80] }]);
    expect(lost(run(opposite))).toEqual(['lost line 6: -i eth0', 'lost line 7: ! -i eth0']);
  });

  it('do not where each asking has its own answer', () => {
    const twice = (how: string): string =>
      filter(`-A INPUT -p tcp ${how} -g own`, '-A INPUT -p tcp -j DROP', '-A own -p tcp -j ACCEPT');
    expect(run(twice('-m limit --limit 1/s')).templates[0]!.inbound).toEqual([]);
  });

  it('are known if the interface is', () => {
    const rules = filter(
      '-A INPUT -i eth0 -p tcp -m tcp --dport 80 -j ACCEPT',
      '-A INPUT -i wg+ -p tcp -m tcp --dport 22 -j ACCEPT',
      '-A INPUT ! -i eth0 -p tcp -m tcp --dport 23 -j ACCEPT',
      '-A INPUT -i et+ -p udp -j ACCEPT',
      '-A OUTPUT -o eth0 -p tcp -j ACCEPT',
    );
    const result = run(rules, 'eth0');
    expect(result.templates[0]!.inbound).toEqual([
      { protocol: 'tcp', ports: [80] },
      { protocol: 'udp' },
    ]);
    expect(result.templates[0]!.outbound).toEqual([{ protocol: 'tcp' }]);
    expect(reported(result).filter((each) => !each.includes('replies'))).toEqual([
      'note line 7: it is about other interfaces than eth0',
      'note line 8: it is about other interfaces than eth0',
    ]);
    expect(run(rules).templates[0]!.inbound).toEqual([]);
  });
});

describe('hosts', () => {
  it('of ufw', () => {
    const result = run(fixture('ufw.rules'));
    expect(result.templates).toHaveLength(1);
    expect(result.templates[0]!.inbound).toEqual([
      { protocol: 'tcp', ports: [22] },
      { protocol: 'tcp', ports: [5432], sources: ['10.0.0.0/8'] },
      { protocol: 'tcp', ports: [443] },
      { protocol: 'udp', ports: [443] },
      {
        protocol: 'udp',
        ports: ['8000-8100'],
        sources: ['0.0.0.0-203.0.113.6', '203.0.113.8-255.255.255.255'],
      },
    ]);
    // Ping, DHCP's answers, and the port with a limit.
    expect(lost(result).map((each) => each.split(':')[0])).toEqual([
      'lost line 69',
      'lost line 78',
      'lost line 79',
      'lost line 111',
    ]);
  });

  it('of firewalld', () => {
    const result = run(fixture('firewalld.rules'));
    expect(lost(result)).toEqual([]);
    expect(result.templates[0]!.inbound).toEqual([
      { protocol: 'tcp', ports: [22] },
      { protocol: 'tcp', ports: [443] },
      { protocol: 'icmp' },
    ]);
  });

  it('that ban addresses before anything else', () => {
    const banned = ['203.0.113.5', '203.0.113.9', '198.51.100.77'];
    const result = run(
      table(
        'filter',
        { INPUT: 'DROP', 'f2b-sshd': '-' },
        '-A INPUT -p tcp -m multiport --dports 22 -j f2b-sshd',
        established,
        '-A INPUT -p tcp -m multiport --dports 20:30 -j ACCEPT',
        ...banned.map((each) => `-A f2b-sshd -s ${each}/32 -j REJECT`),
        '-A f2b-sshd -j RETURN',
      ),
    );
    expect(lost(result)).toEqual([]);
    expect(reported(result)).toEqual([
      'note line 7: REJECT takes replies of allowed flows that a server opens from its ports below 1024, too: here they always pass (and 2 more rules)',
    ]);
    expect(result.templates[0]!.inbound).toEqual([
      { protocol: 'tcp', ports: ['20-21', '23-30'] },
      {
        protocol: 'tcp',
        ports: [22],
        sources: [
          '0.0.0.0-198.51.100.76',
          '198.51.100.78-203.0.113.4',
          '203.0.113.6-203.0.113.8',
          '203.0.113.10-255.255.255.255',
        ],
      },
    ]);
  });

  it('that ban 20,000 addresses', () => {
    const drops = Array.from(
      { length: 20_000 },
      (_, i) => `-A INPUT -s 203.${(i >> 7) & 255}.${(i & 127) * 2}.7/32 -j DROP`,
    );
    const result = run(filter(...drops, ssh, '-A INPUT -p udp -j ACCEPT'));
    expect(reported(result)).toEqual([]);
    const { inbound } = result.templates[0]!;
    expect(inbound.map(({ sources }) => sources!.length)).toEqual([20_001, 20_001]);
    expect(inbound[0]!.sources!.slice(0, 2)).toEqual(['0.0.0.0-203.0.0.6', '203.0.0.8-203.0.2.6']);
  });

  it('that would take too many rules lose what cannot be said', () => {
    const drops = Array.from(
      { length: 2000 },
      (_, i) => `-A INPUT -s 10.0.${i >> 8}.${i & 255} -p tcp -m tcp --dport ${i + 1} -j DROP`,
    );
    const result = run(filter(...drops, '-A INPUT -p tcp -j ACCEPT', '-A INPUT -p udp -j ACCEPT'));
    expect(lost(result)).toEqual([
      'lost line 2006: what is left of it would take more than 512 rules',
    ]);
    expect(result.templates[0]!.inbound).toEqual([{ protocol: 'udp' }]);
    expect(result.directions[0]).toEqual({ name: 'INPUT', allowing: 2, imported: 1 });
  });
});
