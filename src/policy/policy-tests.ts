/**
 * Tests of a policy, as people write them beside it: `tests/*.yaml`, each a list of what has to pass and what has to be dropped.
 *
 *     - { from: 198.51.100.2, to: server:web-1, tcp: 443, expect: pass }
 *     - { from: label:role=web, to: 10.0.0.9, icmp: echo, expect: drop, reason: no-outbound-rule }
 *
 * An item asks what `tunwall explain` is asked: may this packet open a flow? A group of servers asks for each address of each of
 * them, in both places; all of them have to be as expected.
 */
import { dropReasonNames } from '../dataplane/wire/drop-reason.ts';
import { IcmpType } from '../dataplane/wire/headers.ts';
import { compilePolicy } from './compile.ts';
import { enforced } from './observe.ts';
import { explainFlow } from './explain.ts';
import type { ExplainSource, Explanation } from './explain.ts';
import { describePacket } from './explanation-text.ts';
import type { FlowQuestion } from './opening-packet.ts';
import { isGroup, parsePeer } from './peers.ts';
import type { AddressRange, GatewayConfig, GroupPeer, PolicySource, Problem } from './types.ts';
import { parsed, read } from './validate.ts';
import type { Validated } from './validate.ts';
import { YamlFile, integer, list, mapping, mappings, oneOf, scalar, words } from './yaml-fields.ts';
import type { Field } from './yaml-fields.ts';

/** One address, or servers. */
type End = AddressRange | GroupPeer;

interface Fields {
  from: End;
  to: End;
  tcp?: number[];
  udp?: number[];
  icmp?: number;
  expect: 'pass' | 'drop';
  reason?: string;
  comment?: string;
}

type TestPlace = Pick<Problem, 'file' | 'line' | 'column' | 'path'>;

/** One item of a file of tests. */
export interface PolicyTest extends TestPlace {
  /** `198.51.100.2 -> server:web-1 tcp 443: pass` */
  readonly text: string;
  readonly from: End;
  readonly to: End;
  /** What is asked of each pair of addresses. */
  readonly questions: readonly Omit<FlowQuestion, 'source' | 'destination'>[];
  readonly expect: 'pass' | 'drop';
  readonly reason?: string;
}

/** A test that was judged. */
export interface JudgedTest {
  readonly test: PolicyTest;
  /** The first answer that is not as expected; absent: all of them are. */
  readonly failure?: Explanation;
  /** Why nothing could be asked: a group that means nobody now. */
  readonly problem?: string;
}

const end: Field<End> = (place) => {
  const value = parsed('an address or a group of servers', parsePeer)(place);
  if (value === undefined) return undefined;
  if (isGroup(value) ? value.kind !== 'set' : value.from === value.to) {
    if (isGroup(value)) place.file.refer(place.node, place.path, value);
    return value;
  }
  place.file.report(
    place.node,
    place.path,
    `expected one address, or servers (server:NAME, template:NAME, label:SELECTOR), found "${value.text}"`,
  );
  return undefined;
};

const icmpTypes = {
  echo: IcmpType.echoRequest,
  timestamp: IcmpType.timestampRequest,
} as const;

const icmp: Field<number> = scalar('echo, timestamp or a number from 0 to 255', (value) => {
  if (typeof value === 'string' && Object.hasOwn(icmpTypes, value)) {
    return { value: icmpTypes[value as keyof typeof icmpTypes] };
  }
  const isType = Number.isInteger(value) && (value as number) >= 0 && (value as number) <= 255;
  return isType ? { value: value as number } : undefined;
});

const ports = list('ports', integer(1, 65_535), 'expected at least one port');

const item = mapping<Fields>(
  'a test like { from: 198.51.100.2, to: server:web-1, tcp: 443, expect: pass }',
  {
    from: end,
    to: end,
    tcp: ports,
    udp: ports,
    icmp,
    expect: oneOf(['pass', 'drop']),
    reason: oneOf(dropReasonNames.slice(1)),
    comment: words,
  },
  ['from', 'to', 'expect'],
);

