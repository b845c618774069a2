/** Which directory a change locks and writes to, and who comes first. */
import { renameSync, symlinkSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { FileStore } from '../../../../src/control/store/files/file-store.ts';
import type { Operation } from '../../../../src/control/store/store.ts';
import { TestDirectory, alice } from '../../../support/stores.ts';

describe('a path that leads to another directory meanwhile', () => {
  it('a change goes into the directory that is there now', async () => {
    const place = await mkdtemp(join(tmpdir(), 'twt-linked-'));
    const write = async (name: string): Promise<void> => {
      await mkdir(join(place, name, 'templates'), { recursive: true });
      await writeFile(join(place, name, 'templates/web.yaml'), 'inbound: []\n');
      await writeFile(join(place, name, 'servers.yaml'), `servers: [] # ${name}\n`);
    };
    const lead = async (name: string): Promise<void> => {
      await symlink(name, join(place, 'next'));
      await rename(join(place, 'next'), join(place, 'current'));
    };
    await write('one');
    await write('two');
    await lead('one');
    const linked = await FileStore.open(join(place, 'current'), { onWarning: () => undefined });
    const add = (port: number): Operation => ({
      ...{ kind: 'add-rule', template: 'web', direction: 'inbound' },
      rule: { protocol: 'tcp', ports: [port] },
    });
    const text = (name: string): Promise<string> =>
      readFile(join(place, name, 'templates/web.yaml'), 'utf8');
    await linked.change(alice, () => [add(80)]);
    expect(await text('one')).toContain('80');
    await lead('two');
    await linked.change(alice, () => [add(81)]);
    expect([(await text('one')).includes('81'), (await text('two')).includes('81')]).toEqual([
      false,
      true,
    ]);

    // Also in the middle of a change: then it begins anew.
    await lead('one');
    let swapped = false;
    await linked.change(alice, () => {
      if (!swapped) {
        symlinkSync('two', join(place, 'next'));
        renameSync(join(place, 'next'), join(place, 'current'));
      }
      swapped = true;
      return [add(82)];
    });
    expect([(await text('one')).includes('82'), (await text('two')).includes('82')]).toEqual([
      false,
      true,
    ]);
    await rm(place, { recursive: true });
  });
});

it('who waits for the lock comes before a store that changes again and again', async () => {
  const busy = await TestDirectory.create({ 'servers.yaml': 'servers: []\n' });
  const [api, offline] = [await busy.store(), await busy.store()];
  const create = (name: string): Operation => ({ kind: 'create-template', name, body: {} });
  let changes = 0;
  const until = new AbortController();
  // So that there is a place to wait at.
  await api.change(alice, () => [create('first')]);
  const forever = (async () => {
    while (!until.signal.aborted) await api.change(alice, () => [create(`t-${changes++}`)]);
  })();
  for (let count = 0; count < 5; count++) {
    const before = changes;
    await offline.change(alice, () => [create(`offline-${count}`)]);
    // The one in hand, the one that was at the turnstile already, and the one that waits now.
    expect(changes - before).toBeLessThanOrEqual(3);
  }
  until.abort();
  await forever;
  await busy.remove();
});
