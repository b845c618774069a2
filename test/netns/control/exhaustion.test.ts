/** A firewall with few descriptors, while a stranger opens as many requests as possible and ends none of them. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { FirewallLab, db, obstacle } from '../support/firewall.ts';

/** Far more than there are descriptors. */
const stranger = `
const { connect } = require('node:net');
const head = 'POST /v1/session HTTP/1.1\\r\\nHost: localhost\\r\\nContent-Type: application/json\\r\\nContent-Length: 9\\r\\n\\r\\n{';
let open = 0;
for (let times = 0; times < 620; times++) {
  const socket = connect(8740, '127.0.0.1', () => socket.write(head));
  socket.on('error', () => {}).on('close', () => ++open === 400 && console.log('refused')).resume();
}
setTimeout(() => {}, 1e9);
`;

describe.skipIf(obstacle !== undefined)('a stranger who ends no request', () => {
  let firewall: FirewallLab;
  const templates = { web: { inbound: [{ protocol: 'tcp', ports: [80] }] } } as const;
  const servers = [{ name: 'db', addresses: [db], templates: ['web'] }];

  beforeAll(async () => {
    firewall = await FirewallLab.create({ templates, servers });
    const { lab, configDirectory } = firewall;
    firewall.write({
      ...{ templates, servers },
      gateway: { api: { socket: join(lab.directory, 'control.sock') } },
    });
    const run = [process.execPath, 'dist/main.js', 'run', '--config', configDirectory];
    lab.spawn('gateway', ['bash', '-c', 'ulimit -n 256; exec "$@"', '--', ...run], 'ignore');
    await vi.waitUntil(async () => (await status()) !== undefined, { timeout: 60_000 });
  });
  afterAll(async () => {
    await firewall.close();
  });

  /** What the control socket says; `undefined` without an answer. */
  async function status(): Promise<{ epoch: number; watchError?: string } | undefined> {
    const { lab } = firewall;
    const { stdout } = await lab.exec('gateway', [
      ...['curl', '-s', '--max-time', '10', '--unix-socket', join(lab.directory, 'control.sock')],
      'http://localhost/v1/status',
    ]);
    return stdout === '' ? undefined : (JSON.parse(stdout) as { epoch: number });
  }

  it('leaves the control socket, and the edits of files', async () => {
    const attack = firewall.lab.spawn('gateway', [process.execPath, '-e', stranger], 'pipe');
    await new Promise((resolve) => attack.stdout!.once('data', resolve));
    const before = (await status())!;
    expect(before.watchError).toBeUndefined();
    firewall.write({
      templates: { web: { inbound: [{ protocol: 'tcp', ports: [443] }] } },
      servers,
      gateway: { api: { socket: join(firewall.lab.directory, 'control.sock') } },
    });
    await vi.waitUntil(async () => (await status())!.epoch > before.epoch, { timeout: 60_000 });
    attack.kill();
  });
});
