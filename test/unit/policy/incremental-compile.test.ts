/**
 * A chain of small changes, each compiled after the one before, against the same policy compiled from nothing: the same verdicts
 * by the same rules. Packet threads judge by a policy until it is released, so it must say the same until then.
 */
import { expect, it } from 'vitest';
import { Matcher } from '../../../src/dataplane/match/matcher.ts';
import { PolicyCompiler, compilePolicy } from '../../../src/policy/compile.ts';
import type { CompiledPolicy } from '../../../src/policy/compile.ts';
import { parsePeer } from '../../../src/policy/peers.ts';
import { policyDigest } from '../../../src/policy/policy-digest.ts';
import { hasAddress, rangesOf } from '../../../src/policy/ranges.ts';
import type {
  AddressSet,
  Peer,
  PolicySource,
  Rule,
  Server,
  Template,
} from '../../../src/policy/types.ts';
import { PolicyMaker, interestingPorts } from '../../support/random-policy.ts';
import { seededRandom } from '../../support/seed.ts';

const base = 0x0a000000;
const noon = Date.parse('2026-06-01T12:00:00Z');
const addresses = [...Array.from({ length: 12 }, (_, i) => base + i), 0, 0xffffffff, 0xc0000201];
const random = seededRandom();
const maker = new PolicyMaker(random, addresses);
const { below, chance, pick } = {
  below: (n: number) => maker.below(n),
  chance: (part: number) => maker.chance(part),
  pick: <T>(items: readonly T[]) => maker.pick(items),
};

interface Draft {
  templates: readonly Template[];
  servers: readonly Server[];
  sets: readonly AddressSet[];
}

/** Large enough to be shared between templates; the first one begins with the lowest address. */
const lists = [0, base + 1].map((first) =>
  rangesOf(Array.from({ length: 1100 }, (_, i) => ({ from: first + i * 3, to: first + i * 3 }))),
);

function someSet(name: string): AddressSet {
  const own = Array.from({ length: below(3) }, () => ({ from: pick(addresses), text: '' }));
  return {
    name,
    addresses: own.map(({ from, text }) => ({ from, to: from, text })),
    except: [],
    include: name === 'set0' && chance(0.5) ? ['set1'] : [],
    ...(chance(0.7) && { list: pick(lists) }),
  };
}

const groups = [
  'server:s0',
  'template:t1',
  'set:set0',
  'set:set1',
  'label:role=a',
  'label:role!=b',
  'label:role in (a,b)',
].map((text): Peer => {
  const parsed = parsePeer(text);
  if ('message' in parsed) throw new Error(parsed.message);
  return parsed.value;
});

function someRule(): Rule {
  const rule = maker.rule();
  const ends = [noon - 1000, noon + 1000, noon + 5000].map((ms) => new Date(ms).toISOString());
  return {
    ...rule,
    ...(chance(0.5) && { peers: [...(rule.peers ?? []).slice(0, 1), pick(groups)] }),
    ...(chance(0.2) && { except: [pick(groups)] }),
    ...(chance(0.1) && { enabled: false }),
    ...(chance(0.1) && { expires: pick(ends) }),
  };
}

const someRules = (most: number): Rule[] => Array.from({ length: below(most + 1) }, someRule);

function someTemplate(name: string): Template {
  // Some are so large that servers refer to them.
  const most = chance(0.3) ? 90 : 5;
  return { name, inbound: someRules(most), outbound: someRules(most) };
}

function someServer(name: string): Server {
  const number = Number(name.slice(1));
  return {
    name,
    addresses: [base + number * 2, base + number * 2 + 1].slice(0, 1 + below(2)),
    templates: templateNames.filter(() => chance(0.4)),
    labels: { role: pick(['a', 'b', 'c']) },
  };
}

const templateNames = Array.from({ length: 10 }, (_, i) => `t${i}`);
const serverNames = ['s0', 's1', 's2', 's3', 's4', 's5'];

