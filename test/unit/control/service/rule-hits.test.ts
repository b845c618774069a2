/** Hits of rules: each flow counts for the rules that have let it open, and a rule that a change keeps, keeps its count. */
import { describe, expect, it } from 'vitest';
import { ReloadMode } from '../../../../src/dataplane/engine/engine.ts';
import { validateSet } from '../../../../src/policy/address-set.ts';
import { compilePolicy } from '../../../../src/policy/compile.ts';
import type { CompiledPolicy } from '../../../../src/policy/compile.ts';
import { validateTemplate } from '../../../../src/policy/validate.ts';
import { Matcher } from '../../../../src/dataplane/match/matcher.ts';
import { RuleHitLedger } from '../../../../src/control/service/rule-hits.ts';
import { EngineFixture } from '../../../support/engine-fixture.ts';
import { udpPacket } from '../../../../src/testing/packets.ts';
import { toServers, toTemplates } from '../../../support/policies.ts';
import type { PlainRule } from '../../../support/policies.ts';

const client = '198.51.100.2';
const [web, db] = ['10.0.0.2', '10.0.0.3'] as const;

const dns: PlainRule = { protocol: 'udp', ports: [53] };
const ntp: PlainRule = { protocol: 'udp', ports: [123] };
const office: PlainRule = { protocol: 'udp', ports: [[1000, 2000]], sources: [client] };

function compile(epoch: number, inbound: PlainRule[], outbound: PlainRule[] = []): CompiledPolicy {
  return compilePolicy(
    {
      templates: toTemplates({
        base: { inbound, outbound },
        spare: { inbound: [dns], outbound: [] },
      }),
      servers: toServers(
        [web, db].map((address) => ({ name: address, addresses: [address], templates: ['base'] })),
      ),
    },
    epoch,
  );
}

/** An engine, and the ledger that its control plane keeps. */
function fixture(first: CompiledPolicy) {
  let policy = new Matcher(first.words);
  const engine = new EngineFixture({ policy });
  const clock = { nowMs: 1_000_000 };
  // The threads' clock began at 900,000.
  const ledger = new RuleHitLedger(first, policy.hits, {
    nowMs: () => clock.nowMs,
    wallClockOf: (thenMs) => 900_000 + thenMs,
  });
  const change = (next: CompiledPolicy): void => {
    policy = new Matcher(next.words);
    engine.engine.setPolicy(policy, ReloadMode.cut, 0);
    ledger.onPolicy(next, policy.hits);
  };
  const rule = (compiled: CompiledPolicy, index: number): number | undefined => {
    const place = compiled.rules[index]!;
    return ledger.of(place.template, place.direction, place.rule)?.hits;
  };
  return { engine, ledger, change, rule, clock };
}

