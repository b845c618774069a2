/**
 * `tunwall explain`: why a packet passes or drops.
 *
 * The verb asks a source of answers and prints the answer. {@link offlineAnswers} answers from a configuration
 * directory; explain-live.ts asks a running firewall first, which also knows the live flows.
 *
 * Exit code 0 means that the question was answered, whether with pass or drop; the verdict is in the output.
 */
import { InvalidArgumentError, Option } from 'commander';
import { parseAddress } from '../policy/addresses.ts';
import { compilePolicy } from '../policy/compile.ts';
import { addressOf } from '../policy/ends.ts';
import { explainFlow, explainPacket } from '../policy/explain.ts';
import type {
  ExplainedPacket,
  ExplainedRule,
  ExplainedSide,
  Explanation,
} from '../policy/explain.ts';
import type { FailedField } from '../policy/nearest-rule.ts';
import type { FlowQuestion, QuestionProtocol } from '../policy/opening-packet.ts';
import { formatProblem } from '../policy/problem.ts';
import { namePattern } from '../policy/validate.ts';
import type { GatewayConfig, Problem, Server, Template } from '../policy/types.ts';
import type { FlowView } from './api-types.ts';
import { addConnectionOptions } from './connection.ts';
import type { ConnectionFlags } from './connection.ts';
import { ExitCode, UserError } from './errors.ts';
import { parseHexDump } from './hex-dump.ts';
import type { Output } from './output.ts';
import { examples, type Verb } from './program.ts';
import { usualDirectory } from './run-command.ts';
import { formatDuration } from '../text/duration.ts';
import { line } from '../text/line.ts';
import { placeText } from './rule-places.ts';
import { answerTexts } from '../text/reject-text.ts';
import { counted } from '../text/numbers.ts';
import { detailText, endText } from '../text/packet-text.ts';

/** The question: a packet that would open a flow, or the bytes of a packet from its IPv4 header on. */
export type ExplainQuestion = { readonly flow: NamedQuestion } | { readonly packet: Uint8Array };

/** Ends as they were typed: addresses, or names of servers. */
export interface NamedQuestion extends Omit<FlowQuestion, 'source' | 'destination'> {
  readonly source: string;
  readonly destination: string;
}

/** An answer, and where the file of a template lies, if it has one. */
export interface ExplainAnswer {
  readonly explanation: Explanation;
  readonly fileOf: (template: string) => string;
}

export type ExplainAnswers = (
  flags: ConnectionFlags,
  question: ExplainQuestion,
) => Promise<ExplainAnswer>;

export interface ExplainActions {
  readonly answer: ExplainAnswers;
  /** The text of a file, or of standard input for `-`. */
  readonly readText: (file: string) => Promise<string>;
}

/** The part of a configuration directory that is needed. */
export interface ExplainConfig {
  readonly gateway: Pick<GatewayConfig, 'reject' | 'tcp'>;
  readonly templates: readonly Template[];
  readonly servers: readonly Server[];
  readonly problems: readonly Problem[];
}

/** Answers from a configuration directory, as a firewall that has just started with it would. */
export function offlineAnswers(
  readConfig: (directory: string) => Promise<ExplainConfig>,
): ExplainAnswers {
  return async ({ config: directory = usualDirectory() }, question) => {
    const config = await readConfig(directory);
    const { gateway, templates, servers, problems } = config;
    const wrong = problems.find(({ severity }) => severity === 'error');
    if (wrong !== undefined) {
      throw new UserError(
        formatProblem(wrong),
        `see all that is wrong: tunwall check --config ${directory}`,
      );
    }
    const compiled = compilePolicy(config, 0);
    const source = { templates, servers, compiled, loose: gateway.tcp.loose };
    return {
      explanation:
        'flow' in question
          ? explainFlow(source, withAddresses(question.flow, servers))
          : explainPacket(source, question.packet),
      fileOf: (template) => `${directory}/templates/${template}.yaml`,
    };
  };
}

function withAddresses(flow: NamedQuestion, servers: readonly Server[]): FlowQuestion {
  const resolved = (end: string): number => {
    const address = addressOf(end, { servers });
    if ('message' in address) throw new UserError(address.message);
    return address.value;
  };
  const { source, destination } = flow;
  return { ...flow, source: resolved(source), destination: resolved(destination) };
}

interface End {
  /** An address or a server's name. */
  readonly whom: string;
  readonly port?: number;
}

interface Flags extends ConnectionFlags {
  readonly from?: End;
  readonly to?: End;
  readonly proto?: QuestionProtocol;
  readonly icmpType?: number;
  readonly hex?: string;
  readonly json?: boolean;
}

