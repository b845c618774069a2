/** The summary of a replay: as an object for programs, as tables for people, and warnings. */
import type { ReplayResult } from '../interop/captures/replay-file.ts';
import { formatTime } from '../interop/captures/timestamps.ts';
import type { Text } from '../text/line.ts';
import { formatTable } from '../text/table.ts';

/** Above this number, and this part of the judged packets, checksum drops are not accidental. */
const manyChecksums = { packets: 3, part: 0.02 } as const;

export function replaySummary(file: string, result: ReplayResult): object {
  const { format, packets, bytes, first, last, counts, error } = result;
  return {
    file,
    format,
    packets,
    bytes,
    first: first && formatTime(first),
    last: last && formatTime(last),
    durationSeconds: durationSeconds(result),
    ...counts,
    notes: replayHints(result),
    error: error?.message,
  };
}

export function summaryLines(file: string, result: ReplayResult): Text[] {
  const { format, packets, bytes, first, last, counts } = result;
  const { judged, passed, dropped, fragmentsWaiting, traffic, drops, flows } = counts;
  const times =
    first && last
      ? `, ${formatTime(first)} to ${formatTime(last)} (${durationSeconds(result).toFixed(3)} s)`
      : '';
  const waiting = fragmentsWaiting > 0 ? `, ${fragmentsWaiting} fragments wait` : '';
  const lines: Text[] = [
    `${file}: ${format ?? 'no format'}, ${packets} packets, ${bytes} bytes${times}`,
    `${judged} judged: ${passed} passed, ${dropped} dropped${waiting}`,
  ];
  if (traffic.length > 0) {
    const rows = traffic.map((row) => [
      row.direction,
      row.protocol,
      row.verdict,
      String(row.packets),
      String(row.bytes),
    ]);
    lines.push('', ...formatTable(['direction', 'protocol', 'verdict', 'packets', 'bytes'], rows));
  }
  const reasons = Object.entries(drops).sort(([, a], [, b]) => b - a);
  if (reasons.length > 0) {
    const rows = reasons.map(([reason, count]) => [reason, String(count)]);
    lines.push('', ...formatTable(['drop reason', 'packets'], rows));
  }
  const evicted = Object.entries(flows.evicted).map(([kind, count]) => `${count} ${kind}`);
  const evictions = evicted.length === 0 ? 'none evicted' : `evicted: ${evicted.join(', ')}`;
  lines.push('', `flows: ${flows.opened} opened, ${flows.openAtEnd} open at the end, ${evictions}`);
  return lines;
}

/** Warnings about misleading results, as sentences. */
export function replayHints({ counts }: ReplayResult): string[] {
  const {
    judged,
    skipped,
    drops,
    partialChecksums,
    cutShort,
    cutFragments,
    withoutLength,
    outOfOrder,
  } = counts;
  const hints: string[] = [];
  const badChecksums = drops['bad-checksum'] ?? 0;
  const areMany =
    badChecksums >= manyChecksums.packets && badChecksums > judged * manyChecksums.part;
  if (areMany && partialChecksums > badChecksums / 2) {
    hints.push(
      `${partialChecksums} packets were dropped whose checksum was not completed yet: they were captured on the host ` +
        'that sent them, before its network card would have done so. Try --ignore-checksums.',
    );
  } else if (areMany && cutFragments === 0) {
    hints.push(
      `${badChecksums} packets were dropped for their checksums. If the capture is not to be trusted in that, ` +
        'try --ignore-checksums.',
    );
  }
  if (cutShort > 0) {
    hints.push(
      `${cutShort} packets are cut short by the snap length: they were judged by their headers, without a checksum.`,
    );
  }
  if (cutFragments > 0) {
    hints.push(
      `${cutFragments} of them are fragments. A datagram of such fragments has bytes missing, so it is dropped as ` +
        'bad-checksum whatever the rules say. Capture with a longer snap length (tcpdump -s).',
    );
  }
  if ((drops['truncated'] ?? 0) > 0) {
    hints.push(
      `${drops['truncated']!} packets were dropped as truncated: the file does not have all of their headers. ` +
        'Capture with a longer snap length (tcpdump -s).',
    );
  }
  if (withoutLength > 0) {
    hints.push(
      `${withoutLength} packets have a length field of 0: super-packets of the capturing host (TSO, GRO). ` +
        'They were judged by the length that they had.',
    );
  }
  if (skipped.tooLong > 0) {
    hints.push(
      `${skipped.tooLong} packets are longer than 65,535 bytes: super-packets of the capturing host (BIG TCP), which a TUN ` +
        'device never delivers. They were left out, so what follows in their flows may be out of window.',
    );
  }
  if (skipped.notIp > 0)
    hints.push(`${skipped.notIp} packets are not IP (ARP and the like); they were left out.`);
  if (skipped.linkType > 0) {
    hints.push(
      `${skipped.linkType} packets have a link layer that is not supported; they were left out.`,
    );
  }
  if (outOfOrder > 0) {
    hints.push(
      `${outOfOrder} packets are older than one before them: they were judged at the time of that one.`,
    );
  }
  return hints;
}

function durationSeconds({ first, last }: ReplayResult): number {
  if (first === undefined || last === undefined) return 0;
  return last.seconds - first.seconds + (last.nanoseconds - first.nanoseconds) / 1e9;
}
