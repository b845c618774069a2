/** Bulk TCP: iperf3 from the client to the server, one stream and sixteen; over usual cables, and over such that carry jumbo frames. */
import type { Benchmark, Context } from '../lib/benchmark.ts';
import { interleave } from '../lib/interleave.ts';
import { kernel } from '../net/kernel.ts';
import type { Field } from '../net/kinds.ts';
import { withCpu } from '../net/measure.ts';
import { rulesOf } from '../net/policy.ts';
import { withSubjects } from '../net/session.ts';
import type { SubjectKind } from '../net/subject.ts';
import { iperf, iperfServe } from '../net/tools.ts';
import { tunwall } from '../net/tunwall.ts';

async function measureStreams(
  context: Context,
  name: string,
  what: string,
  kinds: readonly SubjectKind[],
  numbers: readonly number[] = [1, 16],
): Promise<void> {
  const seconds = context.quick ? 1 : 2;
  const options = { rules: rulesOf() };
  const prepare = ({ lab }: { lab: Parameters<typeof iperfServe>[0] }): Promise<void> =>
    iperfServe(lab);
  await withSubjects(context, kinds, options, prepare, async (subjects) => {
    for (const streams of numbers) {
      const title = `${what}, ${streams} stream${streams === 1 ? '' : 's'}`;
      const { rate } = await interleave(context, title, subjects, ['rate'], async (subject) => {
        const { result, perPacket } = await withCpu(subject, () =>
          iperf(subject.lab, { streams, seconds }),
        );
        return { rate: { value: result / 1e9, ...perPacket } };
      });
      context.record({
        id: `${name}-${streams}.rate`,
        title,
        unit: 'Gb/s',
        better: 'higher',
        series: rate,
        note: 'A packet is what enters the gateway: a super-packet counts as one, and so does an ACK.',
      });
    }
  });
}

export const bulkTcp = (field: Field): Benchmark => ({
  name: 'bulk-tcp',
  describe: 'goodput of TCP with 1 and 16 streams (iperf3)',
  run: (context) => measureStreams(context, 'bulk-tcp', 'bulk TCP', field.kinds),
});

interface Links {
  /** MTU of the four ends of the cables. */
  readonly cables: number;
  /** MTU of the device, where it is not what `gateway up` has set. */
  readonly device?: number;
  /** Segments at most in a packet that the client sends. */
  readonly segments: number;
}

/** A subject with other links. */
function withLinks(kind: SubjectKind, what: string, links: Links): SubjectKind {
  const { cables, device, segments } = links;
  const name = `${kind.name}${what}`;
  return {
    ...kind,
    name,
    async start(options) {
      const subject = await kind.start(options);
      const set = async (host: string, link: string, mtu: number): Promise<string> =>
        await subject.lab.ip(host, 'link', 'set', link, 'mtu', String(mtu));
      for (const host of ['client', 'server']) {
        await set(host, 'eth0', cables);
        await set('gateway', host, cables);
      }
      if (device !== undefined) await set('gateway', 'fw0', device);
      await subject.lab.ip('client', 'link', 'set', 'eth0', 'gso_max_segs', String(segments));
      return { ...subject, name };
    },
  };
}

export const jumboFrames: Benchmark = {
  name: 'jumbo-frames',
  describe: 'bulk TCP over cables of 9,000 bytes; and where device or cables have 1,500',
  async run(context) {
    const kinds = (segments: number): SubjectKind[] => [
      withLinks(tunwall, '', { cables: 9000, segments }),
      withLinks(kernel, '', { cables: 9000, segments }),
      withLinks(tunwall, ', device of 1,500', { cables: 9000, device: 1500, segments }),
      withLinks(tunwall, ', cables of 1,500', { cables: 1500, segments }),
    ];
    await measureStreams(context, 'jumbo-frames', 'TCP over jumbo frames', kinds(65535), [1]);
    const each = 'TCP over jumbo frames, each a packet';
    await measureStreams(context, 'jumbo-frames-single', each, kinds(1), [1]);
  },
};