describe('the hits of a rule', () => {
  it('are the flows that it has opened, not their packets, and not what was refused', () => {
    const policy = compile(1, [dns, ntp]);
    const { engine, rule } = fixture(policy);
    engine.forward(
      udpPacket(client, web, 4000, 53),
      udpPacket(web, client, 53, 4000),
      udpPacket(client, web, 4000, 53),
      udpPacket(client, web, 4001, 53),
      udpPacket(client, web, 4000, 123),
      udpPacket(client, web, 4000, 124),
    );
    expect([rule(policy, 0), rule(policy, 1)]).toEqual([2, 1]);
  });

  it('count on both sides between servers', () => {
    const policy = compile(1, [dns], [ntp, dns]);
    const { engine, rule } = fixture(policy);
    engine.forward(udpPacket(web, db, 4000, 53), udpPacket(web, client, 4000, 123));
    expect([0, 1, 2].map((index) => rule(policy, index))).toEqual([1, 1, 1]);
  });

  it('go over to the next policy with the rule, to whatever place and under whatever comment', () => {
    const first = compile(1, [dns, ntp]);
    const { engine, change, rule, ledger } = fixture(first);
    engine.forward(
      udpPacket(client, web, 1, 53),
      udpPacket(client, web, 2, 53),
      udpPacket(client, web, 3, 123),
    );
    const base = compile(2, [office, dns]);
    const second = {
      ...base,
      rulesOf: new Map(
        [...base.rulesOf].map(([name, places]) => [
          name,
          places.map((place) => ({ ...place, rule: { ...place.rule, comment: 'new' } })),
        ]),
      ),
    };
    change(second);
    expect([rule(second, 0), rule(second, 1)]).toEqual([0, 2]);
    // Gone with its rule, and it does not come back.
    expect(rule(first, 1)).toBeUndefined();
    engine.forward(udpPacket(client, web, 9, 53), udpPacket(client, web, 9, 1500));
    change(compile(3, [ntp, dns]));
    expect([rule(first, 0), rule(first, 1)]).toEqual([3, 0]);
    // The same words in another template or the other direction are another rule.
    const { rule: words } = first.rulesOf.get('base')![0]!;
    expect(ledger.of('spare', 'inbound', words)?.hits).toBe(0);
    expect(ledger.of('base', 'outbound', words)).toBeUndefined();
  });

  it('stay with a rule that means others by its label or its set', () => {
    const policyOf = (role: string, addresses: string): CompiledPolicy => {
      const base = `inbound:
  - { protocol: udp, ports: [53], sources: ["label:role=web"] }
  - { protocol: udp, ports: [53], sources: ["set:office"] }
outbound: [{ protocol: all }]`;
      return compilePolicy(
        {
          templates: [validateTemplate('base', 'base.yaml', base).value!],
          servers: toServers([
            { name: 'web', addresses: [web], templates: ['base'] },
            { name: 'db', addresses: [db], templates: ['base'] },
          ]).map((each) => ({ ...each, ...(each.name === 'web' && { labels: { role } }) })),
          sets: [validateSet('office', 'office.yaml', `addresses: [${addresses}]`).value!],
        },
        1,
      );
    };
    const first = policyOf('web', '192.0.2.1');
    const { engine, change, rule } = fixture(first);
    const ask = (port: number): void => {
      engine.forward(udpPacket(web, db, port, 53), udpPacket(client, db, port, 53));
    };
    const hits = (policy: CompiledPolicy): (number | undefined)[] =>
      [0, 1].map((index) => rule(policy, index));
    ask(1);
    expect(hits(first)).toEqual([1, 0]);
    const second = policyOf('mail', client);
    change(second);
    ask(2);
    expect(hits(second)).toEqual([1, 1]);
    const third = policyOf('web', client);
    change(third);
    ask(3);
    expect(hits(third)).toEqual([2, 2]);
  });

  it('are those of all rules that say the same', () => {
    const twice = compile(1, [dns, dns]);
    const { engine, change, rule } = fixture(twice);
    engine.forward(udpPacket(client, web, 1, 53));
    expect([rule(twice, 0), rule(twice, 1)]).toEqual([1, 1]);
    const once = compile(2, [dns]);
    change(once);
    expect(rule(once, 0)).toBe(1);
  });

  it('have a moment from which they count, and the rule that of its last one', () => {
    const first = compile(1, [dns]);
    const { engine, change, ledger, clock } = fixture(first);
    const told = (compiled: CompiledPolicy, index: number): unknown => {
      const { template, direction, rule: own } = compiled.rules[index]!;
      return ledger.of(template, direction, own);
    };
    expect(told(first, 0)).toEqual({ hits: 0, sinceMs: 1_000_000 });
    engine.nowMs = 200_000;
    engine.forward(udpPacket(client, web, 1, 53));
    expect(told(first, 0)).toEqual({ hits: 1, sinceMs: 1_000_000, lastHitMs: 1_100_001 });
    clock.nowMs = 2_000_000;
    const second = compile(2, [ntp, dns]);
    change(second);
    expect(told(second, 0)).toEqual({ hits: 0, sinceMs: 2_000_000 });
    expect(told(second, 1)).toEqual({ hits: 1, sinceMs: 1_000_000, lastHitMs: 1_100_001 });
    engine.nowMs = 300_001;
    engine.forward(udpPacket(client, web, 2, 53));
    expect(told(second, 1)).toMatchObject({ hits: 2, lastHitMs: 1_200_001 });
  });

  it('a stamp that was collected stays what it was, whatever the threads’ clock says later', () => {
    const policy = compile(1, [dns, ntp]);
    const matcher = new Matcher(policy.words);
    let origin = 0;
    const ledger = new RuleHitLedger(policy, matcher.hits, {
      nowMs: () => 4_000_000,
      wallClockOf: (thenMs) => origin + thenMs,
    });
    matcher.hits.lastMs[0] = 5;
    ledger.collect();
    origin = 2 ** 32;
    const { template, direction, rule } = policy.rules[0]!;
    expect(ledger.of(template, direction, rule)).toMatchObject({ lastHitMs: 5 });
  });
});
