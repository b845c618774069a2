/** What the outcome of a conversation says of connections that begin, begin again, or are picked up. */
import { timeTolerance } from './compare.ts';
import type { Outcome } from './compare.ts';
import type { End, Fields } from './conversation.ts';
import { otherEnd, sent } from './conversation.ts';

/** Whether one of the packets of a step, or its only one, has this verdict: `pass` or a drop reason. */
export function includes(verdict: string, wanted: string): boolean {
  return verdict.split('+').includes(wanted);
}

/** The TCP segments before step `end` of which we let anything through. */
export function passedSegments({ conversation, verdicts }: Outcome, end: number): Fields[] {
  return conversation.steps
    .slice(0, end)
    .map(sent)
    .filter(({ kind }, at) => kind === 'tcp' && includes(verdicts[at]!.engine, 'pass'));
}

/** The step that differs, as it was sent. */
export function differing(outcome: Outcome): Fields {
  return sent(outcome.conversation.steps[outcome.difference!.step]!);
}

/** Where a SYN ends; what of its options lies behind its data offset is data. */
function endOfSyn({ seq, length, options, dataOffset = 5 + options.length / 4 }: Fields): number {
  return (seq + length + 1 + 4 * (5 + options.length / 4 - dataOffset)) >>> 0;
}

/** The opener sends another SYN before the first is answered: with a lower number, or the first is answered after all. */
export function synAnew(outcome: Outcome): boolean {
  const segments = passedSegments(outcome, outcome.difference!.step + 1);
  return segments.some((earlier, at) => {
    if (!isSyn(earlier)) return false;
    const behind = segments.slice(at + 1);
    const next = behind.findIndex(
      ({ from, flags, ack }) =>
        from !== earlier.from && flags.includes('S') && ack >>> 0 === endOfSyn(earlier),
    );
    const unanswered = next < 0 ? behind : behind.slice(0, next);
    const later = unanswered.find((each) => isSyn(each) && endOfSyn(each) !== endOfSyn(earlier));
    if (later === undefined) return false;
    const lower = ((endOfSyn(later) - endOfSyn(earlier)) | 0) < 0;
    const answered = behind.some(
      (each) => each.from !== earlier.from && each.ack >>> 0 === endOfSyn(earlier),
    );
    return lower || answered;
  });
}

/** An end that has offered options in a SYN and begins again, with a SYN that has none; it need not have passed. */
export function beganAgainWithoutOptions({ conversation, difference }: Outcome): boolean {
  const syns = conversation.steps
    .slice(0, difference!.step)
    .map(sent)
    .filter(({ kind, flags }) => kind === 'tcp' && flags.includes('S'));
  return syns.some(
    (later, at) =>
      (later.options.length === 0 || later.dataOffset === 5) &&
      syns
        .slice(0, at)
        .some(
          (earlier) =>
            earlier.from === later.from &&
            earlier.options.length > 0 &&
            endOfSyn(earlier) !== endOfSyn(later),
        ),
  );
}

const isSyn = ({ flags }: Fields): boolean => flags.includes('S') && !/[AR]/.test(flags);
export const isReset = ({ flags }: Fields): boolean => flags.includes('R');

/** After a SYN, an RST of the other end that does not acknowledge it. */
export function resetOfBefore(outcome: Outcome): boolean {
  const segments = passedSegments(outcome, outcome.difference!.step + 1);
  const refuses = (reset: Fields, syn: Fields): boolean =>
    // Of a SYN whose lengths are wrong the end is not known here.
    syn.dataOffset === undefined &&
    (syn.totalLengthError ?? 0) === 0 &&
    reset.flags.includes('A') &&
    reset.ack >>> 0 === (syn.seq + syn.length + 1) >>> 0;
  return segments.some(
    (syn, at) =>
      isSyn(syn) &&
      segments
        .slice(at + 1)
        .some((later) => isReset(later) && later.from !== syn.from && !refuses(later, syn)),
  );
}

/** While a SYN waits for its answer, a SYN+ACK of the other end that does not acknowledge it; it need not have passed. */
export function answerOfBefore({ conversation, verdicts, difference }: Outcome): boolean {
  const waiting: Record<End, number | undefined> = { opener: undefined, responder: undefined };
  const steps = conversation.steps.slice(0, difference!.step + 1);
  for (const [at, segment] of steps.map(sent).entries()) {
    const { kind, from, flags, ack } = segment;
    if (kind !== 'tcp' || !flags.includes('S')) continue;
    if (isSyn(segment)) waiting[from] = endOfSyn(segment);
    const asked = waiting[otherEnd(from)];
    if (!flags.includes('A') || asked === undefined) continue;
    if (ack >>> 0 !== asked) return true;
    if (includes(verdicts[at]!.engine, 'pass')) waiting[otherEnd(from)] = undefined;
  }
  return false;
}

/** A SYN of an end that has reset before. (Right behind the RST, it means the same to both.) */
export function synAfterReset(outcome: Outcome): boolean {
  const segments = passedSegments(outcome, outcome.difference!.step + 1);
  return segments.some(
    (reset, at) =>
      isReset(reset) &&
      segments.slice(at + 1).some((later) => isSyn(later) && later.from === reset.from),
  );
}

/** A connection that was picked up begins again: a SYN in it was answered. */
export function pickedUpBegunAgain(outcome: Outcome): boolean {
  const { conversation, difference } = outcome;
  if (!conversation.settings.loose) return false;
  const segments = [...passedSegments(outcome, difference!.step), differing(outcome)];
  return segments.some(
    (syn, at) =>
      isSyn(syn) &&
      segments.slice(0, at).some(({ flags }) => !flags.includes('S')) &&
      segments
        .slice(at + 1)
        .some(
          ({ from, flags, ack }) =>
            from !== syn.from && flags.includes('S') && ack >>> 0 === endOfSyn(syn),
        ),
  );
}

/** What a difference tells of flows. */
function toldFlows(text: string): { flow: string; left: number }[] {
  return text.split('; ').map((told) => {
    const [, flow = told, left = '0'] = /^(.*), (\d+) s$/.exec(told) ?? [];
    return { flow, left: Number(left) };
  });
}

/** Both track the same flows, and which of them differ was picked up and not answered in the window. */
export function pickedUpUnanswered({ difference }: Outcome): boolean {
  const { kind, kernel, engine } = difference!;
  const [theirs, ours] = [toldFlows(kernel), toldFlows(engine)];
  if (kind !== 'flows' || theirs.length !== ours.length) return false;
  return theirs.every(({ flow, left }, at) => {
    const own = ours[at]!;
    const unanswered = / established(?: replied)?$/.test(flow) && left > 120 && own.left <= 120;
    return flow === own.flow && (unanswered || Math.abs(left - own.left) <= timeTolerance);
  });
}
