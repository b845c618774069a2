/** HTTP as bytes on a connection: what no client library would send. */
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import type { Api } from '../../src/control/api/api.ts';

/** Where an API listens, on a port of its own. */
export async function portOf(api: Api): Promise<number> {
  if (api.server.address() === null) await api.listen({ host: '127.0.0.1', port: 0 });
  return (api.server.address() as { port: number }).port;
}

export async function connected(port: number, localAddress = '127.0.0.1'): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', localAddress });
  await once(socket, 'connect');
  return socket;
}

/** Sends lines of a request, and reads until the other side closes. */
export async function exchange(
  port: number,
  lines: readonly string[],
  localAddress?: string,
): Promise<string> {
  const socket = await connected(port, localAddress);
  let answer = '';
  socket.setEncoding('utf8').on('data', (text: string) => (answer += text));
  socket.on('error', () => undefined);
  socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  await once(socket, 'close');
  return answer;
}
