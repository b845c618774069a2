/** The format of template files and servers.yaml, field by field. */
import type { Node, YAMLSeq } from 'yaml';
import { controlIn } from '../text/controls.ts';
import type { RuleDirection } from '../text/rule-text.ts';
import { parsePorts, parseServerAddress } from './addresses.ts';
import type { Parsed } from './addresses.ts';
import { complaintOf, turnsOf } from './observe.ts';
import { isGroup, parsePeer } from './peers.ts';
import { didYouMean, shortened } from './problem.ts';
import { rememberLines } from './rule-lines.ts';
import { parseSelector } from './selector.ts';
import type {
  Mutable,
  Peer,
  PortRange,
  Problem,
  Rule,
  RuleProtocol,
  Selector,
  Server,
  Template,
} from './types.ts';
import {
  YamlFile,
  boolean,
  entries,
  list,
  mapping,
  mappings,
  oneOf,
  prose,
  scalar,
  text,
  words,
} from './yaml-fields.ts';
import type { Content, Entry, Field, Place, Reference } from './yaml-fields.ts';

/** What reading a file gives: a value if it has no errors, and all problems. */
export interface Validated<T> {
  readonly value: T | undefined;
  readonly problems: readonly Problem[];
  /** What it names elsewhere; `checkReferences` says whether all of that is there. Default: nothing. */
  readonly references?: readonly Reference[];
  /** Moments at which it says something else of the same text. Default: never. */
  readonly turns?: readonly number[];
}

export const namePattern: RegExp = /^[a-z0-9][a-z0-9._-]{0,62}$/;
export const nameWords =
  'a name of 1 to 63 characters a-z, 0-9, dot, hyphen and underscore that begins with a letter or digit';

/** A name of a template, server or user. */
export const name: Field<string> = text(nameWords, namePattern);

export function parsed<T>(what: string, parse: (value: string) => Parsed<T>): Field<T> {
  return scalar(what, (value) => (typeof value === 'string' ? parse(value) : undefined));
}

/** An empty list looks like "none", but absence means "all": so it is an error. */
const noPorts = 'expected at least one port: leave the key out to mean all ports';
const noPeers = 'expected at least one address: leave the key out, or write any, to mean all';

const ports: Field<PortRange[]> = list(
  'ports',
  scalar('a port or a range of ports', parsePorts),
  noPorts,
);
const peer: Field<Peer> = (place) => {
  const value = parsed('an address or a group', parsePeer)(place);
  if (value !== undefined && isGroup(value)) place.file.refer(place.node, place.path, value);
  return value;
};
const peers: Field<Peer[]> = list('addresses', peer, noPeers);

const selector: Field<Selector> = (place) => {
  const value = parsed('a selector like role=web', parseSelector)(place);
  if (value !== undefined) {
    place.file.refer(place.node, place.path, { kind: 'label', selector: value, text: value.text });
  }
  return value;
};

/** RFC 3339: a date, a time and an offset, so that it means the same moment everywhere. */
const moment: Field<string> = scalar('a time like 2026-12-01T18:00:00Z', (value) => {
  const form = /^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(\.\d+)?([Zz]|[+-]\d{2}:\d{2})$/;
  const valid = typeof value === 'string' && form.test(value) && !Number.isNaN(Date.parse(value));
  return valid ? { value } : undefined;
});

interface RuleFields {
  protocol: RuleProtocol;
  ports?: PortRange[];
  sources?: Peer[];
  destinations?: Peer[];
  except?: Peer[];
  enabled?: boolean;
  expires?: string;
  log?: boolean;
  comment?: string;
}

const ruleFields = mapping<RuleFields>(
  'a rule',
  {
    protocol: oneOf(['all', 'icmp', 'tcp', 'udp']),
    ports,
    sources: peers,
    destinations: peers,
    except: peers,
    enabled: boolean,
    expires: moment,
    log: boolean,
    comment: words,
  },
  ['protocol'],
);

function rule(direction: RuleDirection): Field<Rule> {
  const [own, other] =
    direction === 'inbound'
      ? (['sources', 'destinations'] as const)
      : (['destinations', 'sources'] as const);
  return (place) => {
    const fields = ruleFields(place);
    if (fields === undefined) return undefined;
    // Only for errors: there may be very many rules.
    const entryOf = (key: string): Entry => entries(place, 'a rule')!.get(key)!;
    if (fields[other] !== undefined) {
      const at = entryOf(other);
      place.file.report(at.key, at.path, `an ${direction} rule has ${own}, not ${other}`);
      return undefined;
    }
    if (fields.ports !== undefined && fields.protocol !== 'tcp' && fields.protocol !== 'udp') {
      const at = entryOf('ports');
      place.file.report(
        at.key,
        at.path,
        `only tcp and udp have ports, this rule is for ${fields.protocol}`,
      );
      return undefined;
    }
    return ruleOf(fields);
  };
}

/**
 * Written out: each spread of an object would get a hidden class of its own, each key that is added later a place outside of the
 * object, and there may be very many rules.
 */
function ruleOf(fields: RuleFields): Rule {
  const { protocol, ports: own, except, enabled, expires, log, comment } = fields;
  const named = fields.sources ?? fields.destinations;
  const value: Mutable<Rule> =
    own === undefined
      ? named === undefined
        ? { protocol }
        : { protocol, peers: named }
      : named === undefined
        ? { protocol, ports: own }
        : { protocol, ports: own, peers: named };
  if (except !== undefined) value.except = except;
  if (enabled !== undefined) value.enabled = enabled;
  if (expires !== undefined) value.expires = expires;
  if (log !== undefined) value.log = log;
  if (comment !== undefined) value.comment = comment;
  return value;
}