export function explainCommand(actions: ExplainActions): Verb {
  return (program, output, finish) => {
    const command = program
      .command('explain')
      .description(
        'why a packet passes or drops: server, template and rule, or the nearest rule and what fails.\n' +
          'Without a firewall it answers for a packet that opens a flow; a firewall also knows whether a\n' +
          'live flow decides instead.\n' +
          'Exit code 0: answered, whatever the verdict.',
      )
      .option(
        '--from <end[:port]>',
        'where the packet comes from: an address, or a server by its name',
        parseEnd,
      )
      .option(
        '--to <end[:port]>',
        'where it goes, likewise; the port is needed for tcp and udp',
        parseEnd,
      )
      .addOption(
        new Option('--proto <protocol>', 'protocol (default: tcp, if --to has a port)').choices([
          'tcp',
          'udp',
          'icmp',
        ]),
      )
      .option('--icmp-type <number>', 'type of the ICMP message (default: 8, echo)', parseIcmpType)
      .addOption(
        new Option(
          '--hex <file>',
          'take the packet from a hex dump instead, from its IPv4 header on; - is standard input',
        ).conflicts(['from', 'to', 'proto', 'icmpType']),
      )
      .option('--json', 'print JSON')
      .addHelpText(
        'after',
        examples([
          ['tunwall explain --from web-1 --to db-1:5432', 'between servers, by name'],
          ['tunwall explain --from 198.51.100.7 --to 10.0.0.2:53 --proto udp', 'by address'],
          ['tunwall explain --from 10.0.0.2 --to 10.0.0.3 --proto icmp --json', 'for a script'],
          ['tcpdump -c 1 -xni eth0 port 53 | tunwall explain --hex -', 'ask for a real packet'],
        ]),
      );
    addConnectionOptions(command).action((flags: Flags) =>
      finish(
        (async () => {
          const question = await questionOf(flags, actions, (message) => {
            // commander prints it like its own errors, and exits with the code for a usage error.
            command.error(`error: ${message}`);
          });
          const answer = await actions.answer(flags, question);
          if (flags.json === true) output.json(asJson(answer));
          else printAnswer(answer, output);
          return ExitCode.ok;
        })(),
      ),
    );
  };
}

function parseEnd(text: string): End {
  const [whom = '', port, ...more] = text.split(':');
  const parsed = parseAddress(whom);
  if ('message' in parsed && (!namePattern.test(whom) || /^[\d.]+$/.test(whom))) {
    throw new InvalidArgumentError(`${parsed.message}.`);
  }
  if (port === undefined) return { whom };
  if (more.length > 0 || !/^\d{1,5}$/.test(port) || Number(port) > 0xffff) {
    throw new InvalidArgumentError('expected a port from 0 to 65535 behind the colon.');
  }
  return { whom, port: Number(port) };
}

function parseIcmpType(text: string): number {
  if (/^\d{1,3}$/.test(text) && Number(text) <= 255) return Number(text);
  throw new InvalidArgumentError('expected a number from 0 to 255.');
}

async function questionOf(
  flags: Flags,
  { readText }: ExplainActions,
  refuse: (message: string) => void,
): Promise<ExplainQuestion> {
  if (flags.hex !== undefined) {
    const bytes = parseHexDump(await readText(flags.hex));
    if ('message' in bytes) {
      throw new UserError(
        `${flags.hex === '-' ? 'standard input' : flags.hex}: ${bytes.message}`,
        'expected the bytes of one packet, from its IPv4 header on, as tcpdump -x prints them',
      );
    }
    return { packet: bytes };
  }
  const { from, to, icmpType } = flags;
  const proto = flags.proto ?? (to?.port === undefined ? undefined : 'tcp');
  if (from === undefined || to === undefined || proto === undefined) {
    refuse('expected --from, --to and --proto (or a port behind --to), or --hex');
  }
  const ports = from?.port !== undefined || to?.port !== undefined;
  if (proto === 'icmp' && ports) refuse('ICMP has no ports: leave them out of --from and --to');
  if (proto !== 'icmp' && to?.port === undefined) refuse(`--to needs a port for ${proto!}`);
  if (proto !== 'icmp' && icmpType !== undefined) refuse('--icmp-type is for --proto icmp');
  return {
    flow: {
      protocol: proto!,
      source: from!.whom,
      destination: to!.whom,
      ...(from!.port !== undefined && { sourcePort: from!.port }),
      ...(to!.port !== undefined && { destinationPort: to!.port }),
      ...(icmpType !== undefined && { icmpType }),
    },
  };
}

