/** Schemas of explanations: what would happen to a packet, and why. */
import { Type } from 'typebox';
import { address, flow, icmpNumber, port, protocol } from './live-schemas.ts';
import { rulePlace } from './question-schemas.ts';
import { component } from './schemas.ts';

const explainedRule = {
  ...rulePlace,
  position: Type.Integer({ description: 'The older name of `index`.' }),
  text: Type.String({ examples: ['TCP: 443 from 10.0.0.0/8'] }),
  comment: Type.Optional(Type.String()),
  selector: Type.Optional(
    Type.String({ description: 'By which the template applies; absent: the server names it.' }),
  ),
  matched: Type.Optional(
    Type.Object(
      {
        peer: Type.String({ examples: ['label:role=web'] }),
        server: Type.Optional(Type.String()),
        set: Type.Optional(Type.String()),
      },
      { description: 'Which of its peers means the other end, and by which server or set.' },
    ),
  ),
};

export const explanation = component(
  'Explanation',
  Type.Object({
    verdict: Type.Enum(['pass', 'drop', 'held']),
    reason: Type.String({ description: 'The drop reason; `none` if it passes.' }),
    message: Type.String(),
    answer: Type.Optional(
      Type.Enum(['rst', 'icmp'], {
        description: 'What its sender gets, within the limits of `reject`; absent: nothing.',
      }),
    ),
    decidedBy: Type.Enum(['packet', 'rules', 'flow']),
    packet: Type.Object({
      protocol: Type.Optional(Type.String()),
      source: Type.Optional(address),
      destination: Type.Optional(address),
      sourcePort: port,
      destinationPort: port,
      tcpFlags: Type.Optional(Type.String()),
      icmpType: icmpNumber,
      icmpCode: icmpNumber,
    }),
    sides: Type.Array(
      Type.Object({
        direction: Type.Enum(['inbound', 'outbound']),
        server: Type.String(),
        templates: Type.Array(Type.String()),
        rules: Type.Integer(),
        allowed: Type.Boolean(),
        rule: Type.Optional(Type.Object(explainedRule)),
        nearest: Type.Optional(
          Type.Object({
            ...explainedRule,
            failed: Type.Array(
              Type.Object({ field: Type.String(), expected: Type.String(), found: Type.String() }),
            ),
          }),
        ),
      }),
      { description: 'What each end’s server says, the source’s first.' },
    ),
    epoch: Type.Integer(),
    flow: Type.Optional(flow),
  }),
);

export const explainBody = Type.Object(
  {
    src: Type.Optional(Type.String({ title: 'an address or a server' })),
    dst: Type.Optional(Type.String({ title: 'an address or a server' })),
    protocol: Type.Optional(protocol),
    srcPort: port,
    dstPort: port,
    icmpType: Type.Optional(Type.Integer({ minimum: 0, maximum: 255 })),
    hex: Type.Optional(
      Type.String({
        title: 'hexadecimal digits',
        description: 'A packet from its IPv4 header on; instead of all of the above.',
        maxLength: 200_000,
      }),
    ),
  },
  { additionalProperties: false },
);
