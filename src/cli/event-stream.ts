/** Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), as far as the API sends them. */
import type { Readable } from 'node:stream';
import { UserError } from './errors.ts';

export interface ServerEvent {
  /** `message` if the event has no name. */
  readonly event: string;
  readonly data: string;
}

/** Longer than any event that the API sends. */
const maxEventLength = 4 << 20;

/** Yields the events of a stream as they arrive; ends with the stream. */
export async function* readEvents(stream: Readable): AsyncGenerator<ServerEvent, void> {
  const decoder = new TextDecoder();
  let rest = '';
  let event = '';
  let data: string[] = [];
  let length = 0;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop()!;
    for (const ended of lines) {
      const line = ended.endsWith('\r') ? ended.slice(0, -1) : ended;
      if (line === '') {
        if (data.length > 0)
          yield { event: event === '' ? 'message' : event, data: data.join('\n') };
        event = '';
        data = [];
        length = 0;
        continue;
      }
      // A line that begins with a colon is a comment; it keeps the connection alive.
      const [, field, value] = /^([^:]*)(?:: ?(.*))?$/.exec(line)!;
      if (field === 'event') event = value ?? '';
      if (field === 'data') data.push(value ?? '');
      length += line.length;
    }
    if (length + rest.length > maxEventLength) {
      throw new UserError('an event of the stream has no end', 'is this the API of tunwall?');
    }
  }
}
