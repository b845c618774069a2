/**
 * Members of etcd on this machine's loopback, reached from a network namespace at the same addresses on the loopback there:
 * a socket file lies in between. What goes through it can be cut off, as a network does it.
 */
import { once } from 'node:events';
import { createServer, connect } from 'node:net';
import type { Server, Socket } from 'node:net';
import { join } from 'node:path';
import type { Network } from '../../src/lab/network.ts';

/** In the namespace: from each port to the socket file of that name. */
const inside = `
const { createServer, connect } = require('node:net');
const [directory, ...ports] = process.argv.slice(1);
let left = ports.length;
for (const port of ports) {
  createServer((socket) => {
    const far = connect(directory + '/etcd-' + port + '.sock');
    socket.pipe(far).pipe(socket);
    const end = () => { socket.destroy(); far.destroy(); };
    socket.on('error', end).on('close', end);
    far.on('error', end).on('close', end);
  }).listen(Number(port), '127.0.0.1', () => { if (--left === 0) console.log('ready'); });
}`;

export class EtcdRelay {
  readonly #servers: Server[] = [];
  readonly #sockets: Set<Socket> = new Set<Socket>();
  #isCut = false;

  static async open(lab: Network, host: string, endpoints: readonly string[]): Promise<EtcdRelay> {
    const relay = new EtcdRelay();
    const ports = endpoints.map((endpoint) => new URL(endpoint).port);
    for (const port of ports) {
      const server = createServer((socket) => relay.#accept(socket, Number(port)));
      server.listen(join(lab.directory, `etcd-${port}.sock`));
      await once(server, 'listening');
      relay.#servers.push(server);
    }
    const command = [process.execPath, '-e', inside, lab.directory, ...ports];
    const child = lab.spawn(host, command, 'pipe');
    await once(child.stdout!, 'data');
    return relay;
  }

  #accept(socket: Socket, port: number): void {
    if (this.#isCut) {
      socket.destroy();
      return;
    }
    const far = connect(port, '127.0.0.1');
    for (const [one, other] of [
      [socket, far],
      [far, socket],
    ] as const) {
      this.#sockets.add(one);
      one.pipe(other);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        this.#sockets.delete(one);
        other.destroy();
      });
    }
  }

  /** Nothing goes through any more. */
  cut(): void {
    this.#isCut = true;
    for (const socket of this.#sockets) socket.destroy();
  }

  mend(): void {
    this.#isCut = false;
  }

  /** The processes in the namespace end with the lab. */
  close(): void {
    this.cut();
    for (const server of this.#servers) server.close();
  }
}
