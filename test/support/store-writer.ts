/**
 * A process that changes the policy of a configuration directory, to run beside others and to be killed.
 *
 *     store-writer.ts DIRECTORY many NAME      five writers, each with two changes; ends by itself
 *     store-writer.ts DIRECTORY forever        one change after the other; prints the number of each that is done
 */
import { openStore } from '../../src/control/store/open-store.ts';
import type { Operation } from '../../src/control/store/store.ts';

const [directory = '', mode, name = ''] = process.argv.slice(2);
const actor = { name: `writer-${name}`, via: 'cli' } as const;
const store = await openStore(directory, {
  lockPatienceMs: 60_000,
  onWarning: (message) => console.error(message),
});

/** A server with a template of its own, and a rule in the one that all share. */
function operations(id: string, rule: number, address: string): Operation[] {
  const rules = [{ protocol: 'tcp', ports: [rule] }];
  return [
    { kind: 'create-template', name: `t-${id}`, body: { inbound: rules } },
    {
      ...{ kind: 'create-server', name: `s-${id}` },
      body: { addresses: [address], templates: [`t-${id}`, 'shared'] },
    },
    {
      ...{ kind: 'add-rule', template: 'shared', direction: 'inbound' },
      rule: { protocol: 'icmp', comment: id },
    },
  ];
}

async function write(writer: number): Promise<void> {
  for (let round = 0; round < 2; round++) {
    const id = `${name}-${writer}-${round}`;
    const address = `10.${name}.${writer}.${round + 1}`;
    await store.change(actor, () => operations(id, 1000 + writer, address));
  }
}

if (mode === 'many') {
  await Promise.all([0, 1, 2, 3, 4].map(write));
} else {
  // A writer that was killed in the middle of a change may have left its template without its server.
  const { servers, templates: left } = await store.read();
  const last = [...servers, ...left.filter(({ name }) => name.startsWith('t-'))]
    .map(({ name }) => Number(name.slice(2)))
    .reduce((a, b) => Math.max(a, b), 0);
  for (let count = last + 1; ; count++) {
    const old = `t-${count - 3}`;
    await store.change(actor, ({ templates }) => [
      ...operations(String(count), 1 + (count % 60_000), `10.0.${count >> 8}.${count & 255}`),
      ...(templates.some((template) => template.name === old)
        ? ([{ kind: 'destroy-template', name: old, force: true }] as const)
        : []),
      ...(count % 20 === 0
        ? ([{ kind: 'replace-template', name: 'shared', body: { inbound: [] } }] as const)
        : []),
    ]);
    process.stdout.write(`${count}\n`);
  }
}
