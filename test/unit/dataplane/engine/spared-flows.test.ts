/**
 * Policies that change in the middle of conversations, with cut, keep and drain, against a twin that knows the conversations:
 * what is spared is that conversation and not the next one of its ports, a new connection asks the policy in force, and nothing
 * else is lost. Linux has no such thing, so that it cannot be the oracle of this.
 */
import { expect, it } from 'vitest';
import { ReloadMode } from '../../../../src/dataplane/engine/engine.ts';
import { Random } from '../../../oracle/random.ts';
import { EngineFixture } from '../../../support/engine-fixture.ts';
import { policyOf } from '../../../support/policies.ts';
import type { PlainRule } from '../../../support/policies.ts';
import { seed } from '../../../support/seed.ts';
import { Talk } from '../../../support/talkers.ts';
import type { Ends, Sent } from '../../../support/talkers.ts';

const server = '10.0.0.2';
const clients = ['198.51.100.2', '203.0.113.9'];
const ports = [53, 80, 443];
const cases = 500;
const stepsOfCase = 90;

/** Rules that a scan can read: protocol, port of the responder, and the client. */
interface Rule {
  readonly inbound: boolean;
  readonly protocol: 'tcp' | 'udp';
  readonly port: number;
  readonly client: string;
}

const allows = (
  rules: readonly Rule[],
  { protocol, opener, responder, responderPort }: Ends,
): boolean =>
  rules.some(
    (rule) =>
      rule.protocol === protocol &&
      rule.port === responderPort &&
      rule.inbound === (responder === server) &&
      rule.client === (rule.inbound ? opener : responder),
  );

const turned = ({ protocol, opener, openerPort, responder, responderPort }: Ends): Ends => ({
  ...{ protocol, opener: responder, openerPort: responderPort },
  ...{ responder: opener, responderPort: openerPort },
});

/** Of both directions the same. */
const placeOf = ({ protocol, opener, openerPort, responder, responderPort }: Ends): string =>
  [protocol, ...[`${opener}:${openerPort}`, `${responder}:${responderPort}`].sort()].join(' ');

interface Flow {
  readonly talk: Talk;
  /** Of the packet that opened it. */
  readonly ends: Ends;
  epoch: number;
  spared: boolean;
  lastMs: number;
  replied: boolean;
  /** How long it lasts without a packet, as of the last one. */
  aliveMs: number;
}

/** So long a flow stays at least; one whose data is acknowledged stays for days, and of the others none for 500 s. */
function aliveMsOf({ ends, phase, acknowledged }: Talk, replied: boolean): number {
  if (ends.protocol === 'tcp' && phase === 'open' && acknowledged && replied) return Infinity;
  return phase === 'closed' ? 9000 : 25_000;
}

type Mode = keyof typeof ReloadMode;

/** What has to become of a packet; undefined: that is not certain. */
class Twin {
  rules: readonly Rule[];
  #epoch = 1;
  #mode: Mode = 'cut';
  #drainUntilMs = 0;
  readonly #flows = new Map<string, Flow>();
  /** Places where two conversations were under way at once without the policy's say: the ends' own affair. */
  readonly #muddled = new Set<string>();

  constructor(rules: readonly Rule[]) {
    this.rules = rules;
  }

  change(rules: readonly Rule[], mode: Mode, drainUntilMs: number): void {
    this.rules = rules;
    this.#epoch++;
    this.#mode = mode;
    this.#drainUntilMs = drainUntilMs;
  }

