/** Rules that add nothing: against the naive matcher on random policies; and each warning by hand. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { adviceOn } from '../../../src/policy/advice.ts';
import type { Advice } from '../../../src/policy/advice.ts';
import { compilePolicy } from '../../../src/policy/compile.ts';
import type { QuestionProtocol } from '../../../src/policy/opening-packet.ts';
import { isGroup } from '../../../src/policy/peers.ts';
import type { AddressRange, Rule, Server, Template } from '../../../src/policy/types.ts';
import { validateTemplate } from '../../../src/policy/validate.ts';
import { directions } from '../../../src/text/rule-text.ts';
import { addressToInt } from '../../../src/testing/packets.ts';
import { NaivePolicy } from '../../support/naive-policy.ts';
import { toServers } from '../../support/policies.ts';
import { withGroups } from '../../support/random-groups.ts';
import { PolicyMaker } from '../../support/random-policy.ts';
import { seed, seededRandom } from '../../support/seed.ts';

const nowMs = Date.parse('2026-06-01T00:00:00Z');
const pool = [1, 2, 3, 4, 5, 6, 8, 9, 15, 16].map((last) => addressToInt('10.0.0.0') + last);
const protocols: QuestionProtocol[] = ['icmp', 'tcp', 'udp'];

function randomSource(start: number): NaivePolicy {
  const maker = new PolicyMaker(seededRandom(start), pool);
  return new NaivePolicy(withGroups(maker.policy(5), maker), nowMs);
}

function redundantOf({ source }: NaivePolicy): Advice[] {
  const advice = adviceOn({ ...source, compiled: compilePolicy(source, 1, { nowMs }) });
  return advice.filter(({ kind }) => kind === 'duplicate' || kind === 'shadowed');
}

/** Packets on both sides of every edge that a rule, a set or a server can have: between two edges nothing changes. */
function grid({ source }: NaivePolicy): (readonly [QuestionProtocol, number, number])[] {
  const rules = source.templates.flatMap((each) => [...each.inbound, ...each.outbound]);
  const ranges = [
    ...rules.flatMap(({ peers = [], except = [] }) => [...peers, ...except]),
    ...source.sets.flatMap(({ addresses, except }) => [...addresses, ...except]),
  ].filter((peer): peer is AddressRange => !isGroup(peer));
  const owned = source.servers.flatMap(({ addresses }) => addresses);
  const edges = [0, ...ranges.flatMap(({ from, to }) => [from, to + 1]), ...owned];
  const addresses = [...edges, ...owned.map((each) => each + 1)].filter((each) => each < 2 ** 32);
  const cuts = rules.flatMap(({ ports = [] }) => ports.flatMap(({ from, to }) => [from, to + 1]));
  const ports = [0, ...cuts].filter((each) => each < 2 ** 16);
  return protocols.flatMap((protocol) =>
    [...new Set(addresses)].flatMap((address) =>
      (protocol === 'icmp' ? [0] : [...new Set(ports)]).map(
        (port) => [protocol, address, port] as const,
      ),
    ),
  );
}

describe('rules that add nothing, against the naive matcher', () => {
  const random = fc.integer({ min: 0, max: 2 ** 31 - 1 });

  it('all of them together can go, and no server allows another packet', () => {
    let removed = 0;
    const property = fc.property(random, (start) => {
      const naive = randomSource(start);
      const gone = new Set<Rule>(redundantOf(naive).map(({ place }) => place!.rule));
      removed += gone.size;
      const points = grid(naive);
      for (const server of naive.source.servers) {
        for (const direction of directions) {
          const rules = naive.templatesOf(server).flatMap((each) => each[direction]);
          const kept = rules.filter((rule) => !gone.has(rule));
          for (const point of points) {
            const allowedBy = (list: readonly Rule[]): boolean =>
              list.some((rule) => naive.allows(rule, ...point));
            expect(allowedBy(kept)).toBe(allowedBy(rules));
          }
        }
      }
    });
    fc.assert(property, { seed, numRuns: 60 });
    expect(removed).toBeGreaterThan(10);
  });

  it('of the others, each one allows some server a packet that nothing else does', () => {
    const property = fc.property(random, (start) => {
      const naive = randomSource(start);
      const { templates, servers } = naive.source;
      const gone = new Set<Rule>(redundantOf(naive).map(({ place }) => place!.rule));
      const points = grid(naive);
      const unionsWith = (template: Template): readonly Template[][] => {
        const owners = servers.map((server: Server) => naive.templatesOf(server));
        const having = owners.filter((own) => own.includes(template));
        return having.length > 0 ? having : [[template]];
      };
      for (const template of templates) {
        for (const direction of directions) {
          for (const rule of template[direction]) {
            const allowed = points.filter((point) => naive.allows(rule, ...point));
            if (gone.has(rule) || allowed.length === 0) continue;
            const isNeeded = unionsWith(template).some((union) => {
              const others = union
                .flatMap((each) => each[direction])
                .filter((each) => each !== rule && !gone.has(each));
              return allowed.some((point) => !others.some((each) => naive.allows(each, ...point)));
            });
            expect(isNeeded).toBe(true);
          }
        }
      }
    });
    fc.assert(property, { seed, numRuns: 60 });
  });
});

