/** What people read of an explanation. */
import { formatDuration } from '../text/duration.ts';
import { Line, line } from '../text/line.ts';
import type { Colour, Text } from '../text/line.ts';
import { counted } from '../text/numbers.ts';
import { detailText, endText } from '../text/packet-text.ts';
import { answerTexts } from '../text/reject-text.ts';
import { placeText } from '../text/rule-text.ts';
import type { ExplainedPacket, ExplainedRule, ExplainedSide, Explanation } from './explain.ts';
import type { FailedField } from './nearest-rule.ts';

/** An answer, and where the file of a template lies, if it has one. */
export interface ExplainAnswer {
  readonly explanation: Explanation;
  readonly fileOf: (template: string) => string;
  /** `false`: they were not written by people, and their lines mean nothing. Default: true. */
  readonly hasLines?: boolean;
}

type Style = (colour: Colour, text: Text) => Text;

/** The whole answer: verdict, packet and reason, then each end's server with its rule or the nearest one. */
export function explanationLines(answered: ExplainAnswer, style: Style): Line[] {
  const lines: Line[] = [];
  const print = (text: Text): void => void lines.push(Line.of(text));
  const { explanation, fileOf, hasLines = true } = answered;
  const placeOf = ({ template, direction, index, line: at }: ExplainedRule): string =>
    placeText(fileOf(template), hasLines ? at : undefined, direction, index);
  const { verdict, reason, message, answer, packet, sides, decidedBy, flow } = explanation;
  const colour = verdict === 'pass' ? 'green' : verdict === 'drop' ? 'red' : 'yellow';
  const word = style(colour, verdict.toUpperCase());
  const described = describePacket(packet);
  print(described === '' ? word : line`${word}  ${described}`);
  if (reason !== 'none') print(`  ${reason}: ${message}`);
  if (answer !== undefined) print(`  ${answerTexts[answer]}`);
  if (decidedBy === 'flow') {
    print(`  a live flow decides${flow === undefined ? '' : `: ${describeFlow(flow)}`}`);
  }
  for (const side of sides) {
    print('');
    printSide(side, placeOf, print, style);
  }
  if (decidedBy === 'packet' && sides.length > 0) {
    print('');
    print('The rules above do not matter: they are asked of what can open a flow.');
  }
  if (decidedBy === 'flow' && sides.length > 0) {
    print('');
    print('The rules above are for a packet that opens a flow, which this one does not.');
  }
  return lines;
}

/** `4711-3, established, open for 4 min 3 s`. */
function describeFlow(flow: Readonly<Record<string, unknown>>): string {
  const { id, state, ageSeconds } = flow as { id: string; state: string; ageSeconds: number };
  return `${id}, ${state}, open for ${formatDuration(ageSeconds)}`;
}

/** `tcp 198.51.100.2:40000 -> 10.0.0.2:443 flags S`; empty for what could not be read. */
export function describePacket(packet: ExplainedPacket): string {
  const { protocol, source, destination, sourcePort, destinationPort } = packet;
  if (protocol === undefined || source === undefined || destination === undefined) return '';
  const ends = `${endText(source, sourcePort)} -> ${endText(destination, destinationPort)}`;
  return [protocol, ends, detailText(packet)].filter((part) => part !== '').join(' ');
}

function printSide(
  side: ExplainedSide,
  place: (rule: ExplainedRule) => string,
  print: (text: Text) => void,
  style: Style,
): void {
  const { direction, server, templates, rule, nearest } = side;
  const head = line`${direction} of server ${style('bold', server)}:`;
  if (rule !== undefined) {
    print(line`${head} allowed by ${style('green', rule.text)}`);
    print(`  template ${rule.template}, ${place(rule)}${commentOf(rule)}`);
    printReasons(rule, print);
    return;
  }
  const passing = side.observes === true ? '; it passes, because the server observes' : '';
  if (nearest === undefined) {
    const why =
      templates.length === 0
        ? 'it has no templates'
        : `its templates (${templates.join(', ')}) have no ${direction} rules`;
    print(line`${head} nothing is allowed, ${why}${passing}`);
    return;
  }
  print(line`${head} none of ${counted(side.rules, 'rule')} allows it${passing}`);
  print(line`  nearest: ${style('yellow', nearest.text)}`);
  print(`  template ${nearest.template}, ${place(nearest)}${commentOf(nearest)}`);
  printReasons(nearest, print);
  for (const { field, expected, found } of nearest.failed) {
    print(`  ${field}: ${failureText(field, expected, found)}`);
  }
}

function failureText(field: FailedField['field'], expected: string, found: string): string {
  if (field === 'enabled') return 'the rule is off';
  if (field === 'expires') return `the rule has ended at ${found}`;
  if (field === 'except') return `the rule takes away ${expected}, the packet has ${found}`;
  return `the rule has ${expected}, the packet ${found}`;
}

/** What is not in the rule's text: why the server has it, and whom a group means. */
function printReasons(
  { template, selector, matched }: ExplainedRule,
  print: (text: Text) => void,
): void {
  if (selector !== undefined) print(`  ${template} applies to ${selector}`);
  if (matched?.server !== undefined) print(`  ${matched.peer}: server ${matched.server}`);
  else if (matched?.set !== undefined) print(`  ${matched.peer}: set ${matched.set}`);
}

function commentOf({ comment }: ExplainedRule): string {
  return comment === undefined ? '' : ` (${comment})`;
}