/** Reads a file of tests: a list. @param fileName as the user knows it */
export function validatePolicyTests(fileName: string, content: string): Validated<PolicyTest[]> {
  const file = new YamlFile(fileName, content);
  const test: Field<PolicyTest> = (place) => {
    const fields = item(place);
    if (fields === undefined) return undefined;
    const { from, to, tcp, udp, icmp: icmpType, expect, reason } = fields;
    const problem = problemOf(fields);
    if (problem !== undefined) {
      file.report(place.node, place.path, problem);
      return undefined;
    }
    const protocol = tcp !== undefined ? 'tcp' : udp !== undefined ? 'udp' : 'icmp';
    const named = tcp ?? udp;
    const what = named?.join(',') ?? (icmpType === IcmpType.echoRequest ? 'echo' : `${icmpType!}`);
    return {
      ...file.placeOf(place.node),
      path: place.path,
      text: `${from.text} -> ${to.text} ${protocol} ${what}: ${reason ?? expect}`,
      from,
      to,
      questions:
        named === undefined
          ? [{ protocol: 'icmp', icmpType: icmpType! }]
          : named.map((destinationPort) => ({ protocol, destinationPort })),
      expect,
      ...(reason !== undefined && { reason }),
    };
  };
  return read(file, mappings('tests', test), []);
}

function problemOf({ tcp, udp, icmp: icmpType, expect, reason }: Fields): string | undefined {
  const protocols = [tcp, udp, icmpType].filter((each) => each !== undefined);
  if (protocols.length !== 1) return 'expected one of the keys tcp, udp and icmp';
  return reason !== undefined && expect === 'pass' ? 'only a drop has a reason' : undefined;
}

/** Judges tests as a firewall that has just started with this policy would, if no server observed: they are about rules. */
export function judgePolicyTests(
  source: PolicySource & { readonly gateway: Pick<GatewayConfig, 'reject' | 'tcp'> },
  tests: readonly PolicyTest[],
): JudgedTest[] {
  if (tests.length === 0) return [];
  const { templates, gateway } = source;
  const servers = enforced(source.servers);
  const compiled = compilePolicy({ ...source, servers }, 0);
  const explained = { templates, servers, compiled, loose: gateway.tcp.loose };
  return tests.map((test) => judge(test, explained));
}

/** What is wrong with a test that has failed, in a line. */
export function failureOf({ test, failure, problem }: JudgedTest): string | undefined {
  if (failure === undefined) return problem;
  const { verdict, reason, packet, sides } = failure;
  const rules = sides.flatMap(({ rule, nearest }) => rule ?? nearest ?? []);
  const which = rules.map(({ template, direction, index }) => `${template} ${direction}[${index}]`);
  const by =
    which.length === 0 ? '' : `, ${verdict === 'pass' ? 'by' : 'nearest'} ${which.join(', ')}`;
  const found = verdict === 'pass' ? 'passes' : `is dropped: ${reason}`;
  return `expected ${test.reason ?? test.expect}, but ${describePacket(packet)} ${found}${by}`;
}

/** Tests that have failed, as problems of their files. */
export function testProblems(judged: readonly JudgedTest[]): Problem[] {
  return judged.flatMap((each) => {
    const message = failureOf(each);
    if (message === undefined) return [];
    const { file, line, column, path } = each.test;
    return [{ severity: 'error', file, line, column, path, message }];
  });
}

function judge(test: PolicyTest, source: ExplainSource): JudgedTest {
  const [sources, destinations] = [test.from, test.to].map((each) => addressesOf(each, source));
  for (const [each, found] of [
    [test.from, sources!],
    [test.to, destinations!],
  ] as const) {
    if (found.length === 0) return { test, problem: `${each.text} means no server now` };
  }
  for (const from of sources!) {
    for (const to of destinations!) {
      // A server does not talk to itself through a firewall.
      if (from === to) continue;
      for (const question of test.questions) {
        const asked = { ...question, source: from, destination: to };
        const explanation = explainFlow(source, asked);
        const { verdict, reason } = explanation;
        if (verdict !== test.expect || (test.reason ?? reason) !== reason) {
          return { test, failure: explanation };
        }
      }
    }
  }
  return { test };
}

function addressesOf(peer: End, { compiled }: ExplainSource): readonly number[] {
  if (!isGroup(peer)) return [peer.from];
  return compiled.resolver.membersOf(peer).flatMap(({ addresses }) => addresses);
}
