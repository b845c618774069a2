/**
 * An HTTP server for large transfers: `bulk-server.ts PORT`. GET /N answers with N bytes, PUT takes a body and answers with
 * its length. Prints `ready` when it listens.
 */
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';

const block = Buffer.alloc(1 << 18, 'tunwall ');

function* blocks(length: number): Generator<Buffer> {
  for (let left = length; left > 0; left -= block.length) yield block.subarray(0, left);
}

async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
  if (request.method === 'PUT') {
    let received = 0;
    const count = new Writable({
      write(chunk: Buffer, _encoding, done) {
        received += chunk.length;
        done();
      },
    });
    await pipeline(request, count);
    response.end(String(received));
    return;
  }
  const length = Number(request.url!.slice(1));
  response.setHeader('content-length', length);
  await pipeline(Readable.from(blocks(length)), response);
}

const server = createServer((request, response) => {
  // A client that gives up in the middle is part of some tests.
  serve(request, response).catch(() => response.destroy());
});
server.listen(Number(process.argv[2]), '0.0.0.0', () => process.stdout.write('ready\n'));
