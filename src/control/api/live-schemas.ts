/** Schemas of the running firewall's data: flows, drops, counts, status. */
import { Type } from 'typebox';
import { fastPathModes } from '../../system/fast-path.ts';
import { dropReasons, flowStates } from './live-words.ts';
import { component, nameSchema, unconfirmed } from './schemas.ts';

export const address = Type.String({ examples: ['10.0.0.2'] });
export const protocol = Type.Enum(['tcp', 'udp', 'icmp']);
const traffic = Type.Object({ packets: Type.Integer(), bytes: Type.Integer() });
const judged = { passed: traffic, dropped: traffic };
export const port = Type.Optional(Type.Integer({ minimum: 0, maximum: 65_535 }));
const server = Type.Optional(Type.String({ description: 'The server that the address is of.' }));
export const icmpNumber = Type.Optional(Type.Integer({ minimum: 0, maximum: 65_535 }));

export const limit = (most: number): ReturnType<typeof Type.Integer> =>
  Type.Integer({ minimum: 1, maximum: most, title: `a whole number from 1 to ${most}` });

export const flow = component(
  'Flow',
  Type.Object(
    {
      id: Type.String({ description: 'Names this flow, never a later one.' }),
      protocol,
      state: Type.String({ examples: ['established'] }),
      source: address,
      destination: address,
      sourcePort: port,
      destinationPort: port,
      icmpType: icmpNumber,
      icmpId: icmpNumber,
      sourceServer: server,
      destinationServer: server,
      original: traffic,
      reply: traffic,
      ageSeconds: Type.Number(),
      idleSeconds: Type.Number(),
      expiresSeconds: Type.Number(),
      epoch: Type.Integer({ description: 'The policy by which it was judged last.' }),
      carried: Type.Optional(
        Type.Literal(true, { description: 'The kernel carries its packets: the fast path.' }),
      ),
    },
    { description: 'A flow; source is the end that opened it.' },
  ),
);

export const flowPage = component(
  'FlowPage',
  Type.Object({
    flows: Type.Array(flow),
    total: Type.Integer({ description: 'On all pages.' }),
    next: Type.Optional(Type.String({ description: 'There is more: `after` of the next page.' })),
  }),
);

export const flowQuery = Type.Object(
  {
    server: Type.Optional(nameSchema),
    address: Type.Optional(Type.String({ description: 'Of either end.' })),
    port,
    protocol: Type.Optional(protocol),
    state: Type.Optional(Type.Enum([...flowStates])),
    rule: Type.Optional(
      Type.String({
        title: 'a template, or a rule of it like web/inbound/0',
        pattern: '^[^/]{1,63}(/(inbound|outbound)/\\d{1,6})?$',
        description: 'By which the policy in force allows them.',
      }),
    ),
    sort: Type.Optional(Type.Enum(['bytes', 'packets', 'age'])),
    limit: Type.Optional(limit(1000)),
    after: Type.Optional(Type.String({ description: 'The `next` of the page before.' })),
  },
  { additionalProperties: false },
);

export const drop = component(
  'Drop',
  Type.Object({
    id: Type.Integer({ description: 'Ascending.' }),
    at: Type.String(),
    reason: Type.String(),
    direction: Type.String({ description: 'inbound, outbound, internal or none' }),
    protocol: Type.String(),
    source: address,
    destination: address,
    sourcePort: port,
    destinationPort: port,
    tcpFlags: Type.Optional(Type.String()),
    icmpType: icmpNumber,
    icmpCode: icmpNumber,
    sourceServer: server,
    destinationServer: server,
    bytes: Type.Integer(),
    epoch: Type.Integer(),
  }),
);
export const dropList = component(
  'DropList',
  Type.Object({ drops: Type.Array(drop, { description: 'Oldest first.' }) }),
);

export const dropQuery = Type.Object(
  {
    server: Type.Optional(nameSchema),
    reason: Type.Optional(Type.Enum([...dropReasons])),
    limit: Type.Optional(
      Type.Integer({
        ...{ minimum: 0, maximum: 1000, title: 'a whole number from 0 to 1000' },
        description: 'How many recent ones to send first. Default: 100.',
      }),
    ),
  },
  { additionalProperties: false },
);

export const dropReasonList = component(
  'DropReasonList',
  Type.Object({
    reasons: Type.Array(
      Type.Object({
        reason: Type.String({ examples: ['no-inbound-rule'] }),
        message: Type.String({ description: 'The same in a sentence.' }),
      }),
    ),
  }),
);

export const statsQuery = Type.Object(
  {
    rules: Type.Optional(Type.Boolean({ description: 'Also hits, rule by rule.' })),
    servers: Type.Optional(
      Type.Boolean({
        description: 'Server by server, unless false: adding them up takes a walk over all flows.',
      }),
    ),
  },
  { additionalProperties: false },
);

