/**
 * What runs on a host of the demonstration: HTTP servers and UDP echoes, `node servers.js tcp:80 udp:53`. Prints `ready` when
 * all of them listen.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:http';

async function listen(specification: string): Promise<void> {
  const [protocol, port] = specification.split(':');
  if (protocol === 'tcp') {
    const server = createServer((_request, response) => response.end(`hello from port ${port!}\n`));
    await once(server.listen(Number(port), '0.0.0.0'), 'listening');
    return;
  }
  const socket = createSocket('udp4');
  socket.on('message', (message, sender) => socket.send(message, sender.port, sender.address));
  socket.bind(Number(port), '0.0.0.0');
  await once(socket, 'listening');
}

await Promise.all(process.argv.slice(2).map(listen));
process.stdout.write('ready\n');
