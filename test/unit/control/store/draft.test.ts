/** Many additions to one file: its text is read and edited once, whatever their number. Counted, and never timed. */
import { expect, it } from 'vitest';
import { validateSet } from '../../../../src/policy/address-set.ts';
import { validateTemplate } from '../../../../src/policy/validate.ts';
import { Documents, setForm, templateForm } from '../../../../src/control/store/documents.ts';
import { DraftLists } from '../../../../src/control/store/draft-lists.ts';
import { webText } from '../../../support/stores.ts';

it('a thousand rules', () => {
  let read = 0;
  const validate: typeof templateForm.validate = (...file) => {
    read++;
    return templateForm.validate(...file);
  };
  const { value } = validateTemplate('web', '', webText);
  const documents = new Documents({ ...templateForm, validate }, new Map([['web', webText]]), [
    value!,
  ]);
  for (let port = 1; port <= 1000; port++) {
    const content = documents.content('web');
    const inbound = [...(content['inbound'] as unknown[]), { protocol: 'udp', ports: [port] }];
    documents.editLater('web', { ...content, inbound });
  }
  expect(read).toBe(0);
  expect(documents.value('web')!.inbound).toHaveLength(1002);
  expect(read).toBe(1);
  // What was there stays as it was written.
  expect(documents.text('web').slice(0, webText.length)).toBe(webText);
  const { causes } = documents;
  expect([...causes]).toEqual([['web', { action: 'edit' }]]);
});

it('a thousand times some addresses; what each finds is what those before left', () => {
  let read = 0;
  const validate: typeof setForm.validate = (...file) => {
    read++;
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
  expect(read).toBe(0);
  const texts = sets.value('office')!.addresses.map((each) => each.text);
  expect([texts.length, texts[0], texts.at(-1)]).toEqual([2001, '10.0.0.1', '192.0.2.0/24']);
  expect(texts).not.toContain('10.1.0.7');
  expect(read).toBe(1);
});
