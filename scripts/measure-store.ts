/**
 * How long an edit takes in a large configuration: 1,000 servers, 200 templates with 50 rules each; and how long the API takes
 * to list it. Prints medians, of time that passed and of time that this process computed (the rest is the disk, and other
 * programs).
 *
 *     node --import tsx scripts/measure-store.ts
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Api } from '../src/api/api.ts';
import type { Observer } from '../src/api/context.ts';
import { offlineControlPlane } from '../src/api/offline.ts';
import { buildApi } from '../src/api/server.ts';
import { serverBody, templateBody } from '../src/policy/bodies.ts';
import { compilePolicy } from '../src/policy/compile.ts';
import { FileStore } from '../src/store/file-store.ts';
import type { Operation, Snapshot } from '../src/store/store.ts';

const counts = { servers: 1000, templates: 200, rules: 50, runs: 15 };
const actor = { name: 'measure', via: 'cli' } as const;
const directory = await mkdtemp(join(tmpdir(), 'tunwall-measure-'));

async function fill(): Promise<void> {
  await mkdir(join(directory, 'templates'));
  for (let t = 0; t < counts.templates; t++) {
    const rules = Array.from(
      { length: counts.rules },
      (_, r) =>
        `  - { protocol: tcp, ports: [${1 + r}, ${1000 + t}], sources: [10.${t}.${r}.0/24], comment: rule ${r} } # by hand`,
    );
    await writeFile(
      join(directory, `templates/t-${t}.yaml`),
      `description: Number ${t}\ninbound:\n${rules.join('\n')}\n`,
    );
  }
  const servers = Array.from({ length: counts.servers }, (_, s) => {
    const templates = [0, 67, 133].map((step) => `t-${(s + step) % counts.templates}`).join(', ');
    return `  - name: s-${s}\n    addresses: [172.16.${s >> 8}.${s & 255}]\n    templates: [${templates}] # three\n`;
  });
  await writeFile(join(directory, 'servers.yaml'), `servers:\n${servers.join('')}`);
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[values.length >> 1]!;
}

async function measure(
  name: string,
  work: (run: number) => Promise<Snapshot | undefined>,
): Promise<void> {
  const total: number[] = [];
  const busy: number[] = [];
  const compile: number[] = [];
  for (let run = 0; run < counts.runs; run++) {
    const startMs = performance.now();
    const cpu = process.cpuUsage();
    const snapshot = await work(run);
    total.push(performance.now() - startMs);
    const { user, system } = process.cpuUsage(cpu);
    busy.push((user + system) / 1000);
    if (snapshot === undefined) continue;
    const compileMs = performance.now();
    compilePolicy(snapshot.templates, snapshot.servers, run + 1);
    compile.push(performance.now() - compileMs);
  }
  const and = compile.length > 0 ? `, and compiling it ${median(compile).toFixed(0)} ms` : '';
  const worst = Math.max(...total).toFixed(0);
  console.log(
    `${name.padEnd(34)} ${median(total).toFixed(0)} ms (worst ${worst}), computing ${median(busy).toFixed(0)} ms${and}`,
  );
}

/** Answers from a snapshot that is held, as a firewall gives them. */
async function measureApi(store: FileStore): Promise<void> {
  const held = await store.read();
  const controlPlane = {
    ...offlineControlPlane(store, { version: '', configDirectory: directory }),
    snapshot: () => Promise.resolve(held),
  };
  // Every rule has hits, so that they are added up.
  const observer = { ruleHits: () => ({ of: () => 1 }) } as unknown as Observer;
  const context = { store, controlPlane, observer, hosts: [], onWarning: console.error };
  const startMs = performance.now();
  const api: Api = await buildApi(context, { listener: 'socket' });
  console.log(`building the API                   ${(performance.now() - startMs).toFixed(0)} ms`);
  for (const url of [
    '/v1/templates',
    '/v1/templates?changed=true',
    '/v1/templates/t-7',
    '/v1/servers',
    '/v1/servers/s-7/rules',
  ]) {
    await measure(`GET ${url}`, async () => {
      const { statusCode } = await api.inject(url);
      if (statusCode !== 200) throw new Error(`${url}: ${statusCode}`);
      return undefined;
    });
  }
  await api.close();
}

try {
  await fill();
  const store = await FileStore.open(directory, { onWarning: console.error });
  const startMs = performance.now();
  await store.read();
  console.log(`first reading                      ${(performance.now() - startMs).toFixed(0)} ms`);
  const historyMs = performance.now();
  await store.recordHandEdits();
  console.log(
    `first history                      ${(performance.now() - historyMs).toFixed(0)} ms`,
  );
  const change = async (...operations: Operation[]): Promise<Snapshot> =>
    (await store.change(actor, () => operations)).snapshot;
  await measure('reading again', async () => {
    await store.read();
    return undefined;
  });
  await measure('listing as JSON', async () => {
    const { templates, servers } = await store.read();
    JSON.stringify([templates.map(templateBody), servers.map(serverBody)]);
    return undefined;
  });
  await measureApi(store);
  await measure('adding a rule', (run) =>
    change({
      ...{ kind: 'add-rule', template: `t-${run}`, direction: 'inbound' },
      rule: { protocol: 'udp', ports: [53] },
    }),
  );
  await measure('assigning a template to a server', (run) =>
    change({ kind: 'assign', servers: [`s-${run}`], templates: [`t-${(run + 5) % 200}`] }),
  );
  await measure('assigning it to a hundred', (run) => {
    const servers = Array.from({ length: 100 }, (_, index) => `s-${index * 10}`);
    return change({ kind: 'assign', servers, templates: [`t-${run + 20}`] });
  });
  await measure('creating a template and a server', (run) =>
    change(
      { kind: 'create-template', name: `n-${run}`, body: { inbound: [{ protocol: 'icmp' }] } },
      {
        ...{ kind: 'create-server', name: `n-${run}` },
        body: { addresses: [`10.9.9.${run + 1}`], templates: [`n-${run}`] },
      },
    ),
  );
} finally {
  await rm(directory, { recursive: true });
}
