/**
 * Schemas of templates, servers, users and changes: the one source of types, validation and OpenAPI.
 *
 * A `component` gets a name in the OpenAPI document and is referenced by it. Names that end in `View` are answers.
 * Bodies of templates, rules and servers are documented here and validated by src/policy (see `validation.ts`).
 */
import { Type } from 'typebox';
import type { Static, TSchema, TString, TUnsafe } from 'typebox';
import { problemKinds } from './http-problem.ts';

/** An answer may share objects with the program's state, so it is readonly. */
type Frozen<T> = T extends readonly (infer U)[]
  ? readonly Frozen<U>[]
  : T extends object
    ? { readonly [K in keyof T]: Frozen<T[K]> }
    : T;

const named = new Map<string, TSchema>();

/** Every named schema. */
export const components: ReadonlyMap<string, TSchema> = named;

/** Gives a schema its name in the OpenAPI document. */
export function component<T extends TSchema>(name: string, schema: T): TUnsafe<Frozen<Static<T>>> {
  named.set(name, schema);
  return Type.Unsafe<Frozen<Static<T>>>({ $ref: `${name}#` });
}

export const nameSchema = Type.String({
  title: 'a name',
  minLength: 1,
  maxLength: 63,
  examples: ['web'],
});

export const revision: TString = Type.String({
  description: 'Changes with what it says, as its ETag does. Ignored in a request.',
});
export const at: TString = Type.String({
  description: 'ISO 8601.',
  examples: ['2030-01-31T12:00:00.000Z'],
});
const hits = Type.Optional(
  Type.Integer({
    description: 'Flows opened so far; absent when no firewall runs. Ignored in a request.',
  }),
);

const port = Type.Union([Type.Integer({ minimum: 1, maximum: 65_535 }), Type.String()], {
  description: 'A port, or a range as text: "8000-8100".',
});
const peers = Type.Array(Type.String(), {
  description:
    'Addresses, blocks, ranges, `any`, `server:NAME`, `template:NAME`, `set:NAME` or `label:SELECTOR`; absent: any.',
  examples: [['10.0.0.0/8', '198.51.100.10-198.51.100.20', 'label:role=web,env!=test']],
});

const resolvedPeer = component(
  'ResolvedPeer',
  Type.Object({
    peer: Type.String({ description: 'As written.' }),
    server: Type.Optional(Type.String({ description: 'The server that it means here.' })),
    set: Type.Optional(Type.String({ description: 'That set, or one that it includes.' })),
    ranges: Type.Array(Type.String(), { description: 'At most 100.' }),
    more: Type.Optional(Type.Integer({ description: 'How many more ranges there are.' })),
  }),
);

const ruleProperties = {
  protocol: Type.Enum(['all', 'icmp', 'tcp', 'udp']),
  ports: Type.Optional(
    Type.Array(port, { description: 'Only with tcp and udp; absent: all of them.' }),
  ),
  sources: Type.Optional(peers),
  destinations: Type.Optional(peers),
  except: Type.Optional(
    Type.Array(Type.String(), { description: 'Taken away from the sources or destinations.' }),
  ),
  enabled: Type.Optional(Type.Boolean({ description: 'Default: true.' })),
  expires: Type.Optional(
    Type.String({
      description: 'RFC 3339: from then on the rule allows nothing.',
      examples: ['2030-01-31T18:00:00Z'],
    }),
  ),
  log: Type.Optional(
    Type.Boolean({
      description: 'Whether the flow log tells when its flows begin. Default: false.',
    }),
  ),
  comment: Type.Optional(Type.String()),
  expired: Type.Optional(
    Type.Boolean({ description: 'Whether its end has come. Ignored in a request.' }),
  ),
  hits,
  hitsSince: Type.Optional(
    Type.String({
      description: 'ISO 8601: the moment from which they count. Ignored in a request.',
    }),
  ),
  lastHit: Type.Optional(
    Type.String({
      description: 'ISO 8601: when it opened the last one; absent: none. Ignored in a request.',
    }),
  ),
  resolved: Type.Optional(
    Type.Array(resolvedPeer, {
      description:
        'With `resolve`: what its peers mean now, without `except`. Ignored in a request.',
    }),
  ),
};

