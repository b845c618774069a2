/** Values of options: lists with commas, in which selectors have commas of their own. */
import { expect, test } from 'vitest';
import { collect } from '../../../src/cli/option-values.ts';

test.each<[string, string[]]>([
  ['web', ['web']],
  ['web, ssh,', ['web', 'ssh']],
  ['label:role=web,env!=test', ['label:role=web,env!=test']],
  ['label:region in (hkg, sgp),tier', ['label:region in (hkg, sgp),tier']],
  ['10.0.0.0/8,label:role=web,env', ['10.0.0.0/8', 'label:role=web,env']],
  ['label:role=web,env,server:db-1,10.0.0.7', ['label:role=web,env', 'server:db-1', '10.0.0.7']],
  ['LABEL: role=web,Set: office', ['LABEL: role=web', 'Set: office']],
  ['label:role=web,label:role=db', ['label:role=web', 'label:role=db']],
])('%s', (text, parts) => {
  expect(collect(text, undefined)).toEqual(parts);
  expect(collect(text, ['before'])).toEqual(['before', ...parts]);
});