describe('by hand', () => {
  const servers = toServers([
    { name: 'web-1', addresses: ['10.0.0.1'], templates: ['web', 'base'] },
    { name: 'web-2', addresses: ['10.0.0.2'], templates: ['web', 'base'] },
    { name: 'db-1', addresses: ['10.0.0.3'], templates: ['db'] },
  ]);
  const ask = (files: Record<string, string>): string[] => {
    const all = { web: '', base: '', db: '', ...files };
    const templates = Object.entries(all).map(
      ([name, text]) => validateTemplate(name, `${name}.yaml`, text).value!,
    );
    const compiled = compilePolicy({ templates, servers }, 1);
    return adviceOn({ templates, servers, compiled }).map(({ kind, template, place, message }) => {
      const at = place === undefined ? '' : ` ${place.direction}[${place.position}]`;
      return `${kind}: ${template}${at}: ${message}`;
    });
  };

  it.each<[string, Record<string, string>, string[]]>([
    [
      'a duplicate, whatever its words are',
      {
        web: `inbound:
  - { protocol: tcp, ports: [80, 81], sources: [10.0.0.0/8], comment: one }
  - { protocol: tcp, ports: ["80-81"], sources: [10.0.0.0/9, 10.128.0.0/9] }`,
      },
      ['duplicate: web inbound[1]: it says the same as inbound[0] (line 2)'],
    ],
    [
      'by several rules together, one of them of another template',
      {
        web: `inbound:
  - { protocol: tcp, ports: ["80-90"], sources: [10.0.0.0/8] }
  - { protocol: tcp, ports: ["80-84"] }`,
        base: 'inbound: [{ protocol: tcp, ports: ["85-99"], sources: [10.0.0.0/7] }]',
      },
      [
        'shadowed: web inbound[0]: it adds nothing to base inbound[0] (line 1), inbound[1] (line 3)',
      ],
    ],
    [
      'not where one server needs it',
      {
        base: 'inbound: [{ protocol: icmp }]',
        db: 'inbound: [{ protocol: icmp, sources: [10.0.0.0/8] }]',
      },
      [],
    ],
    [
      'rules that are off count as nothing',
      {
        web: 'inbound: [{ protocol: icmp, enabled: false }, { protocol: icmp }]',
      },
      [],
    ],
    [
      'a template of nobody',
      { spare: 'inbound: [{ protocol: icmp }]' },
      ['unassigned: spare: no server has this template'],
    ],
    [
      'a sensitive port open to all',
      {
        web: `inbound:
  - { protocol: tcp, ports: [22, 443] }
  - { protocol: tcp, ports: [3389], sources: [0.0.0.0/1, 128.0.0.0/1] }
  - { protocol: tcp, ports: [5432], sources: [10.0.0.0/8] }`,
        db: 'inbound: [{ protocol: all, except: [192.0.2.0/24] }]',
      },
      [
        'exposed: web inbound[0]: SSH (22): open to all',
        'exposed: web inbound[1]: RDP (3389): open to all',
        'exposed: db inbound[0]: FTP (21), SSH (22), Telnet (23) and 18 more sensitive ports: open to all',
      ],
    ],
    [
      'peers whose own side does not let them through',
      {
        web: 'outbound: [{ protocol: tcp, ports: [5432], destinations: ["server:db-1"] }]',
        db: `inbound:
  - { protocol: tcp, ports: ["5000-6000"], sources: ["server:web-1"] }
  - { protocol: tcp, ports: [8080], sources: ["template:web", 10.0.0.2, 10.0.0.9] }
  - { protocol: udp, ports: [53], sources: ["server:db-1"] }`,
      },
      [
        'unmatched: db inbound[1]: template:web: no outbound rule of these servers lets that out',
        'unmatched: db inbound[1]: 10.0.0.2: no outbound rule of server web-2 lets that out',
      ],
    ],
  ])('%s', (_name, files, expected) => {
    expect(ask(files)).toEqual(expected);
  });
});
