/**
 * A door from one network namespace into another, through a socket in the file system that both see: `node door.js SOCKET PORT` in the
 * inner one leads to that port of its loopback; prints `ready` when it is open.
 */
import { createServer, connect } from 'node:net';
import type { Server, Socket } from 'node:net';
import { once } from 'node:events';
import { pathToFileURL } from 'node:url';

/** Leads what comes to `server` on; whichever end closes, the other one follows. */
function leadTo(open: () => Socket): Server {
  return createServer((outer) => {
    const inner = open();
    outer.on('error', () => inner.destroy()).on('close', () => inner.destroy());
    inner.on('error', () => outer.destroy()).on('close', () => outer.destroy());
    outer.pipe(inner).pipe(outer);
  });
}

/** The outer side, on any free port of this namespace's loopback. */
export async function openDoor(socket: string): Promise<{ port: number; close: () => void }> {
  const server = leadTo(() => connect(socket));
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as { port: number };
  // It keeps nobody waiting: the demonstration ends when it is asked to.
  server.unref();
  return { port, close: () => server.close() };
}

const [, script, socket, port] = process.argv;
if (script !== undefined && import.meta.url === pathToFileURL(script).href) {
  const server = leadTo(() => connect(Number(port), '127.0.0.1'));
  await once(server.listen(socket), 'listening');
  process.stdout.write('ready\n');
}
