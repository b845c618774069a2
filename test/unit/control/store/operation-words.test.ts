/** Operations in words, as the audit log has them: each kind, and bodies that are not what they should be. */
import { expect, test } from 'vitest';
import { operationWords } from '../../../../src/control/store/operation-words.ts';
import type { Operation } from '../../../../src/control/store/store.ts';

const rule = { protocol: 'tcp', ports: [80, '8000-8100'], comment: 'HTTP' };
const inWords = 'protocol tcp, ports 80 8000-8100, comment HTTP';

test.each<[Operation, string]>([
  [
    {
      kind: 'create-template',
      name: 'web',
      body: { inbound: [rule], outbound: [{ protocol: 'all' }] },
    },
    `create template web: inbound ${inWords}; outbound protocol all`,
  ],
  [{ kind: 'create-template', name: 'web', body: {} }, 'create template web without rules'],
  [{ kind: 'create-template', name: 'web', body: null }, 'create template web: null'],
  [
    { kind: 'replace-template', name: 'web', body: { inbound: 7 } },
    'replace template web without rules',
  ],
  [
    { kind: 'replace-template', name: 'web', body: { inbound: [7] } },
    'replace template web: inbound 7',
  ],
  [{ kind: 'clone-template', name: 'web', to: 'shop' }, 'copy template web to shop'],
  [{ kind: 'rename-template', name: 'web', to: 'shop' }, 'rename template web to shop'],
  [{ kind: 'destroy-template', name: 'web' }, 'destroy template web'],
  [{ kind: 'destroy-template', name: 'web', force: true }, 'destroy template web, assigned or not'],
  [{ kind: 'restore-template', name: 'web', version: 3 }, 'roll template web back to version 3'],
  [
    { kind: 'add-rule', template: 'web', direction: 'inbound', rule },
    `add to template web an inbound rule: ${inWords}`,
  ],
  [
    { kind: 'replace-rule', template: 'web', direction: 'outbound', index: 1, rule },
    `replace outbound rule 2 of template web: ${inWords}`,
  ],
  [
    { kind: 'remove-rule', template: 'web', direction: 'inbound', index: 0 },
    'remove inbound rule 1 of template web',
  ],
  [
    { kind: 'move-rule', template: 'web', direction: 'inbound', index: 0, to: 2 },
    'move inbound rule 1 of template web to place 3',
  ],
  [
    {
      kind: 'create-server',
      name: 'a',
      body: { addresses: ['10.0.0.1'], templates: ['web', 'ssh'] },
    },
    'create server a: addresses 10.0.0.1, templates web ssh',
  ],
  [{ kind: 'replace-server', name: 'a', body: undefined }, 'change server a: nothing'],
  [{ kind: 'destroy-server', name: 'a' }, 'destroy server a'],
  [{ kind: 'assign', servers: ['a', 'b'], templates: ['web'] }, 'assign web to a, b'],
  [{ kind: 'unassign', servers: ['a'], templates: ['web', 'ssh'] }, 'remove web, ssh from a'],
])('%j', (operation, words) => {
  expect(operationWords(operation)).toBe(words);
});
