/** Which segments a condition on TCP flags means: those that open a flow, and those of live flows. */
import type { MatchReader } from './iptables-match.ts';

/** Bits of the flags that decide whether a segment opens a flow, and as iptables names them. */
const openingFlags = ['FIN', 'SYN', 'RST', 'ACK'];
const allFlags = [...openingFlags, 'PSH', 'URG'];

/** Flag sets of real segments, PSH aside (src/dataplane/wire/parse.ts drops all others). */
const realSegments = [
  'SYN',
  'SYN,URG',
  'SYN,ACK',
  'RST',
  'RST,ACK',
  'FIN,ACK',
  'FIN,ACK,URG',
  'ACK',
  'ACK,URG',
];

/** Whether a segment of a live flow can have these flags. */
function isReal(looked: readonly string[], wanted: readonly string[], negated: boolean): boolean {
  return realSegments.some((set) =>
    ['', ',PSH'].some((push) => {
      const flags = (set + push).split(',');
      const matches = looked.every((flag) => flags.includes(flag) === wanted.includes(flag));
      return matches !== negated;
    }),
  );
}

/** A segment opens a flow when of FIN, SYN, RST and ACK only SYN is set; PSH and URG do not matter. */
export function readTcpFlags(rule: MatchReader, mask: string, set: string, negated: boolean): void {
  const flagsOf = (text: string): string[] =>
    text === 'ALL' ? allFlags : text === 'NONE' ? [] : text.split(',');
  const [looked, wanted] = [flagsOf(mask), flagsOf(set)];
  const text = `--tcp-flags ${mask} ${set}`;
  if (rule.has('udp') || rule.has('icmp')) {
    rule.fact(text, negated);
    return;
  }
  // A wanted flag that is not looked at can never be there.
  const opens =
    wanted.every((flag) => looked.includes(flag)) &&
    openingFlags.every(
      (flag) => !looked.includes(flag) || wanted.includes(flag) === (flag === 'SYN'),
    );
  const freely = looked.every((flag) => openingFlags.includes(flag));
  const established = isReal(looked, wanted, negated);
  if (opens && !freely) rule.fact(text, negated);
  else if (opens !== negated) rule.narrow({ established });
  else rule.never('silent', 'segments that open no flow need no rule', established);
}
