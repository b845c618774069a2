/** Why a packet passes or drops: by the policy in force, and by the live flow that it belongs to, if there is one. */
import { addressOf } from '../../../policy/ends.ts';
import { sentenceOf } from '../../../policy/drop-sentences.ts';
import { explainFlow, explainPacket } from '../../../policy/explain.ts';
import type { Explanation, ExplainSource } from '../../../policy/explain.ts';
import { openingPacket } from '../../../policy/opening-packet.ts';
import type { FlowQuestion, QuestionProtocol } from '../../../policy/opening-packet.ts';
import { dropReasonNames } from '../../../dataplane/wire/drop-reason.ts';
import { VnetHeader } from '../../../dataplane/wire/headers.ts';
import type { Api } from '../api.ts';
import type { ApiContext, Flow } from '../context.ts';
import { invalid } from '../http-problem.ts';
import type { FieldError } from '../http-problem.ts';
import * as explain from '../explain-schemas.ts';
import * as schemas from '../schemas.ts';

interface Question {
  readonly src?: string;
  readonly dst?: string;
  readonly protocol?: QuestionProtocol;
  readonly srcPort?: number;
  readonly dstPort?: number;
  readonly icmpType?: number;
}

export function explainRoutes(app: Api, context: ApiContext): void {
  app.post(
    '/explain',
    {
      config: { access: 'view' },
      schema: {
        tags: ['live'],
        summary: 'Why a packet passes or drops: server, template, rule; on a drop the nearest rule',
        description:
          'The packet that would open a flow: `src`, `dst` (an address, or a server with one), `protocol`, and `dstPort` with tcp and udp. Or the bytes of any packet: `hex`.',
        body: explain.explainBody,
        response: { 200: explain.explanation, ...schemas.problems },
      },
    },
    async (request) => {
      const source = await context.controlPlane.policy();
      const { hex, ...asked } = request.body;
      if (hex !== undefined) {
        const packet = packetOf(hex, asked);
        return await withLiveFlow(context, packet, explainPacket(source, packet));
      }
      const question = questionOf(asked, source);
      const packet = openingPacket(question).subarray(VnetHeader.length);
      return await withLiveFlow(context, packet, explainFlow(source, question));
    },
  );
}

type LiveExplanation = Omit<Explanation, 'flow'> & { readonly flow?: Flow };

async function withLiveFlow(
  { observer }: ApiContext,
  packet: Uint8Array,
  explanation: Omit<Explanation, 'flow'>,
): Promise<LiveExplanation> {
  // A malformed packet does not reach the flow table.
  const live =
    explanation.packet.protocol === undefined || explanation.verdict === 'held'
      ? undefined
      : await observer?.explainLive(packet);
  if (live === undefined) return explanation;
  const { flow, verdict, reason } = live;
  const message = sentenceOf(dropReasonNames.indexOf(reason));
  const rest = { ...explanation };
  Reflect.deleteProperty(rest, 'answer');
  return { ...rest, verdict, reason, message, decidedBy: 'flow', flow };
}

/** The bytes, from the IPv4 header on. @throws HttpProblem `invalid` */
function packetOf(hex: string, question: Question): Uint8Array {
  const digits = hex.replaceAll(/[\s:]/g, '');
  const errors: FieldError[] = Object.keys(question).map((path) => ({
    path,
    message: 'the packet in hex says that already',
  }));
  if (!/^([0-9a-f]{2})+$/i.test(digits)) {
    errors.push({ path: 'hex', message: 'expected an even number of hexadecimal digits' });
  }
  if (errors.length > 0) throw invalid(errors);
  return Uint8Array.from(Buffer.from(digits, 'hex'));
}

function questionOf(
  { src, dst, protocol, srcPort, dstPort, icmpType }: Question,
  policy: ExplainSource,
): FlowQuestion {
  const errors: FieldError[] = [];
  const address = (path: string, text: string | undefined): number => {
    const parsed = text === undefined ? { message: 'is missing' } : addressOf(text, policy);
    if ('value' in parsed) return parsed.value;
    errors.push({ path, message: parsed.message });
    return 0;
  };
  const source = address('src', src);
  const destination = address('dst', dst);
  const wrong = (path: string, value: unknown, message: string): void => {
    if (value !== undefined) errors.push({ path, message });
  };
  if (protocol === undefined) errors.push({ path: 'protocol', message: 'is missing' });
  else if (protocol === 'icmp') {
    wrong('srcPort', srcPort, 'ICMP has no ports');
    wrong('dstPort', dstPort, 'ICMP has no ports');
  } else {
    wrong('icmpType', icmpType, 'is for icmp');
    if (dstPort === undefined) errors.push({ path: 'dstPort', message: 'is missing' });
  }
  if (errors.length > 0 || protocol === undefined) throw invalid(errors);
  return {
    ...{ protocol, source, destination },
    ...(srcPort !== undefined && { sourcePort: srcPort }),
    ...(dstPort !== undefined && { destinationPort: dstPort }),
    ...(icmpType !== undefined && { icmpType }),
  };
}
