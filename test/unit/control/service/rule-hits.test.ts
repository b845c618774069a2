/** Hits of rules: each flow counts for the rules that have let it open, and a rule that a change keeps, keeps its count. */
import { describe, expect, it } from 'vitest';
import { ReloadMode } from '../../../../src/dataplane/engine/engine.ts';
import { validateSet } from '../../../../src/policy/address-set.ts';
import { compilePolicy } from '../../../../src/policy/compile.ts';
import type { CompiledPolicy } from '../../../../src/policy/compile.ts';
import { validateTemplate } from '../../../../src/policy/validate.ts';
import { Matcher } from '../../../../src/dataplane/match/matcher.ts';
import { RuleHitLedger } from '../../../../src/control/service/rule-hits.ts';
import type { HitsBefore } from '../../../../src/dataplane/worker/hit-file.ts';
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
  const ledger = new RuleHitLedger(
    first,
    { hits: policy.hits },
    {
      nowMs: () => clock.nowMs,
      wallClockOf: (thenMs) => 900_000 + thenMs,
    },
  );
  const change = (next: CompiledPolicy): void => {
    policy = new Matcher(next.words);
    engine.engine.setPolicy(policy, ReloadMode.cut, 0);
    ledger.onPolicy(next, { hits: policy.hits });
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
    const ledger = new RuleHitLedger(
      policy,
      { hits: matcher.hits },
      {
        nowMs: () => 4_000_000,
        wallClockOf: (thenMs) => origin + thenMs,
      },
    );
    matcher.hits.lastMs[0] = 5;
    ledger.collect();
    origin = 2 ** 32;
    const { template, direction, rule } = policy.rules[0]!;
    expect(ledger.of(template, direction, rule)).toMatchObject({ lastHitMs: 5 });
  });
});

describe('over the end of the process', () => {
  /** What the files of the process before hold, and what this one publishes: the shape of worker/hit-file.ts, without a file. */
  function processOf(policy: CompiledPolicy, nowMs: number, before?: HitsBefore) {
    const matcher = new Matcher(policy.words);
    let left: HitsBefore | undefined;
    const warnings: string[] = [];
    const ledger = new RuleHitLedger(
      policy,
      {
        hits: matcher.hits,
        before,
        publish: (keys, kept) => {
          const text = Buffer.from(keys).toString('latin1');
          const rules = kept.counts.length;
          left = {
            keys: Array.from({ length: rules }, (_, index) =>
              text.slice(index * 16, index * 16 + 16),
            ),
            kept: structuredClone(kept),
            hits: matcher.hits,
            damaged: 0,
          };
        },
      },
      { nowMs: () => nowMs, wallClockOf: (thenMs) => 900_000 + thenMs },
      (message) => warnings.push(message),
    );
    const told = (index: number) => {
      const { template, direction, rule } = policy.rules[index]!;
      return ledger.of(template, direction, rule);
    };
    return { ledger, hits: matcher.hits, told, left: () => left!, warnings };
  }

  it('a rule keeps its hits, its last one, and since when they count; one that is new does not', () => {
    const first = processOf(compile(1, [dns, ntp]), 1_000_000);
    first.hits.counts.set([3, 4]);
    first.hits.lastMs.set([200_000, 0]);
    const second = processOf(compile(1, [office, ntp, dns]), 2_000_000, first.left());
    expect([0, 1, 2].map(second.told)).toEqual([
      { hits: 0, sinceMs: 2_000_000 },
      { hits: 4, sinceMs: 1_000_000 },
      { hits: 3, sinceMs: 1_000_000, lastHitMs: 1_100_000 },
    ]);
    second.hits.counts[2] = 1;
    second.hits.lastMs[2] = 300_000;
    // What the second one adds is not counted again by the third.
    const third = processOf(compile(1, [dns]), 3_000_000, second.left());
    expect(third.told(0)).toEqual({ hits: 4, sinceMs: 1_000_000, lastHitMs: 1_200_000 });
  });

  it('rules that are alike are one rule there, too', () => {
    const first = processOf(compile(1, [dns, dns]), 1_000_000);
    first.hits.counts.set([3, 4]);
    const second = processOf(compile(1, [dns, ntp, dns]), 2_000_000, first.left());
    expect(second.told(0)).toMatchObject({ hits: 7, sinceMs: 1_000_000 });
    expect(second.told(2)).toMatchObject({ hits: 7 });
    expect(second.told(1)).toMatchObject({ hits: 0 });
  });

  it('no last hit lies in the future', () => {
    const first = processOf(compile(1, [dns]), 1_000_000);
    first.hits.lastMs[0] = 999_999_999;
    const second = processOf(compile(1, [dns]), 2_000_000, first.left());
    expect(second.told(0)).toMatchObject({ lastHitMs: 2_000_000 });
  });

  it('what is damaged begins anew, and a sentence says so', () => {
    const first = processOf(compile(1, [dns, ntp]), 1_000_000);
    first.hits.counts.set([3, 4]);
    const left = first.left();
    const damaged: HitsBefore = { ...left, keys: [undefined, left.keys[1]], damaged: 1 };
    const second = processOf(compile(1, [dns, ntp]), 2_000_000, damaged);
    expect(second.told(0)).toEqual({ hits: 0, sinceMs: 2_000_000 });
    expect(second.told(1)).toMatchObject({ hits: 4 });
    expect(second.warnings).toEqual(['hits of rules were damaged, and begin anew: those of 1']);
  });

  it('what was left of something else is not used, and a sentence says why', () => {
    const matcher = new Matcher(compile(1, [dns]).words);
    const warnings: string[] = [];
    const clocks = { nowMs: () => 1, wallClockOf: () => 1 };
    const inForce = { hits: matcher.hits, before: 'x: its header is damaged' };
    new RuleHitLedger(compile(1, [dns]), inForce, clocks, (message) => warnings.push(message));
    expect(warnings).toEqual(['hits of an earlier process are not used: x: its header is damaged']);
  });
});
