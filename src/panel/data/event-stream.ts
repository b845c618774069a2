/**
 * Server-sent events, as the API sends them (https://html.spec.whatwg.org/multipage/server-sent-events.html).
 *
 * With fetch, not with EventSource: that one tells nothing of a refusal, and a session that has ended is one. A stream that
 * ends or fails is opened again, later and later up to 15 s. While the tab is hidden there is none.
 */
import { readEvents } from '../../text/event-stream.ts';
import { useEffect, useEffectEvent, useState } from 'react';
import { asProblem } from './api-problem.ts';
import type { ApiProblem } from './api-problem.ts';
import { send } from './client.ts';

export interface ServerEvent {
  readonly event: string;
  readonly data: unknown;
}

/** `paused`: the tab is hidden, or the page asked for it. `failed`: another attempt is useless. */
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
      for await (const { event, data } of readEvents(chunksOf(response.body!))) {
        waitMs = firstWaitMs;
        receive({ event, data: JSON.parse(data) as unknown });
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

async function* chunksOf(body: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array, void> {
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}