/** One small change of anything; a name that is there goes, stays as it is, or becomes another one. */
function change(draft: Draft): void {
  const replace = <T extends { readonly name: string }>(
    list: readonly T[],
    name: string,
    make: (name: string) => T,
  ): T[] => {
    const others = list.filter((each) => each.name !== name);
    return chance(0.2)
      ? others
      : [...others, make(name)].sort((a, b) => (a.name < b.name ? -1 : 1));
  };
  switch (below(5)) {
    case 0:
      draft.servers = replace(draft.servers, pick(serverNames), someServer);
      break;
    case 1:
      draft.sets = replace(draft.sets, pick(['set0', 'set1']), someSet);
      break;
    case 2:
      draft.templates = replace(draft.templates, pick(templateNames), someTemplate);
      break;
    default: {
      const name = pick(templateNames);
      draft.templates = draft.templates.map((each) => {
        if (each.name !== name) return each;
        const rules = [...each.inbound];
        rules.splice(below(rules.length + 1), below(2), ...someRules(1));
        return { ...each, inbound: rules };
      });
    }
  }
}

function someSource(): Draft {
  return {
    templates: templateNames.filter(() => chance(0.8)).map(someTemplate),
    servers: serverNames.filter(() => chance(0.8)).map(someServer),
    sets: ['set0', 'set1'].map(someSet),
  };
}

interface Probe {
  readonly protocol: number;
  readonly source: number;
  readonly destination: number;
  readonly port: number;
}

const probes = Array.from({ length: 150 }, (): Probe => ({
  protocol: pick([1, 6, 17]),
  source: pick(addresses) + below(2),
  destination: pick(addresses),
  port: pick(interestingPorts) + below(2) - 1,
}));

const wordOf = (policy: CompiledPolicy, index: number): string => {
  if (index < 0) return 'none';
  const { template, direction, position } = policy.rules[index]!;
  return `${template}.${direction}[${position}]`;
};

/** What it says of each probe: verdict, servers, rules. */
function answers(policy: CompiledPolicy): string[] {
  const matcher = new Matcher(policy.words, undefined, policy.root);
  return probes.map(({ protocol, source, destination, port }) => {
    const verdict = matcher.match(protocol, source | 0, destination | 0, port);
    const { inboundServer, outboundServer, inboundRule, outboundRule } = matcher;
    const rules = [inboundRule, outboundRule].map((index) => wordOf(policy, index));
    return [verdict, inboundServer, outboundServer, ...rules].join(' ');
  });
}

const verdicts = (said: readonly string[]): string => said.map((each) => each[0]).join();

/** Asks each rule of each of the server's templates. */
function naivelyAllowed(
  policy: CompiledPolicy,
  inbound: boolean,
  server: number,
  probe: Probe,
): boolean {
  const direction = inbound ? 'inbound' : 'outbound';
  const peer = (inbound ? probe.source : probe.destination) >>> 0;
  const protocol = { 1: 'icmp', 6: 'tcp', 17: 'udp' }[probe.protocol];
  return policy.resolver
    .assignmentsOf(server)
    .flatMap(({ template }) => policy.rulesOf.get(template) ?? [])
    .some(({ rule, ranges, live, direction: own }) => {
      if (!live || own !== direction) return false;
      if (rule.protocol !== 'all' && rule.protocol !== protocol) return false;
      const ports = probe.protocol === 1 ? undefined : rule.ports;
      if (ports?.every(({ from, to }) => probe.port < from || probe.port > to)) return false;
      return ranges === undefined || hasAddress(ranges, peer);
    });
}