export const rule = component(
  'Rule',
  Type.Object(ruleProperties, {
    description: 'Allows. An inbound rule has sources, an outbound one destinations.',
  }),
);

export const ruleBody = Type.Object(ruleProperties, { additionalProperties: false });

const appliesTo = Type.Optional(
  Type.Array(Type.String(), {
    description: 'Selectors: servers whose labels match any of them have the template.',
    examples: [['role=web', 'region in (hkg,sgp)']],
  }),
);

const templateProperties = {
  description: Type.Optional(Type.String()),
  appliesTo,
  inbound: Type.Optional(Type.Array(ruleBody)),
  outbound: Type.Optional(Type.Array(ruleBody)),
};

export const templateBody = Type.Object({ name: Type.Optional(nameSchema), ...templateProperties });

/** Loosely checked: see `checkedBy`. */
export const anyObject = Type.Object({}, { title: 'a mapping' });

export const newTemplateBody = Type.Object(
  {
    name: nameSchema,
    ...templateProperties,
    preset: Type.Optional(Type.String({ description: 'Begin with a pre-defined rule set.' })),
    clone: Type.Optional(Type.String({ description: 'Begin with a copy of this template.' })),
    assignTo: Type.Optional(
      Type.Array(Type.String(), { description: 'Servers that get it at once.' }),
    ),
  },
  { description: 'A template; or `preset` or `clone` instead of description and rules.' },
);

export const changeMark = component(
  'LastChange',
  Type.Object({ at, actor: Type.String(), via: Type.String(), action: Type.String() }),
);

export const unconfirmed = component(
  'Unconfirmed',
  Type.Object({
    revision: Type.Integer({ description: 'Number of the change that waits.' }),
    back: Type.Integer({ description: 'The policy goes back to what it was after this one.' }),
    actor: Type.String(),
    summary: Type.String(),
    why: Type.Optional(Type.String({ description: "In the author's words." })),
    at: at,
    until: Type.String({ format: 'date-time', description: 'Then it is undone.' }),
    secondsLeft: Type.Number({ minimum: 0, description: 'Until then.' }),
  }),
);

export const applied = component(
  'Applied',
  Type.Object(
    {
      applied: Type.Boolean({ description: 'Packets are judged by it already.' }),
      epoch: Type.Integer({ description: 'The policy in force.' }),
      pending: Type.Optional(Type.String({ description: 'Why it is not applied (yet).' })),
      change: Type.Optional(
        Type.Integer({ description: 'The number of the change, if gateways share the store.' }),
      ),
      pendingGateways: Type.Optional(
        Type.Array(Type.String(), {
          description:
            'Other gateways that run, and have not said yet that it is in force there; usually they do within a second (`GET /v1/gateways`).',
        }),
      ),
      warnings: Type.Optional(
        Type.Array(Type.String(), {
          description: 'What the change has brought that is valid, and perhaps not meant.',
        }),
      ),
      opens: Type.Optional(
        Type.Array(Type.String(), {
          description:
            'What is possible now that was not; with the header `Prefer: openings` only.',
          examples: [['web-1, web-2: TCP, every port, from the whole Internet']],
        }),
      ),
      unconfirmed: Type.Optional(unconfirmed),
    },
    { description: 'Whether the data plane has taken the change before the answer.' },
  ),
);

const selectorReason = Type.String({ description: "The selector of the template's `appliesTo`." });

const appliedServers = component(
  'AppliedServers',
  Type.Array(Type.Object({ server: nameSchema, selector: selectorReason }), {
    description: 'Servers whose labels it applies to, beside those that name it.',
  }),
);
const appliedTemplates = component(
  'AppliedTemplates',
  Type.Array(Type.Object({ template: nameSchema, selector: selectorReason }), {
    description: 'Templates that apply to its labels, beside those that it names.',
  }),
);

const exposure = Type.Array(Type.String(), {
  description: 'What rules open to at least half of all addresses. Ignored in a request.',
  examples: [['TCP, ports 80, 443']],
});

