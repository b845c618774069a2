/** Answers for `tunwall explain` from a running firewall, which knows its live flows; else from the directory. */
import type { Explanation } from '../policy/explain.ts';
import type { StatusView } from './api-types.ts';
import type { Connections } from './connection.ts';
import type { ExplainAnswers, ExplainQuestion } from './explain-command.ts';

export function liveAnswers(connections: Connections, otherwise: ExplainAnswers): ExplainAnswers {
  return async (flags, question) => {
    const client = await connections.firewall(flags);
    if (client === undefined) return otherwise(flags, question);
    try {
      const [explanation, { configDirectory }] = await Promise.all([
        client.change<Explanation>('POST', '/explain', { body: bodyOf(question) }),
        client.get<StatusView>('/status'),
      ]);
      return {
        explanation,
        fileOf: (template) => `${configDirectory}/templates/${template}.yaml`,
      };
    } finally {
      await client.close();
    }
  };
}

function bodyOf(question: ExplainQuestion): object {
  if ('packet' in question) return { hex: Buffer.from(question.packet).toString('hex') };
  const { protocol, source, destination, sourcePort, destinationPort, icmpType } = question.flow;
  return {
    protocol,
    src: source,
    dst: destination,
    ...(sourcePort !== undefined && { srcPort: sourcePort }),
    ...(destinationPort !== undefined && { dstPort: destinationPort }),
    ...(icmpType !== undefined && { icmpType }),
  };
}
