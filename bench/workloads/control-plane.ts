/**
 * What administrators wait for in a large configuration: 1,000 servers, 200 templates with 50 rules each. Answers and
 * edits come through the control socket of a running firewall; an edit is over when the packet threads have taken it.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ApiClient } from '../../src/cli/api-client.ts';
import type { AppliedView } from '../../src/cli/api-types.ts';
import { socketTransport } from '../../src/cli/transport.ts';
import type { Benchmark } from '../lib/benchmark.ts';
import { interleave } from '../lib/interleave.ts';
import type { Measured } from '../lib/interleave.ts';
import { closeLab, openLab } from '../net/rig.ts';
import { startTunwall } from '../net/tunwall.ts';

export const counts = { servers: 1000, templates: 200, rules: 50 };

/** Comments and flow style in the files: what people write, and what edits have to keep. By name. */
export function configFiles(): Map<string, string> {
  const files = new Map<string, string>();
  for (let t = 0; t < counts.templates; t++) {
    const rules = Array.from(
      { length: counts.rules },
      (_, r) =>
        `  - { protocol: tcp, ports: [${1 + r}, ${1000 + t}], sources: [10.${t}.${r}.0/24] } # by hand\n`,
    );
    files.set(`templates/t-${t}.yaml`, `inbound:\n${rules.join('')}`);
  }
  const servers = Array.from({ length: counts.servers }, (_, s) => {
    const templates = [0, 67, 133].map((step) => `t-${(s + step) % counts.templates}`).join(', ');
    return `  - name: s-${s}\n    addresses: [172.16.${s >> 8}.${s & 255}]\n    templates: [${templates}]\n`;
  });
  return files.set('servers.yaml', `servers:\n${servers.join('')}`);
}

function writeConfig(config: string, socket: string): void {
  mkdirSync(join(config, 'templates'), { recursive: true });
  writeFileSync(join(config, 'gateway.yaml'), `api: { socket: ${socket} }\n`);
  for (const [name, text] of configFiles()) writeFileSync(join(config, name), text);
}

const keys = ['templates', 'servers', 'template', 'rule', 'assign'] as const;
type Key = (typeof keys)[number];

const titles: Record<Key, string> = {
  templates: 'control plane: list 200 templates',
  servers: 'control plane: list 1,000 servers',
  template: 'control plane: show a template',
  rule: 'control plane: add a rule, until it is in force',
  assign: 'control plane: assign a template to 100 servers, until it is in force',
};

export async function timed(work: () => Promise<unknown>): Promise<{ value: number }> {
  const started = performance.now();
  await work();
  return { value: performance.now() - started };
}

/** A change whose answer says that packets are judged by it. */
export async function change(client: ApiClient, path: string, body: unknown): Promise<void> {
  const { applied } = await client.change<{ applied: AppliedView }>('POST', path, { body });
  if (!applied.applied) throw new Error(`${path}: not in force: ${applied.pending}`);
}

async function measure(client: ApiClient, round: number): Promise<Measured<Key>> {
  const servers = Array.from({ length: 100 }, (_, index) => `s-${index * 10}`);
  return {
    templates: await timed(() => client.get('/templates')),
    servers: await timed(() => client.get('/servers')),
    template: await timed(() => client.get(`/templates/t-${round}`)),
    rule: await timed(() =>
      change(client, `/templates/t-${round}/rules/inbound`, { protocol: 'udp', ports: [53] }),
    ),
    assign: await timed(() =>
      change(client, '/assignments', { servers, templates: [`t-${round + 20}`] }),
    ),
  };
}

export const controlPlane: Benchmark = {
  name: 'control-plane',
  describe: 'listings and edits of 1,000 servers and 200 templates through a running firewall',
  async run(context) {
    const lab = await openLab();
    try {
      const config = join(lab.directory, 'config');
      const socket = join(lab.directory, 'tunwall.sock');
      writeConfig(config, socket);
      await startTunwall(lab, config, { bothCores: true });
      const client = new ApiClient(socketTransport(socket, { 'tunwall-actor': 'bench' }));
      const subjects = [{ name: 'tunwall' }];
      // The first answers are given before the code for them is compiled.
      await measure(client, counts.templates - 100);
      const series = await interleave(context, 'control plane', subjects, keys, (_, round) =>
        measure(client, round),
      );
      for (const key of keys) {
        context.record({
          id: `control-plane.${key}`,
          title: titles[key],
          unit: 'ms',
          better: 'lower',
          series: series[key],
        });
      }
    } finally {
      await closeLab(lab);
    }
  },
};