const templateView = {
  name: nameSchema,
  description: Type.Optional(Type.String()),
  appliesTo,
  inbound: Type.Array(rule),
  outbound: Type.Array(rule),
  revision,
  servers: Type.Array(Type.String(), { description: 'Servers that name it.' }),
  appliedServers,
  exposure,
  changed: Type.Optional(changeMark),
};

export const template = component('Template', Type.Object(templateView));
export const changedTemplate = component(
  'ChangedTemplate',
  Type.Object({ ...templateView, applied }),
);

export const templateList = component(
  'TemplateList',
  Type.Object({
    templates: Type.Array(
      Type.Object({
        name: nameSchema,
        description: Type.Optional(Type.String()),
        ruleCount: Type.Integer(),
        servers: Type.Array(Type.String()),
        appliedServers,
        exposure,
        revision,
        hits,
        changed: Type.Optional(changeMark),
      }),
    ),
  }),
);

const reject = Type.Object(
  { inbound: Type.Optional(Type.Boolean()), outbound: Type.Optional(Type.Boolean()) },
  { description: 'What lacks a rule is answered, with an RST or ICMP. Default: as the gateway.' },
);
const effectiveReject = Type.Object(
  { inbound: Type.Boolean(), outbound: Type.Boolean() },
  { description: 'By its own setting and that of the gateway. Ignored in a request.' },
);

const mode = Type.Enum(['enforce', 'observe'], {
  description: 'observe: what no rule allows passes until then, and is listed as would-drop.',
});
const until = Type.String({ format: 'date-time', description: 'At most 14 days ahead.' });

const serverProperties = {
  addresses: Type.Array(Type.String(), { minItems: 1, examples: [['10.0.0.2']] }),
  templates: Type.Optional(
    Type.Array(Type.String(), { description: 'None: everything is dropped.' }),
  ),
  region: Type.Optional(Type.String()),
  labels: Type.Optional(Type.Record(Type.String(), Type.String())),
  reject: Type.Optional(reject),
  mode: Type.Optional(mode),
  until: Type.Optional(until),
};

/** Whether servers are meant by their labels. */
export const selector = Type.String({
  description: 'Servers whose labels match.',
  examples: ['role=web,env!=test'],
});

const orNull = <T extends TSchema>(schema: T) => Type.Optional(Type.Union([schema, Type.Null()]));
export const serverPatch = Type.Object({
  addresses: Type.Optional(serverProperties.addresses),
  templates: serverProperties.templates,
  region: orNull(Type.String()),
  labels: orNull(Type.Record(Type.String(), Type.Union([Type.String(), Type.Null()]))),
  reject: orNull(
    Type.Object({ inbound: orNull(Type.Boolean()), outbound: orNull(Type.Boolean()) }),
  ),
  mode: orNull(mode),
  until: orNull(until),
});

export const serverBody = Type.Object({ name: Type.Optional(nameSchema), ...serverProperties });
export const newServerBody = Type.Object({ name: nameSchema, ...serverProperties });

const serverView = {
  name: nameSchema,
  addresses: Type.Array(Type.String()),
  templates: Type.Array(Type.String(), { description: 'Those that it names.' }),
  appliedTemplates,
  region: Type.Optional(Type.String()),
  labels: Type.Optional(Type.Record(Type.String(), Type.String())),
  reject: Type.Optional(reject),
  effectiveReject,
  mode: Type.Optional(mode),
  until: Type.Optional(until),
  observing: Type.Boolean({
    description: 'Whether it observes now. Ignored in a request.',
  }),
  exposure,
  revision,
};

export const server = component('Server', Type.Object(serverView));
export const changedServer = component('ChangedServer', Type.Object({ ...serverView, applied }));
export const serverList = component('ServerList', Type.Object({ servers: Type.Array(server) }));

const effectiveRule = component(
  'EffectiveRule',
  Type.Object({
    template: nameSchema,
    index: Type.Integer({ description: 'From 0, in the template.' }),
    selector: Type.Optional(
      Type.String({
        description:
          'The selector by which the template applies; absent: the server names the template.',
      }),
    ),
    ...ruleProperties,
  }),
);

