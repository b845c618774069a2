/** What a change would do, for people: the difference of the files, then what it opens, closes and cuts. */
import { line } from '../text/line.ts';
import { counted } from '../text/numbers.ts';
import type { ReviewView } from './api-types.ts';
import type { Output } from './output.ts';
import { colouredDiff } from './resource-history.ts';

export function printReview(review: ReviewView, output: Output): void {
  const { diff, opens, closes, warnings, affected, flowsCut, changed } = review;
  if (changed.length === 0) {
    output.print('nothing differs');
    return;
  }
  output.print(colouredDiff(diff.trimEnd(), output));
  const said = [
    ...opens.map((each) => line`opens ${each}`),
    ...closes.map((each) => line`closes ${each}`),
    ...affected.map(({ server, reasons }) => line`concerns ${server}: ${reasons.join('; ')}`),
  ];
  for (const each of said) output.print(each);
  if (flowsCut !== undefined) output.print(`cuts ${counted(flowsCut, 'live flow')}`);
  for (const warning of warnings) {
    output.error(line`${output.style('yellow', 'warning:')} ${warning}`);
  }
}
