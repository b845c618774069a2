/**
 * Short TCP connections, thousands of them.
 *
 *     short-connections.ts serve PORT                      prints `ready`
 *     short-connections.ts open ADDRESS:PORT COUNT AT_ONCE
 *
 * Each says how it will end, and is answered: `server` closes first, or `client`, or the client sends a reset. With few
 * ports to choose from, the kernel takes one again that a connection before had: at once after a reset, and when the server
 * closed first, for then it is the server that has it in TIME_WAIT; after a second of TIME_WAIT of its own with
 * tcp_tw_reuse. A connection that finds no free port waits. Prints {@link ShortConnectionsReport} as JSON.
 */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export interface ShortConnectionsReport {
  readonly completed: number;
  /** Different local ports that they had. */
  readonly ports: number;
  /** Why others did not complete. */
  readonly failures: Readonly<Record<string, number>>;
}

const endings = ['server', 'client', 'reset'] as const;
const patienceMs = 30_000;

async function serve(port: number): Promise<void> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => undefined);
    socket.once('data', (data) => {
      if (data.toString() === 'server') socket.end('hello');
      else socket.write('hello');
    });
    socket.on('end', () => socket.end());
  });
  server.listen({ port, host: '0.0.0.0', backlog: 4096 });
  await once(server, 'listening');
  process.stdout.write('ready\n');
}

/** Opens a connection; waits while all ports are taken. */
async function open(host: string, port: number): Promise<Socket> {
  for (;;) {
    const socket = connect({ host, port, allowHalfOpen: true });
    try {
      await once(socket, 'connect');
      return socket;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRNOTAVAIL') throw error;
      await sleep(20);
    }
  }
}

/** One connection from beginning to end. Returns the local port that it had. */
async function converse(
  host: string,
  port: number,
  ending: (typeof endings)[number],
): Promise<number> {
  const socket = await open(host, port);
  const impatient = setTimeout(() => socket.destroy(new Error(`${ending}: silent`)), patienceMs);
  const closed = once(socket, 'close');
  const localPort = socket.localPort!;
  socket.write(ending);
  await once(socket, 'data');
  if (ending === 'reset') {
    socket.resetAndDestroy();
  } else {
    if (ending === 'client') socket.end();
    socket.resume();
    await once(socket, 'end');
    if (ending === 'server') socket.end();
  }
  await closed;
  clearTimeout(impatient);
  return localPort;
}

async function openMany(to: string, count: number, atOnce: number): Promise<void> {
  const [host, port] = to.split(':') as [string, string];
  const ports = new Set<number>();
  const failures: Record<string, number> = {};
  let completed = 0;
  let started = 0;
  const worker = async (): Promise<void> => {
    while (started < count) {
      const ending = endings[started++ % endings.length]!;
      try {
        ports.add(await converse(host, Number(port), ending));
        completed++;
      } catch (error) {
        const { message } = error as Error;
        failures[message] = (failures[message] ?? 0) + 1;
      }
    }
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
  const report: ShortConnectionsReport = { completed, ports: ports.size, failures };
  console.log(JSON.stringify(report));
}

const [verb, ...args] = process.argv.slice(2);
if (verb === 'serve') await serve(Number(args[0]));
else await openMany(args[0]!, Number(args[1]), Number(args[2]));
