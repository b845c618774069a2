/**
 * The API as the command line's verbs use it: requests return data, or throw an {@link ApiProblem} that lists all
 * errors in words for a person.
 */
import { json as readJson, text as readText } from 'node:stream/consumers';
import type { Readable } from 'node:stream';
import { visible } from '../text/controls.ts';
import { UserError } from './errors.ts';
import type { Method, Transport, TransportResponse } from './transport.ts';

export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

export interface Change {
  readonly query?: Query;
  readonly body?: unknown;
  /** A plain text, instead of a body of JSON. */
  readonly text?: string;
  /** The revision that the resource must still have; `*`: any, but it must exist. */
  readonly revision?: string | undefined;
}

/** Problem details (RFC 9457), as the API sends them. */
export interface ProblemDetails {
  readonly type: string;
  readonly title: string;
  readonly status: number;
  readonly detail?: string;
  readonly errors?: readonly {
    readonly path: string;
    readonly message: string;
    readonly file?: string;
    readonly line?: number;
    readonly column?: number;
  }[];
}

const kindPrefix = 'urn:tunwall:problem:';

const hints: Readonly<Record<string, string>> = {
  unauthenticated: 'give a token: --token-file FILE, or TUNWALL_TOKEN in the environment',
  forbidden: 'only an owner may do this: tunwall user list shows who is',
  'foreign-host': 'use its address, or add the name to api.hosts in gateway.yaml',
  unconfirmed: 'keep it: tunwall confirm; undo it: tunwall confirm --revert',
  'in-use': 'take it from them first, or use --force',
  'precondition-failed': 'look at it again, then repeat the command',
  broken: 'see all that is wrong: tunwall check',
  'no-firewall': 'start it: tunwall run. If it runs elsewhere, name it: --socket or --url',
};

/** The API has refused the request. */
export class ApiProblem extends UserError {
  override name = 'ApiProblem';
  /** `not-found`, `invalid`, ... */
  readonly kind: string;
  readonly details: ProblemDetails;

  constructor(details: ProblemDetails) {
    const kind = details.type.startsWith(kindPrefix) ? details.type.slice(kindPrefix.length) : '';
    super(describe(kind, details), hints[kind]);
    this.kind = kind;
    this.details = details;
  }
}

function describe(kind: string, { title, detail = title, errors = [] }: ProblemDetails): string {
  // The detail of these two is their errors in one line.
  const isList = (kind === 'invalid' || kind === 'broken') && errors.length > 0;
  const lines = errors.map(({ path, message, file, line = 0, column = 0 }) => {
    const place = file === undefined || line === 0 ? file : `${file}:${line}:${column}`;
    const parts = [place, path, message].filter((part) => part !== undefined && part !== '');
    return `  ${visible(parts.join(': '))}`;
  });
  const head = isList ? `${title.charAt(0).toLowerCase()}${title.slice(1)}:` : detail;
  return [visible(head), ...lines].join('\n');
}

/** A path of the API; names in it are encoded: route`/templates/${name}/clone`. */
export function route(parts: TemplateStringsArray, ...names: (string | number)[]): string {
  return String.raw({ raw: parts }, ...names.map((name) => encodeURIComponent(name)));
}

/** What is said with every change. */
export interface ChangeWords {
  /** Why. */
  readonly message?: string;
  /** Within which time it has to be confirmed: `60s`. */
  readonly confirm?: string;
}

export class ApiClient {
  readonly #transport: Transport;
  #lastChange: number | undefined;
  readonly #changeHeaders: Readonly<Record<string, string>>;

  constructor(transport: Transport, { message, confirm }: ChangeWords = {}) {
    this.#transport = transport;
    this.#changeHeaders = {
      prefer: 'openings',
      ...(message !== undefined && { 'tunwall-message': encodeURIComponent(message) }),
      ...(confirm !== undefined && { 'tunwall-confirm': confirm }),
    };
  }

  /** Where the API is: a socket, a URL or a configuration directory. */
  get target(): string {
    return this.#transport.name;
  }

  /** Number of the last change that was made, if gateways share the store. */
  get lastChange(): number | undefined {
    return this.#lastChange;
  }

  async get<T>(path: string, query?: Query): Promise<T> {
    return this.#data<T>(await this.#send('GET', path, { ...(query && { query }) }));
  }

  /** Makes a change; returns the API's answer, which may be empty. */
  async change<T>(
    method: 'POST' | 'PUT' | 'PATCH' | 'DELETE',
    path: string,
    change: Change = {},
  ): Promise<T> {
    const answer = await this.#data<T>(await this.#send(method, path, change));
    const { applied } = (answer ?? {}) as { readonly applied?: { readonly change?: number } };
    this.#lastChange = applied?.change ?? this.#lastChange;
    return answer;
  }

  async text(path: string, query?: Query): Promise<string> {
    return readText(
      (await this.#send('GET', path, { ...(query && { query }) }, 'text/*, */*')).body,
    );
  }

  /** The raw response. */
  async stream(
    path: string,
    query: Query,
    accept: string,
    signal?: AbortSignal,
  ): Promise<Readable> {
    const response = await this.#send('GET', path, { query }, accept, signal);
    if (!response.contentType.startsWith(accept)) {
      response.body.destroy();
      throw this.#stranger(response);
    }
    return response.body;
  }

  close(): Promise<void> {
    return this.#transport.close();
  }

  async #send(
    method: Method,
    path: string,
    { query = {}, body, text, revision }: Change,
    accept = 'application/json',
    signal?: AbortSignal,
  ): Promise<TransportResponse> {
    const search = new URLSearchParams();
    for (const [key, value] of Object.entries(query)) {
      if (value !== undefined) search.set(key, String(value));
    }
    const response = await this.#transport.send({
      method,
      url: `/v1${path}${search.size === 0 ? '' : `?${search.toString()}`}`,
      headers: {
        accept,
        ...(method !== 'GET' && this.#changeHeaders),
        ...(body !== undefined && { 'content-type': 'application/json' }),
        ...(text !== undefined && { 'content-type': 'text/plain' }),
        ...(revision !== undefined && {
          'if-match': revision === '*' ? '*' : `"${revision}"`,
        }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      ...(text !== undefined && { body: text }),
      signal,
    });
    if (response.status >= 200 && response.status < 300) return response;
    if (!response.contentType.startsWith('application/problem+json')) {
      response.body.destroy();
      throw this.#stranger(response);
    }
    throw new ApiProblem((await readJson(response.body)) as ProblemDetails);
  }

  async #data<T>(response: TransportResponse): Promise<T> {
    if (response.status === 204) return undefined as T;
    if (!response.contentType.startsWith('application/json')) {
      response.body.destroy();
      throw this.#stranger(response);
    }
    return (await readJson(response.body)) as T;
  }

  /** The server that answers is not tunwall's API. */
  #stranger({ status, contentType }: TransportResponse): UserError {
    return new UserError(
      `${this.#transport.name} has answered ${status} with ${contentType === '' ? 'nothing' : contentType}`,
      'expected the API of tunwall there: look at --url and at what stands in between',
    );
  }
}
