/**
 * Small questions over UDP, and answers that need fragments.
 *
 *     large-answers.ts serve PORT                  answers every datagram with 5,000 bytes; prints `ready`
 *     large-answers.ts ask ADDRESS:PORT COUNT [MS] asks from COUNT sockets; prints, as JSON, how many got their answer, and how
 *                                                  many the error "connection refused"
 *
 * A socket that hears nothing for half a second, or MS, asks again, for five seconds in all: datagrams may be lost on a busy
 * machine.
 */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';

const answer = Buffer.alloc(5000, 'tunwall ');
const patienceMs = 5000;

type Outcome = 'answered' | 'refused' | 'silence';

async function serve(port: number): Promise<void> {
  const socket = createSocket('udp4');
  socket.on('message', (_question, sender) => {
    // The client may be gone: the next datagram would report that.
    socket.send(answer, sender.port, sender.address, () => undefined);
  });
  socket.bind(port, '0.0.0.0');
  await once(socket, 'listening');
  process.stdout.write('ready\n');
}

async function ask(host: string, port: number, everyMs: number): Promise<Outcome> {
  const socket = createSocket('udp4');
  const outcome = new Promise<Outcome>((resolve) => {
    socket.on('message', (message) => resolve(message.equals(answer) ? 'answered' : 'silence'));
    socket.on('error', () => resolve('refused'));
  });
  socket.connect(port, host);
  await once(socket, 'connect');
  const send = (): void => socket.send('?', () => undefined);
  send();
  const again = setInterval(send, everyMs);
  const late = setTimeout(() => socket.emit('late'), patienceMs);
  const silence = once(socket, 'late').then((): Outcome => 'silence');
  const result = await Promise.race([outcome, silence]);
  clearInterval(again);
  clearTimeout(late);
  socket.close();
  return result;
}

const [verb, ...args] = process.argv.slice(2);
if (verb === 'serve') {
  await serve(Number(args[0]));
} else {
  const [host, port] = args[0]!.split(':') as [string, string];
  const everyMs = Number(args[2] ?? 500);
  const asking = Array.from({ length: Number(args[1]) }, () => ask(host, Number(port), everyMs));
  const outcomes = await Promise.all(asking);
  const count = (wanted: Outcome): number => outcomes.filter((each) => each === wanted).length;
  console.log(JSON.stringify({ answered: count('answered'), refused: count('refused') }));
}
