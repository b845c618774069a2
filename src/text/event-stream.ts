/** Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), as the API sends them. */
import { createParser } from 'eventsource-parser';

export interface ServerEvent {
  /** `message` if the event has no name. */
  readonly event: string;
  readonly data: string;
}

/** Longer than any event that the API sends. In characters. */
const maxEventLength = 4 << 20;

/** What sends this is no API of ours. */
export class EventStreamError extends Error {
  override name = 'EventStreamError';
  readonly hint = 'is this the API of tunwall?';
}

/** Yields the events of a stream as they arrive; ends with the stream. @throws EventStreamError */
export async function* readEvents(
  stream: AsyncIterable<Uint8Array>,
): AsyncGenerator<ServerEvent, void> {
  const decoder = new TextDecoder();
  const events: ServerEvent[] = [];
  let error: Error | undefined;
  const parser = createParser({
    maxBufferSize: maxEventLength,
    onEvent: ({ event = 'message', data }) => events.push({ event, data }),
    onError({ type }) {
      // Fields that are not known are to be ignored.
      if (type !== 'max-buffer-size-exceeded') return;
      error = new EventStreamError('an event of the stream has no end');
    },
  });
  for await (const chunk of stream) {
    parser.feed(decoder.decode(chunk, { stream: true }));
    yield* events.splice(0);
    if (error !== undefined) throw error;
  }
}
