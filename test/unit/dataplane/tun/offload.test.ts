/** Which super-packets the kernel is asked for, on a clock that the test moves. */
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Offload } from '../../../../src/dataplane/tun/linux-tun.ts';
import {
  OffloadControl,
  firstRetryMs,
  longestRetryMs,
} from '../../../../src/dataplane/tun/offload.ts';

const tcp = Offload.tso4 | Offload.tsoEcn;
const udp = Offload.uso4 | Offload.uso6;
const accepted = Offload.checksum | tcp | udp;

describe('super-packets that the kernel refuses', () => {
  let bits: number[];
  let refusals: [string, number][];
  let control: OffloadControl;
  beforeEach(() => {
    vi.useFakeTimers();
    bits = [];
    refusals = [];
    control = new OffloadControl({
      accepted,
      set: (each) => bits.push(each),
      onRefused: (kind, retryMs) => refusals.push([kind, retryMs]),
    });
  });
  afterEach(() => vi.useRealTimers());

  it('of one kind are turned off, once, and the other kind stays', () => {
    control.refused('tcp');
    control.refused('tcp');
    expect(bits).toEqual([Offload.checksum | udp]);
    expect(refusals).toEqual([['tcp', firstRetryMs]]);
  });

  it('of both kinds are turned off and tried again each at its time', () => {
    control.refused('udp');
    vi.advanceTimersByTime(1000);
    control.refused('tcp');
    expect(bits).toEqual([Offload.checksum | tcp, Offload.checksum]);
    vi.advanceTimersByTime(firstRetryMs - 1001);
    expect(bits).toHaveLength(2);
    vi.advanceTimersByTime(1);
    expect(bits.slice(2)).toEqual([Offload.checksum | udp]);
    vi.advanceTimersByTime(1000);
    expect(bits.slice(3)).toEqual([accepted]);
  });

  it('again and again are tried less and less often, and after good times after a minute', () => {
    for (let time = 0; time < 8; time++) {
      control.refused('tcp');
      vi.advanceTimersByTime(refusals.at(-1)![1]);
      expect(bits.at(-1)).toBe(accepted);
    }
    const minutes = refusals.map(([, retryMs]) => retryMs / 60_000);
    expect(minutes).toEqual([1, 2, 4, 8, 16, 32, 60, 60]);
    vi.advanceTimersByTime(longestRetryMs + 1);
    control.refused('tcp');
    expect(refusals.at(-1)).toEqual(['tcp', firstRetryMs]);
  });

  it('are not tried after the end', () => {
    control.refused('tcp');
    control.stop();
    vi.advanceTimersByTime(longestRetryMs);
    expect(bits).toHaveLength(1);
  });
});
