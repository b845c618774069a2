/** What a change would do, for people: what it opens, closes and cuts, then the difference of the files. */
import { formatDuration } from '../text/duration.ts';
import { line } from '../text/line.ts';
import { counted, formatCount } from '../text/numbers.ts';
import { endText } from '../text/packet-text.ts';
import { formatTable } from '../text/table.ts';
import type { ReviewView } from './api-types.ts';
import type { Output } from './output.ts';
import { colouredDiff } from './resource-history.ts';

export function printReview(review: ReviewView, output: Output): void {
  const { diff, opens, closes, warnings, affected, changed } = review;
  if (changed.length === 0) {
    output.print('nothing differs');
    return;
  }
  const said = [
    ...opens.map((each) => line`opens ${each}`),
    ...closes.map((each) => line`closes ${each}`),
    ...affected.map(({ server, reasons }) => line`concerns ${server}: ${reasons.join('; ')}`),
  ];
  for (const each of said) output.print(each);
  printFlowsCut(review, output);
  output.print(colouredDiff(diff.trimEnd(), output));
  for (const warning of warnings) {
    output.error(line`${output.style('yellow', 'warning:')} ${warning}`);
  }
}

function printFlowsCut(review: ReviewView, output: Output): void {
  const { flowsCut, largestFlowsCut = [], cutsClient } = review;
  if (flowsCut === undefined) return;
  const isPart = largestFlowsCut.length < flowsCut;
  const which = isPart ? `; the largest ${largestFlowsCut.length}:` : '';
  output.print(`cuts ${counted(flowsCut, 'live flow')}${which}`);
  if (largestFlowsCut.length > 0) {
    const rows = largestFlowsCut.map((flow) => [
      `  ${flow.protocol}`,
      endText(flow.source, flow.sourcePort, flow.sourceServer),
      endText(flow.destination, flow.destinationPort, flow.destinationServer),
      formatCount(flow.original.bytes + flow.reply.bytes),
      formatDuration(flow.ageSeconds),
    ]);
    output.print(formatTable(['  protocol', 'from', 'to', 'bytes', 'age'], rows));
  }
  if (cutsClient === true) {
    const warning = output.style('yellow', 'warning:');
    output.error(line`${warning} one of them is yours: make the change with --confirm 60s`);
  }
}