export const effectiveRules = component(
  'EffectiveRules',
  Type.Object(
    { inbound: Type.Array(effectiveRule), outbound: Type.Array(effectiveRule) },
    { description: 'The union of the rules of all templates.' },
  ),
);

export const names = Type.Array(Type.String({ title: 'a name' }), { title: 'a list of names' });

export const templateServers = component(
  'TemplateServers',
  Type.Object({ servers: names, appliedServers }),
);
export const serverTemplates = component(
  'ServerTemplates',
  Type.Object({ templates: names, appliedTemplates }),
);

export const changedNames = component(
  'Assigned',
  Type.Object({
    servers: Type.Optional(names),
    appliedServers: Type.Optional(appliedServers),
    templates: Type.Optional(names),
    appliedTemplates: Type.Optional(appliedTemplates),
    applied,
  }),
);

export const changedThings = Type.Array(
  Type.Object({
    kind: Type.String(),
    name: Type.String(),
    before: Type.Optional(Type.String({ description: 'Revision; absent: it is new.' })),
    after: Type.Optional(Type.String({ description: 'Revision; absent: it is gone.' })),
  }),
);

export const changeOnly = component('Change', Type.Object({ changed: changedThings, applied }));

export const assignedChange = component(
  'AssignedChange',
  Type.Object({
    changed: changedThings,
    servers: Type.Array(Type.String(), { description: 'Servers that were meant.' }),
    applied,
  }),
);

export const preset = component(
  'Preset',
  Type.Object({
    name: nameSchema,
    title: Type.String(),
    category: Type.String(),
    description: Type.String(),
    inbound: Type.Array(rule),
    outbound: Type.Array(rule),
  }),
);
export const presetList = component('PresetList', Type.Object({ presets: Type.Array(preset) }));

/** Where something is named. */
export const usedBy = Type.Array(
  component(
    'Mention',
    Type.Object({
      kind: Type.Enum(['template', 'server', 'set']),
      name: nameSchema,
      path: Type.String({ examples: ['inbound[0].sources[1]'] }),
    }),
  ),
  { description: 'Who names it, and where.' },
);

export const changedQuery = Type.Object(
  {
    changed: Type.Optional(
      Type.Boolean({
        description: 'Also the time and the author of the last change: reads the history.',
      }),
    ),
  },
  { additionalProperties: false },
);

const resolve = Type.Optional(
  Type.Boolean({ description: 'Also what the addresses of each rule mean now.' }),
);
export const resolveQuery = Type.Object({ resolve }, { additionalProperties: false });

export const resolveBody = Type.Object(
  { peers, except: Type.Optional(peers) },
  { additionalProperties: false },
);

export const meaning = component(
  'Meaning',
  Type.Object({
    serverCount: Type.Integer({ description: 'Servers that are meant by a group.' }),
    servers: Type.Array(nameSchema, { description: 'The first 200 of them.' }),
    addressCount: Type.Integer({ description: 'IPv4 addresses, without those of `except`.' }),
    resolved: Type.Array(resolvedPeer, { description: 'At most 200.' }),
  }),
);

export const problem = component(
  'Problem',
  Type.Object(
    {
      type: Type.Enum(Object.keys(problemKinds).map((kind) => `urn:tunwall:problem:${kind}`)),
      title: Type.String(),
      status: Type.Integer(),
      detail: Type.String(),
      errors: Type.Optional(
        Type.Array(
          Type.Object({
            path: Type.String({ examples: ['inbound[2].ports[0]'] }),
            message: Type.String(),
            file: Type.Optional(Type.String()),
            line: Type.Optional(Type.Integer()),
            column: Type.Optional(Type.Integer()),
          }),
          { description: 'All that is wrong.' },
        ),
      ),
      servers: Type.Optional(names),
      usedBy: Type.Optional(usedBy),
      revision: Type.Optional(Type.String()),
    },
    { description: 'RFC 9457' },
  ),
);

/** Every error response. */
export const problems = { '4xx': problem, '5xx': problem };

/** The client has this revision already (If-None-Match). */
export const notModified = { 304: Type.Null({ description: 'Not modified.' }) };

export const nameParams = Type.Object({ name: Type.String() });
