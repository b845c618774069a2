/** Servers in the place of a member of etcd: one that answers as it is told, and a proxy that hangs up. */
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface FaultyProxy {
  readonly endpoint: string;
  close(): Promise<void>;
}

export async function standIn(
  answer: (request: IncomingMessage, response: ServerResponse) => void,
): Promise<FaultyProxy> {
  const server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: async () => {
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}

/** A proxy in front of a member, which may hang up before or behind what it passes on. */
export function faultyProxy(
  target: () => string,
  faultOf: (body: string) => 'none' | 'before' | 'behind' = () => 'none',
): Promise<FaultyProxy> {
  return standIn((incoming, response) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      const body = Buffer.concat(chunks).toString();
      const fault = faultOf(body);
      if (fault === 'before') {
        incoming.socket.destroy();
        return;
      }
      const { method, url, headers } = incoming;
      const options = { method: method!, headers };
      const forward = request(new URL(url!, target()), options, (answer) => {
        if (fault === 'behind') {
          answer.resume().on('end', () => incoming.socket.destroy());
          return;
        }
        response.writeHead(answer.statusCode!, answer.headers);
        answer.pipe(response);
      });
      forward.on('error', () => incoming.socket.destroy());
      forward.end(body);
    });
  });
}
