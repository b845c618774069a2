/** Hits of rules: each flow counts for the rules that have let it open, and a rule that a change keeps, keeps its count. */
import { describe, expect, it } from 'vitest';
import { ReloadMode } from '../../../../src/dataplane/engine/engine.ts';
import { compilePolicy } from '../../../../src/policy/compile.ts';
import type { CompiledPolicy } from '../../../../src/policy/compile.ts';
import { Matcher } from '../../../../src/dataplane/match/matcher.ts';
import { RuleHitLedger } from '../../../../src/control/service/rule-hits.ts';
import { EngineFixture } from '../../../support/engine-fixture.ts';
import { udp } from '../../../support/packets.ts';
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
  const ledger = new RuleHitLedger(first, policy.hits);
  const change = (next: CompiledPolicy): void => {
    policy = new Matcher(next.words);
    engine.engine.setPolicy(policy, ReloadMode.cut, 0);
    ledger.onPolicy(next, policy.hits);
  };
  const rule = (compiled: CompiledPolicy, index: number): number | undefined => {
    const place = compiled.rules[index]!;
    return ledger.of(place.template, place.direction, place.rule);
  };
  return { engine, ledger, change, rule };
}

describe('the hits of a rule', () => {
  it('are the flows that it has opened, not their packets, and not what was refused', () => {
    const policy = compile(1, [dns, ntp]);
    const { engine, rule } = fixture(policy);
    engine.forward(
      udp(client, web, 4000, 53),
      udp(web, client, 53, 4000),
      udp(client, web, 4000, 53),
      udp(client, web, 4001, 53),
      udp(client, web, 4000, 123),
      udp(client, web, 4000, 124),
    );
    expect([rule(policy, 0), rule(policy, 1)]).toEqual([2, 1]);
  });

  it('count on both sides between servers', () => {
    const policy = compile(1, [dns], [ntp, dns]);
    const { engine, rule } = fixture(policy);
    engine.forward(udp(web, db, 4000, 53), udp(web, client, 4000, 123));
    expect([0, 1, 2].map((index) => rule(policy, index))).toEqual([1, 1, 1]);
  });

  it('go over to the next policy with the rule, to whatever place and under whatever comment', () => {
    const first = compile(1, [dns, ntp]);
    const { engine, change, rule, ledger } = fixture(first);
    engine.forward(udp(client, web, 1, 53), udp(client, web, 2, 53), udp(client, web, 3, 123));
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
    engine.forward(udp(client, web, 9, 53), udp(client, web, 9, 1500));
    change(compile(3, [ntp, dns]));
    expect([rule(first, 0), rule(first, 1)]).toEqual([3, 0]);
    // The same words in another template or the other direction are another rule.
    const { rule: words } = first.rulesOf.get('base')![0]!;
    expect(ledger.of('spare', 'inbound', words)).toBe(0);
    expect(ledger.of('base', 'outbound', words)).toBeUndefined();
  });

  it('are those of all rules that say the same', () => {
    const twice = compile(1, [dns, dns]);
    const { engine, change, rule } = fixture(twice);
    engine.forward(udp(client, web, 1, 53));
    expect([rule(twice, 0), rule(twice, 1)]).toEqual([1, 1]);
    const once = compile(2, [dns]);
    change(once);
    expect(rule(once, 0)).toBe(1);
  });
});