  /** The sweep: it sees every flow. */
  sweep(nowMs: number): void {
    for (const place of this.#flows.keys()) this.#flowAt(place, nowMs);
  }

  /** As far as that was asked already: a policy that nobody asks in time never was. */
  isSpared(place: string): boolean {
    return this.#flows.get(place)?.spared === true;
  }

  judge(talk: Talk, sent: Sent, nowMs: number): 'pass' | 'drop' | undefined {
    const place = placeOf(talk.ends);
    if (this.#muddled.has(place)) return undefined;
    const flow = this.#flowAt(place, nowMs);
    if (this.#muddled.has(place)) return undefined;
    const ends = sent.fromOpener ? talk.ends : turned(talk.ends);
    const isTcp = ends.protocol === 'tcp';
    if (flow === undefined) {
      if (!sent.opens || !allows(this.rules, ends)) return 'drop';
      this.#flows.set(place, {
        ...{ talk, ends, epoch: this.#epoch, spared: false },
        ...{ lastMs: nowMs, replied: false, aliveMs: aliveMsOf(talk, false) },
      });
      return 'pass';
    }
    if (flow.talk === talk || !isTcp) {
      flow.lastMs = nowMs;
      if (ends.opener !== flow.ends.opener) flow.replied = true;
      flow.aliveMs = aliveMsOf(flow.talk, flow.replied);
      return 'pass';
    }
    if (sent.words.includes('R')) return undefined;
    const isSameWay = ends.opener === flow.ends.opener;
    // What comes back before the SYN is answered may be a challenge ACK, with any numbers.
    if (!flow.replied && !isSameWay && !sent.opens) return undefined;
    if (flow.spared && (!sent.opens || isSameWay)) return 'drop';
    const isOver = flow.talk.phase === 'closed' && sent.opens && isSameWay;
    if (isOver && !allows(this.rules, ends)) return 'drop';
    if (isOver) {
      this.#flows.delete(place);
      return this.judge(talk, sent, nowMs);
    }
    this.#muddled.add(place);
    return undefined;
  }

  /** The flow that is alive there after the policy in force was asked about it. */
  #flowAt(place: string, nowMs: number): Flow | undefined {
    const flow = this.#flows.get(place);
    if (flow === undefined) return undefined;
    const fate = this.#age(flow, nowMs);
    if (fate === 'unknown') this.#muddled.add(place);
    if (fate === 'gone' || !this.#isSparedOrAllowed(flow, nowMs)) {
      this.#flows.delete(place);
      return undefined;
    }
    return flow;
  }

  #isSparedOrAllowed(flow: Flow, nowMs: number): boolean {
    if (flow.epoch === this.#epoch) return true;
    const allowed = allows(this.rules, flow.ends);
    if (!allowed && this.#mode === 'cut') return false;
    if (!allowed && this.#mode === 'drain') {
      flow.spared = true;
      return nowMs < this.#drainUntilMs;
    }
    flow.spared = !allowed;
    flow.epoch = this.#epoch;
    return true;
  }

  /** With room to the timeouts on both sides. */
  #age({ aliveMs, lastMs }: Flow, nowMs: number): 'alive' | 'gone' | 'unknown' {
    const idleMs = nowMs - lastMs;
    return idleMs < aliveMs ? 'alive' : idleMs > 500_000 ? 'gone' : 'unknown';
  }
}

function randomRules(random: Random): Rule[] {
  const rules: Rule[] = [];
  for (const inbound of [true, false]) {
    for (const protocol of ['tcp', 'udp'] as const) {
      for (const port of ports) {
        for (const client of clients) {
          if (random.chance(0.5)) rules.push({ inbound, protocol, port, client });
        }
      }
    }
  }
  return rules;
}

function compiled(rules: readonly Rule[], epoch: number): ReturnType<typeof policyOf> {
  const plain = (inbound: boolean): PlainRule[] =>
    rules
      .filter((rule) => rule.inbound === inbound)
      .map(({ protocol, port, client }) => ({
        ...{ protocol, ports: [port] },
        ...(inbound ? { sources: [client] } : { destinations: [client] }),
      }));
  return policyOf(
    { own: { inbound: plain(true), outbound: plain(false) } },
    [{ name: 'server', addresses: [server], templates: ['own'] }],
    epoch,
  );
}

function randomEnds(random: Random): Ends {
  const protocol = random.chance(0.7) ? 'tcp' : 'udp';
  const [client, own] = [random.pick(clients), random.pick([40_000, 40_001, random.pick(ports)])];
  const ends: Ends = {
    ...{ protocol, opener: client, openerPort: own },
    ...{ responder: server, responderPort: random.pick(ports) },
  };
  return random.chance(0.7) ? ends : { ...ends, opener: server, responder: client };
}

/** One case; returns how many packets of each verdict were compared. */
function play(caseNumber: number): Record<string, number> {
  const random = new Random(seed, caseNumber);
  const twin = new Twin(randomRules(random));
  const f = new EngineFixture({ policy: compiled(twin.rules, 1), capacity: 256 });
  const log: string[] = [];
  const counts = { pass: 0, drop: 0, spared: 0, changes: 0 };
  const talks = new Map<string, Talk[]>();
  let epoch = 1;
  for (let step = 0; step < stepsOfCase; step++) {
    f.nowMs += random.weighted([
      [80, random.int(0, 50)],
      [4, 3000],
      [1, 700_000],
    ]);
    if (random.chance(0.08)) {
      const mode = random.pick(['cut', 'keep', 'drain'] as const);
      const untilMs = f.nowMs + random.int(500, 4000);
      twin.change(random.chance(0.2) ? [] : randomRules(random), mode, untilMs);
      f.engine.setPolicy(compiled(twin.rules, ++epoch), ReloadMode[mode], untilMs);
      log.push(`${f.nowMs}: policy ${epoch}, ${mode} (${untilMs}): ${JSON.stringify(twin.rules)}`);
      counts.changes++;
    }
    if (random.chance(0.3)) {
      f.engine.tick(f.nowMs);
      twin.sweep(f.nowMs);
      log.push(`${f.nowMs}: sweep`);
    }
    let talk: Talk | undefined;
    const all = [...talks.values()].flat();
    if (all.length > 0 && random.chance(0.75)) talk = random.pick(all);
    else {
      // Mostly where a conversation was, or is that only the policy before allowed.
      const old = all.length > 0 && random.chance(0.6) ? random.pick(all) : undefined;
      const isFree = old?.phase === 'closed' || (old && twin.isSpared(placeOf(old.ends)));
      const ends = isFree === true ? old.ends : randomEnds(random);
      const there = talks.get(placeOf(ends)) ?? [];
      if (isFree === true || there.length === 0) {
        talk = new Talk(random.chance(0.1) ? turned(ends) : ends, random);
        talks.set(placeOf(ends), [...there, talk]);
      }
    }
    const sent = talk?.send();
    if (talk === undefined || sent === undefined) continue;
    const place = placeOf(talk.ends);
    const isSpared = twin.isSpared(place);
    const expected = twin.judge(talk, sent, f.nowMs);
    const reason = f.judge(sent.bytes);
    log.push(
      `${f.nowMs}: ${place} talk ${talks.get(place)!.indexOf(talk)}: ${sent.words}: ${reason}`,
    );
    if (expected === undefined) continue;
    const verdict = reason === 'pass' ? 'pass' : 'drop';
    expect(
      verdict,
      `seed ${seed}, case ${caseNumber}:\n${log.join('\n')}\nexpected ${expected}`,
    ).toBe(expected);
    counts[verdict]++;
    if (isSpared) counts.spared++;
  }
  f.check();
  return counts;
}

it('spares conversations and no others, whatever policies come and go', () => {
  const total = { pass: 0, drop: 0, spared: 0, changes: 0 };
  for (let caseNumber = 0; caseNumber < cases; caseNumber++) {
    for (const [name, count] of Object.entries(play(caseNumber))) {
      total[name as keyof typeof total] += count;
    }
  }
  console.log(JSON.stringify(total));
  // Enough of each kind was compared.
  expect(total.pass).toBeGreaterThan(cases * 10);
  expect(total.drop).toBeGreaterThan(cases * 5);
  expect(total.spared).toBeGreaterThan(cases * 3);
}, 120_000);