/** The whole explanation, each rule with its file. */
function asJson({ explanation, fileOf }: ExplainAnswer): object {
  const withFile = <T extends ExplainedRule>(rule: T): T & { file: string } => ({
    ...rule,
    file: fileOf(rule.template),
  });
  return {
    ...explanation,
    sides: explanation.sides.map((side) => ({
      ...side,
      ...(side.rule && { rule: withFile(side.rule) }),
      ...(side.nearest && { nearest: withFile(side.nearest) }),
    })),
  };
}

function printAnswer({ explanation, fileOf }: ExplainAnswer, output: Output): void {
  const { verdict, reason, message, answer, packet, sides, decidedBy, flow } = explanation;
  const colour = verdict === 'pass' ? 'green' : verdict === 'drop' ? 'red' : 'yellow';
  const word = output.style(colour, verdict.toUpperCase());
  const described = describePacket(packet);
  output.print(described === '' ? word : line`${word}  ${described}`);
  if (verdict !== 'pass') output.print(`  ${reason}: ${message}`);
  if (answer !== undefined) output.print(`  ${answerTexts[answer]}`);
  if (decidedBy === 'flow' && flow !== undefined) {
    output.print(`  a live flow decides: ${describeFlow(flow)}`);
  }
  for (const side of sides) {
    output.print('');
    printSide(side, fileOf, output);
  }
  if (decidedBy === 'packet' && sides.length > 0) {
    output.print('');
    output.print('The rules above do not matter: they are asked of what can open a flow.');
  }
  if (decidedBy === 'flow' && sides.length > 0) {
    output.print('');
    output.print('The rules above are for a packet that opens a flow, which this one does not.');
  }
}

/** `4711-3, established, open for 4 min 3 s`. */
function describeFlow(flow: Readonly<Record<string, unknown>>): string {
  const { id, state, ageSeconds } = flow as unknown as FlowView;
  return `${id}, ${state}, open for ${formatDuration(ageSeconds)}`;
}

function describePacket(packet: ExplainedPacket): string {
  const { protocol, source, destination, sourcePort, destinationPort } = packet;
  if (protocol === undefined || source === undefined || destination === undefined) return '';
  const ends = `${endText(source, sourcePort)} -> ${endText(destination, destinationPort)}`;
  return [protocol, ends, detailText(packet)].filter((part) => part !== '').join(' ');
}

function printSide(
  side: ExplainedSide,
  fileOf: (template: string) => string,
  output: Output,
): void {
  const { direction, server, templates, rule, nearest } = side;
  const place = ({ template, index, line: at }: ExplainedRule): string =>
    placeText(fileOf(template), at, direction, index);
  const head = line`${direction} of server ${output.style('bold', server)}:`;
  if (rule !== undefined) {
    output.print(line`${head} allowed by ${output.style('green', rule.text)}`);
    output.print(`  template ${rule.template}, ${place(rule)}${commentOf(rule)}`);
    printReasons(rule, output);
    return;
  }
  if (nearest === undefined) {
    const why =
      templates.length === 0
        ? 'it has no templates'
        : `its templates (${templates.join(', ')}) have no ${direction} rules`;
    output.print(line`${head} nothing is allowed, ${why}`);
    return;
  }
  output.print(line`${head} none of ${counted(side.rules, 'rule')} allows it`);
  output.print(line`  nearest: ${output.style('yellow', nearest.text)}`);
  output.print(`  template ${nearest.template}, ${place(nearest)}${commentOf(nearest)}`);
  printReasons(nearest, output);
  for (const { field, expected, found } of nearest.failed) {
    output.print(`  ${field}: ${failureText(field, expected, found)}`);
  }
}

function failureText(field: FailedField['field'], expected: string, found: string): string {
  if (field === 'enabled') return 'the rule is off';
  if (field === 'expires') return `the rule has ended at ${found}`;
  if (field === 'except') return `the rule takes away ${expected}, the packet has ${found}`;
  return `the rule has ${expected}, the packet ${found}`;
}

/** What is not in the rule's text: why the server has it, and whom a group means. */
function printReasons({ template, selector, matched }: ExplainedRule, output: Output): void {
  if (selector !== undefined) output.print(`  ${template} applies to ${selector}`);
  if (matched?.server !== undefined) output.print(`  ${matched.peer}: server ${matched.server}`);
  else if (matched?.set !== undefined) output.print(`  ${matched.peer}: set ${matched.set}`);
}

function commentOf({ comment }: ExplainedRule): string {
  return comment === undefined ? '' : ` (${comment})`;
}
