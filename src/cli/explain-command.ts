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
import type { ExplainedRule } from '../policy/explain.ts';
import { explanationLines } from '../policy/explanation-text.ts';
import type { ExplainAnswer } from '../policy/explanation-text.ts';
import type { FlowQuestion, QuestionProtocol } from '../policy/opening-packet.ts';
import { formatProblem } from '../policy/problem.ts';
import { namePattern } from '../policy/validate.ts';
import type { GatewayConfig, Problem, Server, Template } from '../policy/types.ts';
import { addConnectionOptions } from './connection.ts';
import type { ConnectionFlags } from './connection.ts';
import { ExitCode, UserError } from './errors.ts';
import { parseHexDump } from './hex-dump.ts';
import { examples, type Verb } from './program.ts';
import { usualDirectory } from './run-command.ts';

/** The question: a packet that would open a flow, or the bytes of a packet from its IPv4 header on. */
export type ExplainQuestion = { readonly flow: NamedQuestion } | { readonly packet: Uint8Array };

/** Ends as they were typed: addresses, or names of servers. */
export interface NamedQuestion extends Omit<FlowQuestion, 'source' | 'destination'> {
  readonly source: string;
  readonly destination: string;
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
        '--from <server[:port]>',
        'where the packet comes from: an address, or a server by its name',
        parseEnd,
      )
      .option(
        '--to <server[:port]>',
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
          else output.print(explanationLines(answer, (...args) => output.style(...args)));
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
