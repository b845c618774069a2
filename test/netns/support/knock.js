/**
 * Tries to get through, again and again: `knock.js SOURCE ADDRESS`. Every 10 ms a datagram to port 53 and the begin of a
 * connection to port 22. Runs until it is killed.
 */
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';

const [source, address] = process.argv.slice(2);
const udp = createSocket('udp4');
// Refused, unreachable: that is what it is for.
udp.on('error', () => undefined);
udp.bind(0, source);

setInterval(() => {
  udp.send('x', 53, address, () => undefined);
  const tcp = connect({ host: address, port: 22, localAddress: source });
  tcp.on('error', () => undefined);
  setTimeout(() => tcp.destroy(), 100);
}, 10);
