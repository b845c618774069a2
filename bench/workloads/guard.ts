/**
 * What the gateway's guard costs the packets: one firewall, with the guard, with the nftables table alone, and with neither.
 *
 * Each round measures a fourth time, again with neither: what these two differ by is the machine's noise. The table and the
 * IPsec default work on the sender's core on a packet's way into the TUN, and on the firewall's on its way out: the CPU of
 * both counts.
 */
import type { Benchmark, Sample, Series } from '../lib/benchmark.ts';
import { interleave } from '../lib/interleave.ts';
import { forwardingTrial, withCpu } from '../net/measure.ts';
import { rulesOf } from '../net/policy.ts';
import { tunwallCommand } from '../net/rig.ts';
import { withSubjects } from '../net/session.ts';
import type { Subject } from '../net/subject.ts';
import { iperf, iperfServe, udpBlast } from '../net/tools.ts';
import { tunwall } from '../net/tunwall.ts';

interface Case {
  readonly name: string;
  readonly up: '--guard' | '--no-guard';
  /** What is undone of what `gateway up` has made. */
  readonly undo: string;
}

const noPolicies = 'ip xfrm policy setdefault fwd accept; ip xfrm policy flush';
/** Settings that were made to pay for the guard. */
const noSettings =
  'sysctl -qw net.ipv4.conf.fw0.accept_local=0 net.ipv4.ip_early_demux=1; tc qdisc delete dev fw0 root';

const none: Case = { name: 'neither', up: '--no-guard', undo: `${noPolicies}; ${noSettings}` };
const again: Case = { ...none, name: 'neither, once more' };
const cases: readonly Case[] = [
  { name: 'guard', up: '--guard', undo: 'true' },
  { name: 'table alone', up: '--guard', undo: noPolicies },
  again,
  none,
];

/** At this rate the firewall has time for all packets, packets/s. */
const commonRate = 100_000;

const figures = {
  cpu: { title: 'CPU per small packet, both cores', unit: 'µs', better: 'lower' },
  into: { title: "CPU per small packet, the sender's core", unit: 'µs', better: 'lower' },
  out: { title: "CPU per small packet, the firewall's core", unit: 'µs', better: 'lower' },
  rate: { title: 'small packets, as fast as they are sent', unit: 'packets/s', better: 'higher' },
  tcp: { title: 'bulk TCP, 1 stream', unit: 'Gb/s', better: 'higher' },
} as const;
const keys = ['cpu', 'into', 'out', 'rate', 'tcp'] as const;
type Key = (typeof keys)[number];

export const guardCost: Benchmark = {
  name: 'guard',
  describe: "CPU and rate of packets with the gateway's guard, its table alone, and neither",
  async run(context) {
    const [ms, seconds] = context.quick ? [1000, 1] : [3000, 3];
    const prepare = async (subject: Subject): Promise<void> => {
      await iperfServe(subject.lab);
      await forwardingTrial(subject, { rate: 0, ms: 1000 });
    };
    await withSubjects(context, [tunwall], { rules: rulesOf() }, prepare, async ([subject]) => {
      if (subject === undefined) return;
      const { lab } = subject;
      const measure = async ({ up, undo }: Case): Promise<Record<Key, Sample>> => {
        await lab.mustExec('gateway', tunwallCommand('gateway', 'up', up));
        await lab.mustExec('gateway', ['sh', '-ec', undo]);
        let into = 0;
        const { rate } = await forwardingTrial(subject, { rate: 0, ms }, async () => {
          const blast = await udpBlast(lab, { rate: 0, ms });
          into = (blast.cpuSeconds / blast.sent) * 1e6;
          return blast;
        });
        const { perPacket } = await forwardingTrial(subject, { rate: commonRate, ms });
        const out = perPacket.cpuUs;
        const tcp = await withCpu(subject, () => iperf(lab, { streams: 1, seconds }));
        return {
          cpu: { value: into + out },
          into: { value: into },
          out: { value: out },
          rate: { value: rate },
          tcp: { value: tcp.result / 1e9, ...tcp.perPacket },
        };
      };
      const series = await interleave(context, 'guard', cases, keys, measure);
      const beside = (all: readonly Series[], name: string): Series[] =>
        [name, none.name].map((one) => all.find(({ subject: of }) => of === one)!);
      for (const key of keys) {
        const { title, unit, better } = figures[key];
        for (const { name } of cases.filter((one) => one !== none)) {
          context.record({
            id: `guard.${key}-${name.replaceAll(/\W+/g, '-')}`,
            title: `${name}: ${title}`,
            unit,
            better,
            series: beside(series[key], name),
            ...(name === again.name && { note: 'What the machine does by itself.' }),
          });
        }
      }
    });
  },
};
