/** Many changes of one file: its text is read and edited once, whatever their number. Counted, and never timed. */
import fc from 'fast-check';
import { afterAll, beforeEach, expect, it, vi } from 'vitest';
import { validateSet } from '../../../../src/policy/address-set.ts';
import { validateTemplate } from '../../../../src/policy/validate.ts';
import { Draft } from '../../../../src/control/store/draft.ts';
import { Documents, setForm } from '../../../../src/control/store/documents.ts';
import { DraftLists } from '../../../../src/control/store/draft-lists.ts';
import type { Operation } from '../../../../src/control/store/store.ts';
import { seed } from '../../../support/seed.ts';
import { TestDirectory } from '../../../support/stores.ts';

/** Texts that were read; bodies are not among them. */
let read = 0;

vi.mock('../../../../src/policy/validate.ts', async (load) => {
  const original = await load<typeof import('../../../../src/policy/validate.ts')>();
  const counted: typeof original.validateTemplate = (...[name, file, content]) => {
    if (typeof content === 'string') read++;
    return original.validateTemplate(name, file, content);
  };
  return { ...original, validateTemplate: counted };
});

beforeEach(() => {
  read = 0;
});

let directory: TestDirectory | undefined;
afterAll(() => directory?.remove());

/** Rules with comments above and behind them, which have to go where their rules go. */
const rulesText = (count: number): string =>
  `inbound:\n${Array.from({ length: count }, (_, at) => `  # above ${at + 1}\n  - { protocol: tcp, ports: [${at + 1}] } # behind ${at + 1}\n`).join('')}`;

async function draftOf(text: string): Promise<Draft> {
  directory ??= await TestDirectory.create({ 'servers.yaml': 'servers: []\n' });
  const { value } = validateTemplate('web', '', text);
  const snapshot = { ...(await (await directory.store()).read()), templates: [value!] };
  read = 0;
  return new Draft({
    ...{ snapshot, templates: new Map([['web', text]]), sets: new Map(), lists: new Map() },
    version: () => Promise.reject(new Error('not asked')),
  });
}

type RuleOperation = Extract<Operation, { readonly template: string }>;
const inWeb = { template: 'web', direction: 'inbound' } as const;
const tcp = (port: number): object => ({ protocol: 'tcp', ports: [port] });

it('a thousand rules of two thousand moved, replaced, removed and added', async () => {
  const draft = await draftOf(rulesText(2000));
  const operations = Array.from({ length: 1000 }, (_, at): RuleOperation => {
    const rule = tcp(10_000 + at);
    const kinds: RuleOperation[] = [
      { ...inWeb, kind: 'move-rule', index: at, to: 1999 - at },
      { ...inWeb, kind: 'replace-rule', index: 2000 - at, rule },
      { ...inWeb, kind: 'remove-rule', index: at },
      { ...inWeb, kind: 'add-rule', index: 0, rule },
    ];
    return kinds[at % 4]!;
  });
  await draft.apply(operations);
  expect(draft.failures).toEqual([]);
  expect(draft.templates.value('web')!.inbound).toHaveLength(2000);
  expect(read).toBe(1);
  // A rule that was moved, and then replaced, has its comments.
  expect(draft.templates.text('web')).toContain(
    '  # above 1\n  - { protocol: tcp, ports: [10001] } # behind 1\n',
  );
});

it('many changes at once are the same text as one after the other', async () => {
  const index = fc.nat({ max: 7 });
  const port = fc.integer({ min: 100, max: 65_535 });
  const operation = fc.oneof(
    fc.record({ kind: fc.constant('move-rule' as const), index, to: index }),
    fc.record({ kind: fc.constant('remove-rule' as const), index }),
    fc.record({ kind: fc.constant('replace-rule' as const), index, rule: port.map(tcp) }),
    fc.record({ kind: fc.constant('add-rule' as const), index, rule: port.map(tcp) }),
  );
  const different = fc.uniqueArray(operation, {
    maxLength: 12,
    selector: (each) => ('rule' in each ? JSON.stringify(each.rule) : each),
  });
  await fc.assert(
    fc.asyncProperty(different, async (wanted) => {
      const operations = wanted.map((each): RuleOperation => ({ ...inWeb, ...each }));
      const together = await draftOf(rulesText(6));
      await together.apply(operations);
      let text = rulesText(6);
      for (const each of operations) {
        const single = await draftOf(text);
        await single.apply([each]);
        text = single.templates.text('web');
      }
      expect(together.templates.text('web')).toBe(text);
    }),
    { seed, numRuns: 25 },
  );
});

it('a thousand times some addresses; what each finds is what those before left', () => {
  let texts = 0;
  const validate: typeof setForm.validate = (...file) => {
    texts++;
    return setForm.validate(...file);
  };
  const text = 'addresses: [10.0.0.1] # first\n';
  const { value } = validateSet('office', '', text);
  const sets = new Documents({ ...setForm, validate }, new Map([['office', text]]), [value!]);
  const lists = new DraftLists(new Map(), sets);
  const change = (add: string[], remove: string[] = []): string[] =>
    lists.changeAddresses('office', { add, remove }).map(({ path }) => path);
  for (let index = 0; index < 1000; index++) {
    const [high, low] = [index >> 8, index & 255];
    expect(change([`10.1.${high}.${low}`, `10.2.${high}.${low}`, '10.0.0.1/32'])).toEqual([]);
  }
  expect(change([], ['10.1.0.7', '10.9.9.9'])).toEqual(['remove[1]']);
  expect(change(['192.0.2.0/24'], ['10.1.0.7'])).toEqual([]);
  expect(change([], ['10.1.0.7'])).toEqual(['remove[0]']);
  expect(texts).toBe(0);
  const addresses = sets.value('office')!.addresses.map((each) => each.text);
  expect([addresses.length, addresses[0], addresses.at(-1)]).toEqual([
    2001,
    '10.0.0.1',
    '192.0.2.0/24',
  ]);
  expect(addresses).not.toContain('10.1.0.7');
  expect(texts).toBe(1);
});
