/** What tunwall has to reach. Medians; a ratio is the median of the rounds' ratios. */
import type { Target } from './lib/verdict.ts';

const nullRelay = 'null relay';

/** A ratio of the figure's values to a peer's. */
function ratio(
  title: string,
  figure: string,
  peer: string,
  bound: Target['bound'],
  limit: number,
): Target {
  return { title, figure, peer, bound, limit, unit: '×' };
}

function atMost(title: string, figure: string, limit: number, unit: string): Target {
  return { title, figure, bound: 'at most', limit, unit };
}

export const targets: readonly Target[] = [
  ratio('bulk TCP, 1 stream ÷ null relay', 'bulk-tcp-1.rate', nullRelay, 'at least', 0.95),
  ratio('bulk TCP, 16 streams ÷ null relay', 'bulk-tcp-16.rate', nullRelay, 'at least', 0.95),
  ratio('small packets ÷ null relay', 'small-packets.rate', nullRelay, 'at least', 0.95),
  {
    title: 'CPU per small packet ÷ null relay',
    figure: 'small-packets.rate',
    peer: nullRelay,
    measure: 'cpuUs',
    bound: 'at most',
    limit: 1.1,
    unit: '×',
  },
  atMost('user-space CPU per small packet', 'small-packets.user', 0.4, 'µs'),
  ratio('connections a second ÷ null relay', 'connections.rate', nullRelay, 'at least', 0.95),
  ratio('connect p99 ÷ null relay', 'connect.p99', nullRelay, 'at most', 1.25),
  ratio(
    'bulk TCP, 1 stream ÷ Open vSwitch with its TSO',
    'bulk-tcp-1.rate',
    'Open vSwitch TSO',
    'at least',
    2,
  ),
  ratio(
    'bulk TCP, 16 streams ÷ Open vSwitch with its TSO',
    'bulk-tcp-16.rate',
    'Open vSwitch TSO',
    'at least',
    2,
  ),
  ...(['tcp', 'udp'] as const).flatMap((protocol) => [
    atMost(`hit, 1,000 flows, ${protocol}`, `micro-hit-1000.${protocol}`, 60, 'ns'),
    atMost(`hit, 65,536 flows, ${protocol}`, `micro-hit-65536.${protocol}`, 120, 'ns'),
    atMost(`hit, a million flows, ${protocol}`, `micro-hit-1000000.${protocol}`, 250, 'ns'),
  ]),
  atMost('new flow, 100,000 rules', 'micro-new-flow.rules-100000', 1000, 'ns'),
  ratio(
    'new flow, 100,000 ÷ 10 rules',
    'micro-new-flow.rules-100000',
    'tunwall, 10 rules',
    'at most',
    2,
  ),
  atMost('compile 100,000 rules', 'micro-compile.compile', 1500, 'ms'),
  atMost('fleet: rule at another gateway, p50', 'fleet.rule', 100, 'ms'),
  atMost('fleet: rule at another gateway, p99', 'fleet.rule99', 1000, 'ms'),
  atMost('fleet: token revoked, until refused elsewhere', 'fleet.revoked', 1000, 'ms'),
  atMost('fleet: assign to 1,000 servers', 'fleet.assign', 300, 'ms'),
  atMost('fleet: leader killed, until accepted', 'fleet.leader', 3000, 'ms'),
  atMost('fleet: one commit to 500 watchers', 'fleet.watchers', 2000, 'ms'),
  atMost('fleet: cold start', 'fleet.cold', 1000, 'ms'),
  ratio('packets a second, store in etcd', 'fleet.packets', 'files only', 'at least', 0.99),
  atMost('a lab: until it is up', 'lab.up', 1500, 'ms'),
  atMost('a lab: until it is gone', 'lab.gone', 500, 'ms'),
  atMost('tunwall run: until its first packet', 'lab.start', 400, 'ms'),
  atMost('child killed: longest gap', 'restart.kill', 500, 'ms'),
  atMost('start: CPU time until packets are judged', 'restart.start-cpu', 400, 'ms'),
  atMost('upgrade: longest gap', 'restart.upgrade', 100, 'ms'),
  atMost('upgrade: packets lost', 'restart.lost', 0, 'packets'),
  atMost('adopt 262,144 flows', 'survive.adopt-262144', 150, 'ms'),
  atMost('adopt a million flows', 'survive.adopt-1000000', 700, 'ms'),
  ...(['hit-tcp', 'hit-udp', 'new-flow'] as const).map((figure) =>
    ratio(`table in a file, ${figure}`, `survive.${figure}`, 'survive: false', 'at most', 1.01),
  ),
  ...(['packets', 'connections'] as const).map((figure) =>
    ratio(
      `${figure} a second, table in a file`,
      `survive.${figure}`,
      'survive: false',
      'at least',
      0.99,
    ),
  ),
  ...(['sigkill', 'sigterm', 'upgrade', 'layout', 'ten'] as const).map((figure) =>
    atMost(`flows lost: ${figure}`, `survive.lost-${figure}`, 0, 'flows'),
  ),
  atMost('memory per flow, table alone', 'micro-memory.flow', 128, 'bytes'),
  atMost('memory per flow', 'many-flows.bytes', 128, 'bytes'),
  atMost('memory of a million flows', 'many-flows.memory', 200, 'MB'),
  atMost('compile and swap 100,000 rules', 'reload.swap', 1500, 'ms'),
  atMost('reload: blocked time', 'reload.blocked', 5, 'ms'),
  atMost('reload: longest gap', 'reload.gap', 10, 'ms'),
  atMost('full collections of the packet thread', 'collections.major', 0, ''),
  ratio('bulk TCP, live page open ÷ not', 'live-page.tcp', 'no page', 'at least', 0.95),
  ratio('small packets, live page open ÷ not', 'live-page.rate', 'no page', 'at least', 0.95),
  atMost('list 200 templates', 'control-plane.templates', 50, 'ms'),
  atMost('list 1,000 servers', 'control-plane.servers', 50, 'ms'),
  atMost('add a rule, until it is in force', 'control-plane.rule', 300, 'ms'),
  atMost('10,000 servers: add a rule, until it is in force', 'policies.rule', 300, 'ms'),
  atMost('10,000 servers: change a label, until it is in force', 'policies.label', 500, 'ms'),
  atMost('10,000 servers: start until the first packet', 'policies.start', 4000, 'ms'),
  atMost('10,000 servers: resident memory', 'policies.memory', 350, 'MB'),
  atMost('10,000 servers: resident memory after edits', 'policies.edited', 350, 'MB'),
  ratio(
    'size of the program, labels ÷ addresses written out',
    'policies.size',
    'addresses written out',
    'at most',
    1.05,
  ),
  atMost('a set of 1,000,000 addresses in 100 templates', 'policies.set', 100, 'MB'),
  atMost(
    '10,000 servers: packets lost while a rule is added, as time',
    'policies.blocked',
    5,
    'ms',
  ),
  ...(['set', 'blocks'] as const).map((of) =>
    ratio(
      `match, a set of a million ${of === 'set' ? 'addresses' : of} ÷ of a thousand`,
      `policies.match-${of}`,
      'a set of a thousand',
      'at most',
      1.5,
    ),
  ),
  ratio(
    'match, labels ÷ addresses written out',
    'policies.match-labels',
    'addresses written out',
    'at most',
    1.02,
  ),
  atMost('100,000 rules, from saving until they are in force', 'policies.saved', 2000, 'ms'),
  atMost('assign to 100 servers, until it is in force', 'control-plane.assign', 300, 'ms'),
];
