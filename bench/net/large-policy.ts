/**
 * A large configuration: 10,000 servers with three random templates each, 1,000 templates with 50 rules each. With groups, 200
 * of the rules name the servers of a role by label; written out, the same rules have those servers' addresses.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { serverAddress } from './addresses.ts';
import { port } from './policy.ts';

const largeCounts = { servers: 10_000, templates: 1000, rules: 50, roles: 20 } as const;

/** How the rules that are about the servers of a role say so. */
export type RolePeers = 'labels' | 'written';

/** One template of five has such a rule. */
const roleEvery = 5;

function roleOf(server: number): string {
  return `r-${server % largeCounts.roles}`;
}

/** The first one is where the traffic goes. */
function addressOfServer(server: number): string {
  if (server === 0) return serverAddress;
  return `172.${16 + (server >> 16)}.${(server >> 8) & 255}.${server & 255}`;
}

/** The same numbers each time. */
function* randomNumbers(): Generator<number, never> {
  let state = 0x2545f491;
  for (;;) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    yield state >>> 0;
  }
}

function templatesOfServers(): readonly number[][] {
  const random = randomNumbers();
  return Array.from({ length: largeCounts.servers }, (_, server) => {
    // The first server has one that the traffic may use.
    const chosen = new Set<number>(server === 0 ? [0] : []);
    while (chosen.size < 3) chosen.add(random.next().value % largeCounts.templates);
    return [...chosen];
  });
}

function ruleLine(template: number, rule: number, peers: RolePeers): string {
  if (rule === 0 && template % roleEvery === 0) {
    const role = (template / roleEvery) % largeCounts.roles;
    const servers = Array.from({ length: largeCounts.servers }, (_, server) => server);
    const sources =
      peers === 'labels'
        ? [`"label:role=r-${role}"`]
        : servers.filter((server) => roleOf(server) === `r-${role}`).map(addressOfServer);
    return `  - { protocol: tcp, ports: [5432], sources: [${sources.join(', ')}] }\n`;
  }
  const source = `10.${template & 255}.${rule + 64 * (template >> 8)}.0/24`;
  return `  - { protocol: tcp, ports: [${1 + rule}, ${1000 + template}], sources: [${source}] } # by hand\n`;
}

/** What the traffic needs of template `t-0`, in the place of other rules. */
const forTraffic: Readonly<Record<number, string>> = {
  1: '  - { protocol: icmp }\n',
  2: `  - { protocol: udp, ports: [${port.udp}] }\n`,
};

/** Templates by name: the texts of their files. */
function largeTemplates(peers: RolePeers): ReadonlyMap<string, string> {
  return new Map(
    Array.from({ length: largeCounts.templates }, (_, template) => {
      const rules = Array.from({ length: largeCounts.rules }, (_, rule) =>
        template === 0 && rule in forTraffic ? forTraffic[rule]! : ruleLine(template, rule, peers),
      );
      return [`t-${template}`, `# ${template}\ninbound:\n${rules.join('')}`];
    }),
  );
}

function largeServers(): string {
  const servers = templatesOfServers().map(
    (templates, server) =>
      `  - name: s-${server}\n    addresses: [${addressOfServer(server)}]\n` +
      `    templates: [${templates.map((template) => `t-${template}`).join(', ')}]\n` +
      `    labels: { role: ${roleOf(server)} }\n`,
  );
  return `servers:\n${servers.join('')}`;
}

export function writeLargeConfig(config: string, gateway: string, peers: RolePeers): void {
  mkdirSync(join(config, 'templates'), { recursive: true });
  writeFileSync(join(config, 'gateway.yaml'), gateway);
  for (const [name, text] of largeTemplates(peers)) {
    writeFileSync(join(config, `templates/${name}.yaml`), text);
  }
  writeFileSync(join(config, 'servers.yaml'), largeServers());
}