export const stats = component(
  'Stats',
  Type.Object({
    at: Type.String(),
    epoch: Type.Integer(),
    ...judged,
    drops: Type.Record(Type.String(), Type.Integer(), { description: 'Packets by reason.' }),
    flows: Type.Object({
      count: Type.Integer(),
      capacity: Type.Integer(),
      opened: Type.Integer(),
      cut: Type.Integer(),
    }),
    servers: Type.Optional(
      Type.Record(
        Type.String(),
        Type.Object({ inbound: Type.Object(judged), outbound: Type.Object(judged) }),
      ),
    ),
    rules: Type.Optional(
      Type.Array(
        Type.Object({
          template: Type.String(),
          direction: Type.Enum(['inbound', 'outbound']),
          index: Type.Integer(),
          text: Type.String({ examples: ['TCP: 443 from any'] }),
          hits: Type.Integer(),
        }),
        { description: 'With `rules=true`: those that have hits.' },
      ),
    ),
  }),
);

const gateway = component(
  'Gateway',
  Type.Object(
    {
      state: Type.Enum(['ok', 'degraded', 'down']),
      problems: Type.Array(
        Type.Object({
          what: Type.String({ examples: ['rule 20'] }),
          wanted: Type.String(),
          found: Type.String(),
          hint: Type.Optional(Type.String({ description: 'What a human can do about it.' })),
        }),
      ),
      watch: Type.Enum(['running', 'report-only', 'stale', 'absent'], {
        description:
          'Of `tunwall gateway watch`. Without it nftables are not seen, and nothing is repaired.',
      }),
    },
    {
      description:
        'Whether rules, routes, guard, sysctls and device are as `gateway up` has set them. ' +
        'Down: it was not run in this network namespace.',
    },
  ),
);

/** What does not reach the firewall. */
const inputErrors = {
  watchError: Type.Optional(
    Type.String({
      description: 'Why edits of the configuration directory are not seen at present.',
    }),
  ),
  listenError: Type.Optional(
    Type.String({
      description: 'Why the API or the control socket is not open; it is tried again.',
    }),
  ),
};

const store = Type.Optional(
  Type.Object(
    {
      name: Type.String(),
      endpoint: Type.String({ description: 'The member in use.' }),
      connected: Type.Boolean(),
      problem: Type.Optional(Type.String({ description: 'Why it is not connected.' })),
      confirmedAgeSeconds: Type.Optional(
        Type.Number({
          description:
            'Since a majority of the members has last confirmed the policy. Absent: never since the start.',
        }),
      ),
      revision: Type.Integer({ description: 'Number of the newest change that was seen.' }),
    },
    {
      description:
        'The store that gateways share; absent when the policy lies in the configuration directory.',
    },
  ),
);

const survival = Type.Object(
  {
    kept: Type.Boolean({ description: 'Whether flows outlive this process.' }),
    adopted: Type.Integer({ description: 'Flows of the process before that went on.' }),
    cut: Type.Integer({ description: 'Those that the policy in force forbade.' }),
    expired: Type.Integer({ description: 'Those whose timeout had passed.' }),
    refused: Type.Integer({ description: 'Damaged records, and flows without room in the table.' }),
    problem: Type.Optional(
      Type.String({
        description:
          'Why flows do not outlive this process, or why those of the process before were not used.',
      }),
    ),
  },
  { description: 'Flows across restarts: what was found at the start. Absent without a firewall.' },
);

const fastPath = Type.Object(
  {
    mode: Type.Enum(fastPathModes, { description: 'As gateway.yaml says.' }),
    on: Type.Boolean(),
    interfaces: Type.Array(Type.String(), { description: 'Where the kernel program is attached.' }),
    why: Type.Optional(Type.String({ description: 'Why it is not on.' })),
    flows: Type.Integer({ description: 'Flows that are carried at the moment.' }),
  },
  { description: 'The fast path; absent where gateway.yaml does not want it.' },
);

const processStatus = Type.Object(
  {
    pid: Type.Integer(),
    parent: Type.Integer({
      description: 'The process that starts it again, and holds the device meanwhile.',
    }),
    parentStartedAt: Type.String({ format: 'date-time' }),
    restarts: Type.Integer({
      description: 'Processes that were started because the one before had died.',
    }),
    upgrades: Type.Integer(),
    died: Type.Optional(
      Type.String({ description: 'How the process before has died, if it has.' }),
    ),
    gapMs: Type.Optional(
      Type.Number({
        description: 'For how long nothing was judged before this process took over.',
      }),
    ),
    upgrading: Type.Boolean({ description: 'The next process is being started.' }),
    upgradeError: Type.Optional(Type.String({ description: 'Why the last upgrade has failed.' })),
  },
  { description: 'The process, and those before it. Absent without a firewall.' },
);

