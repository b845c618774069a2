/** Conversations for people to read, in the notation of test/support/conversation.ts as far as it goes. */
import type { Outcome, StepVerdict } from './compare.ts';
import type { Changes, Conversation, Fields, Step } from './conversation.ts';
import { openerPort, sent } from './conversation.ts';
import { synOptions } from './tcp-talk.ts';

function bytes(values: readonly number[]): string {
  return values.map((value) => value.toString(16).padStart(2, '0')).join('');
}

/** SYN options as the notation has them, or as bytes. */
function printOptions({ options, flags }: Fields): string[] {
  if (options.length === 0) return [];
  const scale = /0303(..)/.exec(bytes(options))?.[1];
  for (const sack of [false, true]) {
    const known = synOptions({
      mss: true,
      sack,
      ...(scale !== undefined && { scale: Number.parseInt(scale, 16) }),
    });
    if (!flags.includes('S') || bytes(known) !== bytes(options)) continue;
    return [
      ...(scale === undefined ? [] : [`ws=${Number.parseInt(scale, 16)}`]),
      ...(sack ? ['sackok'] : []),
    ];
  }
  return [`options=${bytes(options)}`];
}

function printBody(fields: Fields): string[] {
  const length = fields.length === 0 ? [] : [`len=${fields.length}`];
  switch (fields.kind) {
    case 'tcp': {
      const ack = fields.flags.includes('A') || fields.ack !== 0 ? [`ack=${fields.ack}`] : [];
      const flags = fields.flags === '' ? '-' : fields.flags;
      return [
        flags,
        `seq=${fields.seq}`,
        ...ack,
        `win=${fields.win}`,
        ...printOptions(fields),
        ...length,
      ];
    }
    case 'udp':
      return ['udp', ...length];
    case 'query':
      return [`icmp type=${fields.type} code=${fields.code} id=${fields.id}`, ...length];
    case 'error': {
      const quote = fields.quote === undefined ? 'noise' : printStep(fields.quote, fields.quote);
      const source = fields.router ? ' by a router' : '';
      return [
        `icmp error ${fields.type}/${fields.code}${source}, ${fields.keep} bytes of (${quote})`,
      ];
    }
    case 'other':
      return ['another protocol', ...length];
  }
}

const plainNames: readonly (keyof Changes)[] = [
  'checksum',
  'dataOffset',
  'udpLength',
  'srcPort',
  'dstPort',
  'src',
  'dst',
  'protocol',
  'ipChecksum',
  'headerWords',
  'version',
  'totalLengthError',
  'cut',
  'trailer',
];

function printStep(fields: Fields, faults: Changes): string {
  const words = [fields.from === 'opener' ? '>' : '<', ...printBody(fields)];
  for (const name of plainNames) {
    const fault = faults[name];
    if (fault !== undefined) words.push(`${name}=${JSON.stringify(fault)}`);
  }
  if (fields.ipOptions !== undefined) words.push(`ipOptions=${bytes(fields.ipOptions)}`);
  if (fields.pieces !== undefined) {
    const pieces = fields.pieces.map(
      ({ offset, length, more }) => `${offset}+${length}${more ? '…' : ''}`,
    );
    words.push(`in pieces ${pieces.join(' ')}`);
  }
  return words.join(' ');
}

function printVerdict({ kernel, engine }: StepVerdict): string {
  return `kernel ${kernel}, tunwall ${engine}`;
}

function printLine(step: Step, verdict: StepVerdict | undefined): string {
  const line = `  ${printStep(sent(step), sent(step))}`;
  return verdict === undefined ? line : `${line.padEnd(72)}  ${printVerdict(verdict)}`;
}

export function printConversation({ settings, place, port }: Conversation): string {
  const { loose, fragmentDistance, restarts } = settings;
  const told = `${loose ? ', loose' : ''}${fragmentDistance === 0 ? ', fragments at any distance' : ''}${restarts ? ', restarted after each step' : ''}`;
  return `from ${place} port ${openerPort} to port ${port} (> opener, < responder)${told}`;
}

/** A conversation with both verdicts on each step. */
export function printOutcome(outcome: Outcome): string {
  const { conversation, verdicts, difference } = outcome;
  const lines = [printConversation(conversation)];
  conversation.steps.forEach((step, at) => lines.push(printLine(step, verdicts[at])));
  if (difference !== undefined && difference.kind !== 'verdict') {
    lines.push(
      `  ${difference.kind} differ:`,
      `    kernel  ${difference.kernel}`,
      `    tunwall ${difference.engine}`,
    );
  }
  return lines.join('\n');
}
