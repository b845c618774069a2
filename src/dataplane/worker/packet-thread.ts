/** Entry of a packet thread: loads its modules, and when it is asked to begin, binds the packet loop to its queue and its message port. */
import { parentPort, receiveMessageOnPort } from 'node:worker_threads';
import { bindQueue } from '../tun/linux-tun.ts';
import { setCompilerFlags } from './compiler-flags.ts';
import { runPacketLoop } from './packet-loop.ts';
import type { PacketThreadData, PolicyMessage, ThreadMessage } from './shared-state.ts';

const port = parentPort!;

port.once('message', (data: PacketThreadData) => {
  // Not before: the main thread has taken over flows meanwhile, once, and its code would have been compiled for longer than it runs.
  setCompilerFlags();
  runPacketLoop(data, bindQueue(data.tunFd, data.wakeFd, data.batch, data.ioUring), {
    // Synchronous, because the loop never returns to the event loop.
    receive: () => receiveMessageOnPort(port)?.message as PolicyMessage | undefined,
    send: (message: ThreadMessage) => port.postMessage(message),
  });
  port.close();
});
