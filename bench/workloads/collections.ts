/** Full collections of the packet thread under full load: there should be none, because it allocates nothing. */
import type { Benchmark } from '../lib/benchmark.ts';
import { forwardingTrial } from '../net/measure.ts';
import { rulesOf } from '../net/policy.ts';
import { withSubjects } from '../net/session.ts';
import type { Subject } from '../net/subject.ts';
import { tcpConnect, tcpServe } from '../net/tools.ts';
import { tunwall } from '../net/tunwall.ts';

export const collections: Benchmark = {
  name: 'collections',
  describe: 'full garbage collections of the packet thread under full load (--trace-gc)',
  async run(context) {
    const seconds = context.quick ? 10 : 60;
    const options = { rules: rulesOf(), traceGc: true };
    const warmUp = ({ lab }: Subject): Promise<unknown> => tcpServe(lab);
    await withSubjects(context, [tunwall], options, warmUp, async ([subject]) => {
      const before = subject!.majorCollections!();
      // Small packets at the sender's speed, and connections, so that flows come and go as well.
      const connecting = tcpConnect(subject!.lab, { concurrency: 16, ms: seconds * 1000 });
      const { rate } = await forwardingTrial(subject!, { rate: 0, ms: seconds * 1000 });
      const { opened } = await connecting;
      context.say(`${Math.round(rate)} packets/s and ${opened} connections in ${seconds} s`);
      context.record({
        id: 'collections.major',
        title: `full collections of the packet thread in ${seconds} s`,
        unit: 'collections',
        better: 'lower',
        series: [
          { subject: 'tunwall', samples: [{ value: subject!.majorCollections!() - before }] },
        ],
        note: 'Measured once. The main thread collects as it likes: it is not on the way of packets.',
      });
    });
  },
};
