/**
 * Random changes of servers, labels, sets and rules, by HTTP; after each, the compiled program of what is stored against a
 * naive evaluator of what the API answers. It asks for each packet, from the texts alone, who is meant.
 */
import { afterEach, expect, it } from 'vitest';
import { MatchResult, Matcher } from '../../../../src/dataplane/match/matcher.ts';
import { PolicyCompiler } from '../../../../src/policy/compile.ts';
import { addressToInt } from '../../../../src/testing/packets.ts';
import { ApiLab } from '../../../support/api.ts';
import type { Answer } from '../../../support/api.ts';
import { seededRandom } from '../../../support/seed.ts';

let lab: ApiLab;
afterEach(() => lab.close());

const random = seededRandom();
const below = (n: number): number => Math.floor(random() * n);
const chance = (part: number): boolean => random() < part;
const pick = <T>(items: readonly T[]): T => items[below(items.length)]!;
const some = <T>(most: number, make: () => T): T[] => Array.from({ length: below(most + 1) }, make);

const serverNames = ['s0', 's1', 's2', 's3'];
const templateNames = ['t0', 't1', 't2'];
const setNames = ['a', 'b', 'c'];
const addressOf = (server: string): string => `10.0.0.${2 + serverNames.indexOf(server)}`;
const plain = ['192.0.2.7', '192.0.2.0/28', '10.0.0.3-10.0.0.4', '198.51.100.9', 'any'];
const selectors = [
  'role=web',
  'role==db',
  '!env',
  'env',
  'role!=web',
  'role in (web,db),env=test',
  'region notin (hkg)',
];
const ends = ['2001-01-01T00:00:00Z', '2999-01-01T00:00:00Z'];
const ports = [22, 53, 443];
const protocols = [1, 6, 17];
const probedAddresses = [...serverNames.map(addressOf), '192.0.2.7', '192.0.2.9', '198.51.100.9'];

// What is sent.

function somePeer(): string {
  return pick([
    () => pick(plain),
    () => `server:${pick(serverNames)}`,
    () => `template:${pick(templateNames)}`,
    () => `set:${pick(setNames)}`,
    () => `label:${pick(selectors)}`,
  ])();
}

function someRule(direction: string): object {
  const protocol = pick(['tcp', 'udp', 'icmp', 'all']);
  const hasPorts = protocol === 'tcp' || protocol === 'udp';
  const peers = some(3, somePeer);
  return {
    protocol,
    ...(hasPorts && chance(0.7) && { ports: [pick([22, 53, '50-500'])] }),
    ...(peers.length > 0 && { [direction === 'inbound' ? 'sources' : 'destinations']: peers }),
    ...(chance(0.3) && { except: [somePeer()] }),
    ...(chance(0.1) && { enabled: false }),
    ...(chance(0.2) && { expires: pick(ends) }),
  };
}

function someServer(name: string): object {
  return {
    name,
    addresses: [addressOf(name)],
    templates: templateNames.filter(() => chance(0.3)),
    ...(chance(0.4) && { region: pick(['hkg', 'sgp']) }),
    labels: {
      ...(chance(0.7) && { role: pick(['web', 'db']) }),
      ...(chance(0.4) && { env: pick(['test', 'prod']) }),
    },
  };
}

function someTemplate(name: string): object {
  return {
    name,
    inbound: some(3, () => someRule('inbound')),
    outbound: some(3, () => someRule('outbound')),
    ...(chance(0.3) && { appliesTo: [pick(selectors)] }),
  };
}

function someSet(name: string): object {
  const list = (): string[] => some(2, () => pick(plain.filter((each) => each !== 'any')));
  const others = setNames.filter((each) => each > name);
  return {
    name,
    addresses: list(),
    except: list(),
    include: others.filter(() => chance(0.4)).map((each) => `set:${each}`),
  };
}