/** The rules of a direction, and where they stand. */
function rules(direction: RuleDirection): Field<Rule[]> {
  const all = mappings('rules', rule(direction));
  return (place) => {
    const values = all(place);
    if (values === undefined) return undefined;
    const { items } = place.node as YAMLSeq<Node>;
    rememberLines(
      values,
      Uint32Array.from(items, (item) => place.file.placeOf(item).line),
    );
    return values;
  };
}

const inboundRules = rules('inbound');
const outboundRules = rules('outbound');

/** A file's value, or `empty` for one that says nothing. */
export function read<T>(file: YamlFile, field: Field<T>, empty: T | undefined): Validated<T> {
  let value: T | undefined;
  if (file.root === null) value = file.problems.length > 0 ? undefined : empty;
  else value = field({ file, node: file.root, path: '' });
  const { problems, references } = file;
  return references.length === 0 ? { value, problems } : { value, problems, references };
}

/** @param templateName from the file's name, @param fileName as the user knows it */
export function validateTemplate(
  templateName: string,
  fileName: string,
  content: Content,
): Validated<Template> {
  const file = new YamlFile(fileName, content);
  if (!namePattern.test(templateName)) {
    file.report(null, '', `"${templateName}" cannot be a template's name: expected ${nameWords}`);
  }
  const fields = mapping<{
    description?: string;
    appliesTo?: Selector[];
    inbound?: Rule[];
    outbound?: Rule[];
  }>(
    'a template with the keys inbound and outbound',
    {
      description: prose,
      appliesTo: list('selectors', selector),
      inbound: inboundRules,
      outbound: outboundRules,
    },
    [],
  );
  const template: Field<Template> = (place) => {
    const value = fields(place);
    return value && { name: templateName, inbound: [], outbound: [], ...value };
  };
  return read(file, template, { name: templateName, inbound: [], outbound: [] });
}

/**
 * @param templates names that a server may refer to; `undefined` while they are not known to be complete
 * @param nowMs whether an end has passed
 */
export function validateServers(
  fileName: string,
  content: Content,
  templates: ReadonlySet<string>,
  nowMs: number = Date.now(),
): Validated<Server[]> {
  const file = new YamlFile(fileName, content);
  const template: Field<string> = scalar("a template's name", (value) => {
    if (typeof value !== 'string') return undefined;
    return templates.has(value) ? { value } : { message: () => unknownTemplate(value, templates) };
  });
  const server = mapping<
    Omit<Server, 'addresses' | 'templates'> & { addresses: number[]; templates?: string[] }
  >(
    'a server',
    {
      name,
      addresses: list(
        'addresses',
        parsed('an IPv4 address', parseServerAddress),
        'expected at least one address',
      ),
      templates: list('template names', template),
      region: words,
      labels,
      reject: mapping<{ inbound?: boolean; outbound?: boolean }>(
        'a mapping with the keys inbound and outbound',
        { inbound: boolean, outbound: boolean },
        [],
      ),
      mode: oneOf(['enforce', 'observe']),
      until: moment,
    },
    ['name', 'addresses'],
  );
  const names = new Map<string, string>();
  const owners = new Map<number, string>();
  const turns: number[] = [];
  const unique: Field<Server> = (place) => {
    const value = server(place);
    if (value === undefined) return undefined;
    const entryOf = (key: string): Entry => entries(place, 'a server')!.get(key)!;
    const earlier = names.get(value.name);
    if (earlier !== undefined) {
      const at = entryOf('name');
      place.file.report(at.node, at.path, `"${value.name}" is the name of ${earlier} already`);
    }
    names.set(value.name, place.path);
    for (const [index, address] of value.addresses.entries()) {
      const owner = owners.get(address);
      if (owner !== undefined) {
        const at = entryOf('addresses');
        place.file.report(
          at.node,
          `${at.path}[${index}]`,
          `this address is server ${owner}'s already`,
        );
      }
      owners.set(address, value.name);
    }
    const assigned = value.templates ?? [];
    const twice = assigned.find((each, index) => assigned.indexOf(each) !== index);
    if (twice !== undefined) {
      const at = entryOf('templates');
      place.file.report(at.node, at.path, `the template "${twice}" is listed twice`);
    }
    turns.push(...turnsOf([value], nowMs));
    const complaint = complaintOf(value, nowMs);
    if (complaint !== undefined) {
      const at = entryOf(complaint.key);
      place.file.report(at.node, at.path, complaint.message, complaint.severity);
    }
    return { ...value, templates: assigned };
  };
  const whole = mapping<{ servers?: Server[] }>(
    'a mapping with the key servers',
    { servers: mappings('servers', unique) },
    [],
  );
  const result = read(file, (place: Place) => whole(place)?.servers ?? [], []);
  const isBroken = file.problems.some(({ severity }) => severity === 'error');
  return { ...(isBroken ? { value: undefined, problems: file.problems } : result), turns };
}

function unknownTemplate(value: string, templates: ReadonlySet<string>): string {
  const hint = didYouMean(value, templates);
  return `there is no template "${shortened(value)}"${hint === '' ? `: expected a file templates/${shortened(value)}.yaml` : hint}`;
}

const labels: Field<Record<string, string>> = (place) => {
  const found = entries(place, 'labels');
  if (found === undefined) return undefined;
  const result: Record<string, string> = {};
  for (const [key, child] of found) {
    const control = controlIn(key);
    if (control !== undefined) {
      child.file.report(child.key, child.path, `expected a label without ${control}`);
      return undefined;
    }
    const value = words(child);
    if (value === undefined) return undefined;
    result[key] = value;
  }
  return result;
};
