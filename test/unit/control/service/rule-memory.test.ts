/** Rules by index and epoch, compared with a model that keeps every policy. */
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { RuleMemory } from '../../../../src/control/service/rule-memory.ts';
import { PolicyCompiler } from '../../../../src/policy/compile.ts';
import type { CompiledPolicy } from '../../../../src/policy/compile.ts';
import type { Template } from '../../../../src/policy/types.ts';
import { seed } from '../../../support/seed.ts';

/** Templates by the number of their rules; 0: there is none. */
const policies = fc.array(fc.array(fc.nat(3), { minLength: 1, maxLength: 4 }), {
  minLength: 1,
  maxLength: 5,
});

function templatesOf(counts: readonly number[], before: readonly Template[]): Template[] {
  return counts.flatMap((count, at): Template[] => {
    const name = `t${at}`;
    const same = before.find((each) => each.name === name && each.inbound.length === count);
    if (count === 0) return [];
    const inbound = Array.from({ length: count }, (_, rule) => ({
      protocol: 'tcp' as const,
      ports: [{ from: rule + 1, to: rule + 1 }],
      log: rule === 1,
    }));
    return [same ?? { name, inbound, outbound: [] }];
  });
}

it('says what each of the last policies had under an index, and nothing wrong of older ones', () => {
  fc.assert(
    fc.property(policies, (given) => {
      const compiler = new PolicyCompiler();
      const past: CompiledPolicy[] = [];
      let templates: Template[] = [];
      let memory: RuleMemory | undefined;
      given.forEach((counts, at) => {
        templates = templatesOf(counts, templates);
        const policy = compiler.compile({ templates, servers: [] }, at + 1);
        if (memory === undefined) memory = new RuleMemory(policy);
        else memory.onCompiled(policy);
        const before = past.at(-1);
        if (before !== undefined) compiler.release(before);
        past.push(policy);
      });
      for (const { epoch, rules } of past) {
        for (const [index, place] of rules.entries()) {
          const said = memory!.ruleOf(index, epoch, false);
          const right = place && {
            template: place.template,
            direction: place.direction,
            index: place.position,
            log: place.rule.log === true,
          };
          // Of a flow that is as old as that, it may have been forgotten.
          if (epoch > given.length - 4) expect(said).toEqual(right);
          else expect([right, undefined]).toContainEqual(said);
          const had = new Set(past.map((each) => each.rules[index]).filter((each) => each));
          const spared = memory!.ruleOf(index, given.length, true);
          if (had.size !== 1) expect(spared).toBeUndefined();
        }
      }
      expect(memory!.ruleOf(-1, 1, false)).toBeUndefined();
      expect(memory!.ruleOf(99, 1, false)).toBeUndefined();
    }),
    { seed, numRuns: 300 },
  );
});
