/**
 * Requests to the API, from the page that it has served. The session's cookie goes along by itself.
 *
 * A request resolves with what was answered, or rejects with an {@link ApiProblem}. An answer without a valid
 * session is also reported to `onUnauthenticated`, once for each request, so that the login can come up over whatever is
 * open.
 */
import { ApiProblem, unreachable } from './api-problem.ts';
import type { Problem } from './types.ts';

export interface RequestOptions {
  readonly body?: unknown;
  /** The revision that is to be changed, and no later one. */
  readonly ifMatch?: string | undefined;
  /** Only if there is none yet. */
  readonly mustBeNew?: boolean;
  /** Why a change is made. */
  readonly why?: string | undefined;
  /** The change is undone after so many seconds, unless somebody confirms it. */
  readonly confirmWithinS?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

type Listener = () => void;
const unauthenticated = new Set<Listener>();

/** @returns what ends it */
export function onUnauthenticated(listener: Listener): () => void {
  unauthenticated.add(listener);
  return () => unauthenticated.delete(listener);
}

/** A path of the API, with what is put in as one segment each: ``at`/v1/templates/${name}` ``. */
export function at(texts: TemplateStringsArray, ...segments: readonly (string | number)[]): string {
  return texts.reduce((path, text, index) => {
    const segment = segments[index];
    return `${path}${text}${segment === undefined ? '' : encodeURIComponent(segment)}`;
  }, '');
}

/** A query string of what is there: `?a=1&b=2`, or nothing. */
export function query(values: Readonly<Record<string, string | number | boolean | undefined>>) {
  const given = Object.entries(values).filter(
    (entry): entry is [string, string | number | boolean] =>
      entry[1] !== undefined && entry[1] !== '',
  );
  if (given.length === 0) return '';
  const texts = given.map(([key, value]): [string, string] => [key, String(value)]);
  return `?${new URLSearchParams(texts).toString()}`;
}

function headersOf({
  body,
  ifMatch,
  mustBeNew = false,
  why = '',
  confirmWithinS,
}: RequestOptions): Record<string, string> {
  return {
    accept: 'application/json, application/problem+json',
    ...(body !== undefined && { 'content-type': 'application/json' }),
    ...(ifMatch !== undefined && { 'if-match': `"${ifMatch}"` }),
    ...(why !== '' && { 'tunwall-message': encodeURIComponent(why) }),
    ...(confirmWithinS !== undefined && { 'tunwall-confirm': `${confirmWithinS}s` }),
    ...(mustBeNew && { 'if-none-match': '*' }),
  };
}

/** A request whose answer is read by the caller: text, or a stream. @throws ApiProblem */
export async function send(
  method: string,
  path: string,
  options: RequestOptions & { readonly accept?: string } = {},
): Promise<Response> {
  const { body, signal, accept } = options;
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers: { ...headersOf(options), ...(accept !== undefined && { accept }) },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      ...(signal !== undefined && { signal }),
    });
  } catch (error) {
    const isCalledOff = signal?.aborted === true && !isTimeout(signal.reason);
    if (isCalledOff) throw error;
    throw unreachable();
  }
  if (response.ok) return response;
  throw await problemOf(response);
}

function isTimeout(reason: unknown): boolean {
  return reason instanceof DOMException && reason.name === 'TimeoutError';
}

/** @throws ApiProblem */
export async function request<T>(
  method: string,
  path: string,
  options: RequestOptions = {},
): Promise<T> {
  const response = await send(method, path, options);
  if (response.status === 204) return undefined as T;
  return (await response.json()) as T;
}

export function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return request('GET', path, { signal });
}

async function problemOf(response: Response): Promise<ApiProblem> {
  const type = response.headers.get('content-type') ?? '';
  // A proxy in front of a gateway that is restarting answers in its own way.
  if (!type.startsWith('application/problem+json')) return unreachable();
  const problem = (await response.json()) as Problem;
  const kind = problem.type.replace('urn:tunwall:problem:', '');
  if (kind === 'unauthenticated') for (const listener of [...unauthenticated]) listener();
  return new ApiProblem(kind, problem);
}