it('says what a policy compiled from nothing says, and what a look at every rule does', () => {
  const seen = new Set<string>();
  for (let round = 0; round < 10; round++) {
    const draft = someSource();
    const compiler = new PolicyCompiler();
    let inForce = compiler.compile(draft, 1, { nowMs: noon });
    let said = answers(inForce);
    let digestInForce = policyDigest(draft, inForce);
    for (let epoch = 2; epoch < 18; epoch++) {
      const nowMs = noon + epoch * 300;
      // Others may come between, which are never in force.
      const tried = { ...draft };
      change(tried);
      const trial = compiler.compileTrial(tried, { nowMs });
      change(draft);
      const next = compiler.compile(draft, epoch, { nowMs });
      const alone = compilePolicy(draft, epoch, { nowMs });
      const context = `round ${round}, epoch ${epoch}`;
      const says = answers(next);
      expect(says, context).toEqual(answers(alone));
      expect(new Matcher(next.words, undefined, next.root).epoch).toBe(epoch);
      expect(next.stats.rules).toBe(alone.stats.rules);
      const digest = policyDigest(draft, next);
      expect(digest, context).toBe(policyDigest(draft, alone));
      if (verdicts(said) !== verdicts(says)) expect(digest).not.toBe(digestInForce);
      expect(answers(trial), context).toEqual(answers(compilePolicy(tried, 0, { nowMs })));
      compiler.discard(trial);
      expect(answers(next), `${context}: whatever was tried`).toEqual(says);
      expect(answers(inForce), `${context}: in force until released`).toEqual(said);
      compiler.release(inForce);
      expect(answers(inForce), `${context}: until the next is released`).toEqual(said);
      [inForce, said, digestInForce] = [next, says, digest];
    }
    const matcher = new Matcher(inForce.words, undefined, inForce.root);
    for (const probe of probes) {
      const { protocol, source, destination, port } = probe;
      matcher.match(protocol, source | 0, destination | 0, port);
      const { inboundServer, outboundServer, inboundRule, outboundRule } = matcher;
      if (outboundServer >= 0) {
        const allowed = naivelyAllowed(inForce, false, outboundServer, probe);
        expect(outboundRule >= 0).toBe(allowed);
        seen.add(`outbound ${allowed}`);
      }
      if (inboundServer >= 0) {
        const asked = matcher.inboundRuleOf(inboundServer, protocol, source | 0, port);
        expect(asked >= 0).toBe(naivelyAllowed(inForce, true, inboundServer, probe));
        if (inboundRule >= 0) expect(inboundRule).toBe(asked);
        seen.add(`inbound ${asked >= 0}`);
      }
    }
  }
  expect(seen.size).toBe(4);
});

it('keeps nothing of policies that were released', () => {
  const draft = someSource();
  const compiler = new PolicyCompiler();
  const nothing: PolicySource = { templates: [], servers: [] };
  const empty = compiler.compile(nothing, 1);
  const { words } = empty.stats;
  let inForce = empty;
  for (let epoch = 2; epoch < 40; epoch++) {
    const trial = compiler.compileTrial(draft);
    change(draft);
    const next = compiler.compile(draft, epoch);
    compiler.discard(trial);
    compiler.release(inForce);
    inForce = next;
  }
  const policies = [inForce, compiler.compile(nothing, 40)];
  for (const policy of policies) compiler.release(policy);
  const last = compiler.compile(nothing, 41);
  // Its own, and that of the policy that was released last.
  expect(last.stats.words).toBe(2 * words);
  expect(last.rules).toEqual([]);
});

it('compiles only what has changed', () => {
  const rule: Rule = { protocol: 'tcp', ports: [{ from: 80, to: 80 }] };
  const list = lists[1]!;
  const templates = Array.from({ length: 40 }, (_, i): Template => ({
    name: `t${i}`,
    inbound: [...Array.from({ length: 70 }, () => rule), { protocol: 'udp', peers: [groups[2]!] }],
    outbound: [],
  }));
  const servers = templates.map(({ name }, i): Server => ({
    name: `s${i}`,
    addresses: [base + i],
    templates: [name, 't0'],
  }));
  const sets: AddressSet[] = [{ name: 'set0', addresses: [], except: [], include: [], list }];
  const compiler = new PolicyCompiler();
  const first = compiler.compile({ templates, servers, sets }, 1);
  // The list once, not forty times.
  expect(first.stats.words).toBeLessThan(40 * list.length);
  const changed = templates.map((each, i) => (i === 7 ? { ...each, inbound: [rule] } : each));
  const second = compiler.compile({ templates: changed, servers, sets }, 2);
  const same = [...second.rulesOf].filter(([name, rules]) => first.rulesOf.get(name) === rules);
  expect(same).toHaveLength(39);
  expect(second.words).toBe(first.words);
  const { words } = compiler.compileTrial({ templates, servers, sets }).stats;
  expect(words - second.stats.words).toBeLessThan(2000);
});