function someChange(): Promise<Answer> {
  const send = (request: string, body?: unknown): Promise<Answer> =>
    lab.send('owner', request, body === undefined ? {} : { body });
  const [server, template, set] = [pick(serverNames), pick(templateNames), pick(setNames)];
  const direction = pick(['inbound', 'outbound']);
  return pick([
    () => send(`PUT /v1/servers/${server}`, someServer(server)),
    () => send(`PATCH /v1/servers/${server}`, { labels: { role: pick(['web', 'db']) } }),
    () => send(`DELETE /v1/servers/${server}`),
    () => send(`PUT /v1/templates/${template}`, someTemplate(template)),
    () => send(`POST /v1/templates/${template}/rules/${direction}`, someRule(direction)),
    () => send(`DELETE /v1/templates/${template}/rules/${direction}/0`),
    () => send(`PUT /v1/sets/${set}`, someSet(set)),
    () => send(`PATCH /v1/sets/${set}`, { add: ['192.0.2.9'] }),
  ])();
}

// What is answered, and what it means.

interface NaiveServer {
  readonly name: string;
  readonly addresses: readonly string[];
  readonly templates: readonly string[];
  readonly region?: string;
  readonly labels?: Readonly<Record<string, string>>;
}
interface NaiveRule {
  readonly protocol: string;
  readonly ports?: readonly (number | string)[];
  readonly sources?: readonly string[];
  readonly destinations?: readonly string[];
  readonly except?: readonly string[];
  readonly enabled?: boolean;
  readonly expires?: string;
}
interface NaiveTemplate {
  readonly name: string;
  readonly appliesTo?: readonly string[];
  readonly inbound: readonly NaiveRule[];
  readonly outbound: readonly NaiveRule[];
}
interface NaiveSet {
  readonly name: string;
  readonly addresses: readonly string[];
  readonly except: readonly string[];
  readonly include: readonly string[];
}

class NaivePolicy {
  readonly servers: readonly NaiveServer[];
  readonly #templates: readonly NaiveTemplate[];
  readonly #sets: readonly NaiveSet[];

  private constructor(servers: NaiveServer[], templates: NaiveTemplate[], sets: NaiveSet[]) {
    this.servers = servers;
    this.#templates = templates;
    this.#sets = sets;
  }

  static async ask(): Promise<NaivePolicy> {
    const all = async <T>(kind: string): Promise<T[]> => {
      const { json } = await lab.send('member', `GET /v1/${kind}`);
      const names = (json![kind] as unknown as { name: string }[]).map(({ name }) => name);
      const answers = names.map((name) => lab.send('member', `GET /v1/${kind}/${name}`));
      return (await Promise.all(answers)).map((answer) => answer.json as unknown as T);
    };
    return new NaivePolicy(await all('servers'), await all('templates'), await all('sets'));
  }

  verdict(protocol: number, source: string, destination: string, port: number): number {
    const [from, to] = [this.#serverOf(source), this.#serverOf(destination)];
    if (from === undefined && to === undefined) return MatchResult.noServer;
    if (from !== undefined && !this.#allows(from, 'outbound', protocol, destination, port)) {
      return MatchResult.noOutboundRule;
    }
    if (to !== undefined && !this.#allows(to, 'inbound', protocol, source, port)) {
      return MatchResult.noInboundRule;
    }
    return MatchResult.allowed;
  }

  #serverOf(address: string): NaiveServer | undefined {
    return this.servers.find(({ addresses }) => addresses.includes(address));
  }

  #has(server: NaiveServer, { name, appliesTo = [] }: NaiveTemplate): boolean {
    if (server.templates.includes(name)) return true;
    return appliesTo.some((selector) => matches(selector, server));
  }

  #allows(
    server: NaiveServer,
    direction: 'inbound' | 'outbound',
    protocol: number,
    peer: string,
    port: number,
  ): boolean {
    const word = { 1: 'icmp', 6: 'tcp', 17: 'udp' }[protocol];
    return this.#templates.some(
      (template) =>
        this.#has(server, template) &&
        template[direction].some((rule) => {
          if (rule.enabled === false) return false;
          if (rule.expires !== undefined && Date.parse(rule.expires) <= Date.now()) return false;
          if (rule.protocol !== 'all' && rule.protocol !== word) return false;
          if (rule.ports !== undefined && !rule.ports.some((each) => hasPort(each, port)))
            return false;
          const peers = (direction === 'inbound' ? rule.sources : rule.destinations) ?? ['any'];
          if (rule.except?.some((each) => this.#means(each, peer)) === true) return false;
          return peers.some((each) => this.#means(each, peer));
        }),
    );
  }

  #means(peer: string, address: string): boolean {
    const [, kind, rest] = /^(server|template|set|label):(.*)$/.exec(peer) ?? [];
    if (kind === undefined) return isWithin(peer, address);
    if (kind === 'set') return this.#isInSet(rest!, address);
    const server = this.#serverOf(address);
    if (server === undefined) return false;
    if (kind === 'server') return server.name === rest;
    if (kind === 'label') return matches(rest!, server);
    return this.#has(
      server,
      this.#templates.find(({ name }) => name === rest)!,
    );
  }

  #isInSet(wanted: string, address: string): boolean {
    const set = this.#sets.find(({ name }) => name === wanted)!;
    if (set.except.some((each) => isWithin(each, address))) return false;
    if (set.addresses.some((each) => isWithin(each, address))) return true;
    return set.include.some((each) => this.#isInSet(each.slice('set:'.length), address));
  }
}

