/** Server-sent events: whole, wherever the stream is cut, and bounded. */
import { PassThrough, Readable } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { readEvents } from '../../../src/text/event-stream.ts';

describe('server-sent events', () => {
  const all = async (stream: Readable): Promise<[string, string][]> => {
    const events: [string, string][] = [];
    for await (const { event, data } of readEvents(stream)) events.push([event, data]);
    return events;
  };
  const text =
    ': hello\n\nevent: drop\nid: 7\ndata: {"a":"ü"}\n\ndata:1\r\ndata: 2\r\n\r\nretry: 5\n\nevent: x\n\ndata\n\nevent: cut\ndata: off';
  const events = [
    ['drop', '{"a":"ü"}'],
    ['message', '1\n2'],
    ['message', ''],
  ];

  it('are read wherever the stream is cut', async () => {
    const bytes = Buffer.from(text);
    for (let at = 0; at <= bytes.length; at++) {
      expect(await all(Readable.from([bytes.subarray(0, at), bytes.subarray(at)]))).toEqual(events);
    }
    expect(await all(Readable.from(Array.from(bytes, (byte) => Buffer.of(byte))))).toEqual(events);
  });

  it.each(['data: x\n', 'x'])('that never end are not kept (%j)', async (piece) => {
    const endless = new PassThrough();
    const reading = all(endless);
    const chunk = piece.repeat(100_000);
    for (let sent = 0; sent < 60; sent++) endless.write(chunk);
    await expect(reading).rejects.toThrow(/has no end/);
  });
});
