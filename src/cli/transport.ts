/**
 * Carries the command line's requests to the API: over HTTP to a firewall's socket or URL, or to the same API in this
 * process. Callers (api-client.ts) see no difference.
 */
import { request as httpRequest } from 'node:http';
import type { IncomingMessage, RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { createConnection } from 'node:net';
import { Readable } from 'node:stream';
import { UserError } from './errors.ts';

export type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

export interface TransportRequest {
  readonly method: Method;
  /** From the slash on, query included. */
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  /** Aborts the request, and an unfinished response. */
  readonly signal?: AbortSignal | undefined;
}

export interface TransportResponse {
  readonly status: number;
  readonly contentType: string;
  readonly body: Readable;
}

export interface Transport {
  /** For messages. */
  readonly name: string;
  send(request: TransportRequest): Promise<TransportResponse>;
  close(): Promise<void>;
}

/** The API in this process: fastify's `inject`. */
export interface InProcessApi {
  inject(request: {
    method: Method;
    url: string;
    headers: Record<string, string>;
    payload?: string;
  }): Promise<{
    statusCode: number;
    headers: Record<string, unknown>;
    rawPayload: Buffer;
  }>;
  close(): Promise<void>;
}

/** A change is answered when it is in force. If no answer comes within this time, the firewall counts as unreachable. */
const answerTimeoutMs = 60_000;

/** @param headers sent with every request */
export function socketTransport(
  path: string,
  headers: Readonly<Record<string, string>>,
): Transport {
  return overHttp(path, headers, httpRequest, { socketPath: path, host: 'localhost' });
}

export function urlTransport(base: URL, headers: Readonly<Record<string, string>>): Transport {
  return overHttp(
    base.origin,
    headers,
    base.protocol === 'https:' ? httpsRequest : httpRequest,
    // node:http expects an IPv6 address without brackets.
    { host: base.hostname.replace(/^\[(.*)\]$/, '$1'), port: base.port },
    base.pathname.replace(/\/+$/, ''),
  );
}

function overHttp(
  name: string,
  headers: Readonly<Record<string, string>>,
  start: typeof httpRequest,
  where: RequestOptions,
  prefix = '',
): Transport {
  return {
    name,
    async send({ method, url, headers: own, body, signal }) {
      const request = start({
        ...where,
        method,
        path: `${prefix}${url}`,
        headers: { ...headers, ...own },
        ...(signal && { signal }),
      });
      const timer = setTimeout(() => {
        request.destroy(new Error(`no answer within ${answerTimeoutMs / 1000} s`));
      }, answerTimeoutMs);
      try {
        const response = await new Promise<IncomingMessage>((resolve, reject) => {
          request.once('response', resolve).once('error', reject).end(body);
        });
        return {
          status: response.statusCode ?? 0,
          contentType: response.headers['content-type'] ?? '',
          body: response,
        };
      } catch (error) {
        if (signal?.aborted === true) throw error;
        const { code, message } = error as NodeJS.ErrnoException;
        throw new UserError(
          `${name} does not answer: ${code ?? message}`,
          'does the firewall run there?',
          { cause: error },
        );
      } finally {
        clearTimeout(timer);
      }
    },
    close: () => Promise.resolve(),
  };
}

export function inProcessTransport(
  directory: string,
  headers: Readonly<Record<string, string>>,
  api: InProcessApi,
): Transport {
  return {
    name: directory,
    async send({ method, url, headers: own, body }) {
      const answer = await api.inject({
        method,
        url,
        headers: { ...headers, ...own },
        ...(body !== undefined && { payload: body }),
      });
      const contentType = answer.headers['content-type'];
      return {
        status: answer.statusCode,
        contentType: typeof contentType === 'string' ? contentType : '',
        body: Readable.from([answer.rawPayload]),
      };
    },
    close: () => api.close(),
  };
}

/** Whether a process listens on a socket: `yes`, `no`, or `denied` if this user may not connect. */
export function isListening(path: string): Promise<'yes' | 'no' | 'denied'> {
  return new Promise((resolve) => {
    const socket = createConnection(path);
    socket.once('connect', () => {
      socket.destroy();
      resolve('yes');
    });
    socket.once('error', ({ code }: NodeJS.ErrnoException) => {
      resolve(code === 'EACCES' || code === 'EPERM' ? 'denied' : 'no');
    });
  });
}