function hasPort(port: number | string, asked: number): boolean {
  const [from, to = from] = String(port).split('-').map(Number);
  return asked >= from! && asked <= to!;
}

function isWithin(text: string, address: string): boolean {
  if (text === 'any') return true;
  const asked = addressToInt(address) >>> 0;
  const [block, bits] = text.split('/');
  if (bits !== undefined) {
    return (
      Math.floor(asked / 2 ** (32 - Number(bits))) ===
      Math.floor((addressToInt(block!) >>> 0) / 2 ** (32 - Number(bits)))
    );
  }
  const [from, to = from] = text.split('-').map((end) => addressToInt(end) >>> 0);
  return asked >= from! && asked <= to!;
}

function matches(selector: string, { labels = {}, region }: NaiveServer): boolean {
  const values: Readonly<Record<string, string>> = {
    ...labels,
    ...(region !== undefined && { region }),
  };
  return selector.split(/,(?![^(]*\))/).every((term) => {
    const [, key, word, list] = /^(\w+) (in|notin) \((.*)\)$/.exec(term) ?? [];
    if (key !== undefined) return list!.split(',').includes(values[key]!) === (word === 'in');
    if (term.startsWith('!')) return values[term.slice(1)] === undefined;
    const [, name, sign, value] = /^(\w+)(!=|==?)?(\w*)$/.exec(term)!;
    if (sign === undefined) return values[name!] !== undefined;
    return (values[name!] === value) === (sign !== '!=');
  });
}

it('the compiled program says what a look at every answer of the API does', async () => {
  lab = await ApiLab.create({
    requestsPerMinute: 1_000_000,
    files: {
      'servers.yaml': `servers:\n${serverNames.map((name) => `  - { name: ${name}, addresses: [${addressOf(name)}] }\n`).join('')}`,
      ...Object.fromEntries(
        templateNames.map((name) => [`templates/${name}.yaml`, 'inbound: []\n']),
      ),
      ...Object.fromEntries(setNames.map((name) => [`sets/${name}.yaml`, 'addresses: []\n'])),
    },
  });
  const compiler = new PolicyCompiler();
  let inForce = compiler.compile(await lab.controlPlane.snapshot(), 1);
  const seen = new Map<number, number>();
  const statuses = new Map<number, number>();
  for (let round = 0; round < 60; round++) {
    const { status, body } = await someChange();
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
    // Refused is what others name, and what is not there.
    if (status >= 300) expect([404, 409, 422], body).toContain(status);
    const next = compiler.compile(await lab.controlPlane.snapshot(), round + 2);
    compiler.release(inForce);
    inForce = next;
    const matcher = new Matcher(next.words, undefined, next.root);
    const naive = await NaivePolicy.ask();
    for (let probe = 0; probe < 200; probe++) {
      const [protocol, port] = [pick(protocols), pick(ports)];
      const [source, destination] = [pick(probedAddresses), pick(probedAddresses)];
      const expected = naive.verdict(protocol, source, destination, port);
      const said = matcher.match(protocol, addressToInt(source), addressToInt(destination), port);
      expect(said, `round ${round}: ${protocol} ${source} ${destination}:${port}`).toBe(expected);
      seen.set(said, (seen.get(said) ?? 0) + 1);
    }
  }
  expect([...seen.keys()].sort()).toEqual(Object.values(MatchResult).sort());
  expect(statuses.get(200)! + (statuses.get(201) ?? 0)).toBeGreaterThan(20);
});
