/**
 * The real systemd-networkd in the gateway's namespace. When it configures an interface, it deletes every rule and route that it
 * does not know: on a host at each start, for udev announces every interface then; without udev, as here, for one that appears.
 *
 * `netplan apply` and `sysctl --system` do their work on a machine with a whole systemd, in the same namespace.
 */
import { existsSync } from 'node:fs';
import { copyFile, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { DebianMachine, whyNoMachine } from '../support/debian-machine.ts';
import { db, FirewallLab, obstacle, openConfig, repository, web } from '../support/firewall.ts';
import { ping, tcp, whatPasses } from '../support/probes.ts';
import { Watch } from '../support/watch.ts';

const networkd = '/usr/lib/systemd/systemd-networkd';
const missing = existsSync(networkd) ? undefined : `${networkd} is missing (Debian: systemd)`;
if (missing !== undefined) console.log(`tests with systemd-networkd do not run: ${missing}`);

const noNetplan = existsSync('/usr/sbin/netplan')
  ? await whyNoMachine()
  : 'netplan is missing (Debian: netplan.io)';
if (noNetplan !== undefined) console.log(`the test with netplan does not run: ${noNetplan}`);

/**
 * In the machine: networkd runs, then netplan gives it an interface, and a file of sysctls says that this is no router.
 *
 * `netplan apply` has the kernel announce every interface, which needs a /sys that can be written; networkd takes one that it
 * cannot write for a machine without udev. Without 99-default.link no cable gets another MAC address,
 * which its peer would have to learn.
 */
const prepare = `
ip link add late0 type veth peer name late1
ip link set late1 up
mount -o remount,rw /sys
ln -s /dev/null /etc/systemd/network/99-default.link
cd /run/systemd/system
rm systemd-networkd.service
mkdir systemd-networkd.service.d
printf '[Service]\\nReadOnlyPaths=/sys\\n' >systemd-networkd.service.d/sys.conf
systemctl daemon-reload
systemctl start systemd-networkd
mkdir -p /etc/netplan
(umask 077; cat >/etc/netplan/10-late.yaml) <<.
network:
  renderer: networkd
  ethernets:
    late0: { addresses: [192.0.2.1/24], link-local: [] }
.
echo net.ipv4.ip_forward=0 >/etc/sysctl.d/99-no-router.conf
`;

/** $1: a directory that becomes /run/systemd. The rest of /run is hidden: there is no bus, and no udev. */
const start = `
mount -o remount,ro,bind /sys 2>/dev/null || mount -t sysfs -o ro sysfs /sys
mkdir -p "$1/netif" && chown -R systemd-network: "$1/netif"
mkdir /mnt/systemd && mount --bind "$1" /mnt/systemd
mount -t tmpfs tmpfs /run && mkdir /run/systemd && mount --bind /mnt/systemd /run/systemd
exec ${networkd}
`;

describe.skipIf(obstacle !== undefined || missing !== undefined)('beside systemd-networkd', () => {
  let firewall: FirewallLab;
  let arrivals: () => Promise<number>;

  beforeEach(async () => {
    firewall = await FirewallLab.started({
      ...openConfig,
      servers: [
        { name: 'web', addresses: [web], templates: ['open'] },
        { name: 'db', addresses: [db], templates: [] },
      ],
    });
    arrivals = await firewall.countArrivals('db');
    firewall.lab.spawn('client', ['ping', '-i', '0.01', '-q', db]);
  });
  afterEach(() => firewall.close());

  /** Starts it, and lets an interface appear that it configures. */
  async function configureInterface(withDropIn: boolean): Promise<void> {
    const { lab } = firewall;
    const directory = join(lab.directory, 'systemd');
    await mkdir(join(directory, 'network'), { recursive: true });
    await mkdir(join(directory, 'networkd.conf.d'));
    const match = '[Match]\nName=late*\n[Network]\nLinkLocalAddressing=no\nIPv6AcceptRA=no\n';
    await writeFile(join(directory, 'network/late.network'), `${match}Address=192.0.2.1/24\n`);
    if (withDropIn) {
      const dropIn = '50-tunwall-networkd.conf';
      const source = join(repository, 'scripts/systemd', dropIn);
      await copyFile(source, join(directory, 'networkd.conf.d', dropIn));
    }
    const command = ['mount -t tmpfs tmpfs /mnt', start].join('\n');
    lab.spawn('gateway', ['unshare', '-m', 'bash', '-ec', command, '-', directory]);
    await firewall.until('networkd runs', () =>
      Promise.resolve(existsSync(join(directory, 'netif/state'))),
    );
    await lab.ip('gateway', 'link', 'add', 'late0', 'type', 'veth', 'peer', 'name', 'late1');
    await firewall.until('networkd has configured late0', async () =>
      (await lab.ip('gateway', 'address', 'show', 'dev', 'late0')).includes('192.0.2.1'),
    );
  }

  async function expectAllRight(): Promise<void> {
    await firewall.until('the gateway is right', async () => {
      const command = [process.execPath, `${repository}/dist/main.js`, 'gateway', 'status'];
      return (await firewall.lab.exec('gateway', command)).code === 0;
    });
    const probes = [ping('client', web), tcp('client', web, 80)];
    // Until then networkd may have deleted them once more.
    await firewall.until(
      'allowed traffic passes',
      async () => (await whatPasses(firewall, probes)).length === probes.length,
    );
    expect(await arrivals()).toBe(0);
  }

  it('the watch puts back what it deletes', async () => {
    const watch = await Watch.started(firewall);
    await configureInterface(false);
    await firewall.until('rules are repaired', async () =>
      (await watch.repairs()).includes('rule 20'),
    );
    await expectAllRight();
  });

  it('with our drop-in it deletes nothing', async () => {
    const watch = await Watch.started(firewall);
    await configureInterface(true);
    await expectAllRight();
    expect((await watch.repairs()).filter((what) => /^(rule|table)/.test(what))).toEqual([]);
  });

  it.skipIf(noNetplan !== undefined)(
    'the watch puts back what netplan apply and sysctl --system change',
    async () => {
      const watch = await Watch.started(firewall);
      const { lab } = firewall;
      onTestFinished(() => DebianMachine.removeGroups(lab.tag));
      const machine = await DebianMachine.start(lab, 'gateway');
      await machine.must('sh', '-ec', prepare);
      for (const [command, repaired] of [
        ['netplan apply', 'rule 20'],
        // It fails at what belongs to the whole machine.
        ['sysctl --system || true', 'net.ipv4.ip_forward'],
      ] as const) {
        const before = (await watch.repairs()).length;
        await machine.must('sh', '-c', command);
        await firewall.until(`what ${command} has done is repaired`, async () =>
          (await watch.repairs()).slice(before).includes(repaired),
        );
        await expectAllRight();
      }
    },
  );
});