export const status = component(
  'Status',
  Type.Object({
    version: Type.String(),
    running: Type.Boolean(),
    configDirectory: Type.String(),
    epoch: Type.Integer(),
    revision: Type.Optional(
      Type.String({
        description:
          'Digest of the configuration in force; absent when no firewall runs. It equals `revision` of `tunwall check --json` when the files are in force.',
      }),
    ),
    policy: Type.Object({
      templates: Type.Integer(),
      servers: Type.Integer(),
      sets: Type.Integer(),
      rules: Type.Integer(),
    }),
    reject: Type.Object(
      {
        inbound: Type.Boolean(),
        outbound: Type.Boolean(),
        perSecond: Type.Integer(),
        perSourcePerSecond: Type.Integer(),
      },
      { description: 'The setting of gateway.yaml, for servers without their own.' },
    ),
    observing: Type.Optional(
      Type.Array(Type.Object({ server: Type.String(), until: Type.String() }), {
        description: 'Servers that let pass what no rule allows; absent: none.',
      }),
    ),
    device: Type.Optional(Type.String()),
    queues: Type.Optional(Type.Integer()),
    startedAt: Type.Optional(Type.String()),
    uptimeSeconds: Type.Optional(Type.Number()),
    flows: Type.Optional(Type.Object({ count: Type.Integer(), capacity: Type.Integer() })),
    history: Type.Optional(
      Type.Object(
        { bytes: Type.Integer() },
        { description: 'Memory that the history of traffic takes. Absent without a firewall.' },
      ),
    ),
    survival: Type.Optional(survival),
    fastPath: Type.Optional(fastPath),
    process: Type.Optional(processStatus),
    reloads: Type.Optional(Type.Integer()),
    reloadFailures: Type.Optional(Type.Integer()),
    reloadError: Type.Union([Type.String(), Type.Null()]),
    ...inputErrors,
    unconfirmed: Type.Optional(unconfirmed),
    name: Type.Optional(Type.String({ description: 'Of this gateway.' })),
    region: Type.Optional(Type.String()),
    store,
    problems: Type.Array(
      Type.Object({
        severity: Type.Enum(['error', 'warning']),
        file: Type.String(),
        line: Type.Integer(),
        column: Type.Integer(),
        path: Type.String(),
        message: Type.String(),
      }),
      { description: 'Of the configuration as it is now.' },
    ),
    gateway: Type.Optional(gateway),
  }),
);

const fleetMember = Type.Object({
  name: Type.String({ description: '`name` of gateway.yaml, else that of the host.' }),
  region: Type.Optional(Type.String()),
  version: Type.String(),
  state: Type.Enum(['ok', 'behind', 'refuses', 'degraded', 'failed', 'stopped'], {
    description:
      '`behind`: it has not taken the newest change yet. `refuses`: it has refused it, and goes on with the policy before. `degraded`: its plumbing is not as it should be. `failed`: it judges no packets. `stopped`: it has not reported for half a minute; the rest is what it said last.',
  }),
  problem: Type.Optional(Type.String({ description: 'Why it is not `ok`.' })),
  revision: Type.Optional(
    Type.Integer({ description: 'The change in force there. Absent with a store in files.' }),
  ),
  seen: Type.Optional(Type.Integer({ description: 'The newest change that it has seen.' })),
  behind: Type.Optional(Type.Integer({ description: 'Changes that are not in force there.' })),
  flows: Type.Integer(),
  packetsPerSecond: Type.Number({ description: 'Over about ten seconds.' }),
  startedAt: Type.String({ format: 'date-time' }),
  reportedAt: Type.String({ format: 'date-time' }),
  isThis: Type.Boolean({ description: 'The one that answers.' }),
});

export const fleet = component(
  'Fleet',
  Type.Object({
    gateways: Type.Array(fleetMember),
    newest: Type.Optional(
      Type.Integer({
        description: 'The newest change of the store. Absent with a store in files.',
      }),
    ),
    problem: Type.Optional(Type.String({ description: 'Why the other gateways are not known.' })),
  }),
);

export const captureQuery = Type.Object(
  {
    verdict: Type.Optional(Type.Enum(['passed', 'dropped'])),
    server: Type.Optional(nameSchema),
    snaplen: Type.Optional(
      Type.Integer({ ...{ minimum: 64, maximum: 65_535 }, title: 'bytes from 64 to 65535' }),
    ),
    limit: Type.Optional(limit(10_000_000)),
  },
  { additionalProperties: false },
);

export const health = component(
  'Health',
  Type.Object({
    status: Type.Enum(['ok', 'degraded', 'failed']),
    epoch: Type.Integer(),
    reloadError: Type.Union([Type.String(), Type.Null()]),
    ...inputErrors,
    store,
    gateway: Type.Optional(gateway),
  }),
);
