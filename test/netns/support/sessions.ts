/**
 * Long-lived connections on which a line goes back and forth now and then, like so many SSH sessions.
 *
 *     sessions.ts serve PORT                       echoes lines; prints `ready`
 *     sessions.ts keep ADDRESS:PORT COUNT PERIOD   opens COUNT connections, then exchanges a line on each of them every PERIOD
 *                                                  ms, or with PERIOD 0 at each SIGUSR2; prints `round N` after each round
 *                                                  that all of them have answered
 *
 * A connection that ends, ends the program with 1 and says which: nothing is opened again. One that does not answer is waited for:
 * TCP sends ever more rarely while nothing is forwarded.
 */
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import type { Socket } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

const openedAtOnce = 32;

async function serve(port: number): Promise<void> {
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on('error', () => undefined);
    socket.pipe(socket);
  });
  server.listen({ port, host: '0.0.0.0', backlog: 4096 });
  await once(server, 'listening');
  console.log('ready');
}

function fail(why: string): never {
  console.log(`lost: ${why}`);
  process.exit(1);
}

class Session {
  readonly #socket: Socket;
  readonly #name: string;
  #answer: (line: string) => void = () => undefined;

  static async open(address: string, port: number): Promise<Session> {
    const socket = connect({ host: address, port, noDelay: true });
    socket.on('error', (error) => fail(`port ${socket.localPort ?? 0}: ${error.message}`));
    await once(socket, 'connect');
    return new Session(socket);
  }

  private constructor(socket: Socket) {
    this.#socket = socket;
    this.#name = `${socket.localPort!} to ${socket.remoteAddress!}:${socket.remotePort!}`;
    socket.on('close', () => fail(`${this.#name} was closed`));
    createInterface(socket).on('line', (line) => this.#answer(line));
  }

  async exchange(line: string): Promise<void> {
    const answered = new Promise<string>((resolve) => (this.#answer = resolve));
    this.#socket.write(`${line}\n`);
    const answer = await answered;
    if (answer !== line) fail(`${this.#name} answered ${answer} to ${line}`);
  }
}

async function keep(to: string, count: number, periodMs: number): Promise<void> {
  const [address, port] = to.split(':') as [string, string];
  const sessions: Session[] = [];
  while (sessions.length < count) {
    const wanted = Math.min(openedAtOnce, count - sessions.length);
    const opening = Array.from({ length: wanted }, () => Session.open(address, Number(port)));
    sessions.push(...(await Promise.all(opening)));
  }
  let asked = 0;
  let ask: () => void = () => undefined;
  process.on('SIGUSR2', () => {
    asked++;
    ask();
  });
  for (let round = 1; ; round++) {
    await Promise.all(sessions.map((session) => session.exchange(`round ${round}`)));
    console.log(`round ${round}`);
    if (periodMs > 0) await sleep(periodMs);
    else if (asked < round) await new Promise<void>((resolve) => (ask = resolve));
  }
}

const [verb, ...args] = process.argv.slice(2);
if (verb === 'serve') await serve(Number(args[0]));
else await keep(args[0]!, Number(args[1]), Number(args[2]));
