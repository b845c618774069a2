/**
 * Server-sent events, as the API sends them (https://html.spec.whatwg.org/multipage/server-sent-events.html).
 *
 * With fetch, not with EventSource: that one tells nothing of a refusal, and a session that has ended is one. A stream that
 * ends or fails is opened again, later and later up to 15 s. While the tab is hidden there is none.
 */
import { useEffect, useEffectEvent, useState } from 'react';
import { asProblem } from './api-problem.ts';
import type { ApiProblem } from './api-problem.ts';
import { send } from './client.ts';

export interface ServerEvent {
  readonly event: string;
  readonly data: unknown;
}

/** `paused`: nobody looks, or the page asked for it. `failed`: it is of no use to try again. */
export type StreamState = 'connecting' | 'open' | 'reconnecting' | 'paused' | 'failed';

export interface StreamStatus {
  readonly state: StreamState;
  readonly problem?: ApiProblem;
}

const firstWaitMs = 500;
const longestWaitMs = 15_000;

/** What time and a login may mend. */
const passing: readonly string[] = ['unreachable', 'unauthenticated', 'busy', 'too-many-requests'];

/**
 * @param path with its query; a new one opens a new stream. `undefined`: none
 * @param onEvent is called for each event
 */
export function useEventStream(
  path: string | undefined,
  onEvent: (event: ServerEvent) => void,
): StreamStatus {
  const [status, setStatus] = useState<StreamStatus>({ state: 'connecting' });
  const visible = useVisible();
  const receive = useEffectEvent(onEvent);
  const wanted = visible ? path : undefined;
  useEffect(() => {
    if (wanted === undefined) return;
    const ended = new AbortController();
    void follow(wanted, ended.signal, receive, setStatus);
    return () => ended.abort();
  }, [wanted]);
  return wanted === undefined ? { state: 'paused' } : status;
}

function useVisible(): boolean {
  const [visible, setVisible] = useState(!document.hidden);
  useEffect(() => {
    const look = (): void => setVisible(!document.hidden);
    document.addEventListener('visibilitychange', look);
    return () => document.removeEventListener('visibilitychange', look);
  }, []);
  return visible;
}

/** Until `signal` says so, or it is of no use. */
async function follow(
  path: string,
  signal: AbortSignal,
  receive: (event: ServerEvent) => void,
  tell: (status: StreamStatus) => void,
): Promise<void> {
  let waitMs = firstWaitMs;
  tell({ state: 'connecting' });
  while (!isOver(signal)) {
    try {
      const response = await send('GET', path, { signal, accept: 'text/event-stream' });
      tell({ state: 'open' });
      for await (const event of eventsOf(response.body!)) {
        waitMs = firstWaitMs;
        receive(event);
      }
    } catch (error) {
      if (isOver(signal)) return;
      const problem = asProblem(error);
      // A stream that breaks off is a TypeError of its reader.
      if (!passing.includes(problem.kind) && !(error instanceof TypeError)) {
        tell({ state: 'failed', problem });
        return;
      }
    }
    tell({ state: 'reconnecting' });
    await pause(waitMs * (0.75 + Math.random() / 2), signal);
    waitMs = Math.min(2 * waitMs, longestWaitMs);
  }
}

/** A function, because it changes while one waits. */
function isOver(signal: AbortSignal): boolean {
  return signal.aborted;
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = window.setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      window.clearTimeout(timer);
      resolve();
    });
  });
}

/** The events of a stream, as they come; ends with it. */
export async function* eventsOf(
  body: ReadableStream<Uint8Array>,
): AsyncGenerator<ServerEvent, void> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const blocks = (rest + decoder.decode(value, { stream: true })).split('\n\n');
      rest = blocks.pop() ?? '';
      for (const block of blocks) {
        const event = eventOf(block);
        if (event !== undefined) yield event;
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

/** A comment, which keeps the connection alive, is no event. */
function eventOf(block: string): ServerEvent | undefined {
  let event = 'message';
  const data: string[] = [];
  for (const line of block.split('\n')) {
    if (line.startsWith('event: ')) event = line.slice(7);
    else if (line.startsWith('data: ')) data.push(line.slice(6));
  }
  return data.length === 0 ? undefined : { event, data: JSON.parse(data.join('\n')) as unknown };
}
