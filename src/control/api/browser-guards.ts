/**
 * Protection for users of the panel in a browser. On TCP only: no browser can open the control socket.
 *
 * - A request has one Host, and a path as its target: a proxy in front that reads the other name would have let another
 *   request through.
 * - The Host must be an address, localhost, or a configured name (`api.hosts`): an attacker's name that resolves to this
 *   server (DNS rebinding) would make the attacker's page same-origin.
 * - There is no CORS: a request with another Origin is refused, whatever it asks for.
 * - A change made with a cookie must prove its origin (Origin or Sec-Fetch-Site): the cookie is SameSite=Strict, but a
 *   site is wider than an origin.
 * - Responses may not be framed, sniffed or cached.
 */
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { HttpProblem } from './http-problem.ts';

export const securityHeaders: Readonly<Record<string, string>> = {
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'; base-uri 'none'",
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
};

export interface BrowserHeaders {
  readonly host?: string | undefined;
  readonly origin?: string | undefined;
  readonly 'sec-fetch-site'?: string | string[] | undefined;
}

const safeMethods: readonly string[] = ['GET', 'HEAD', 'OPTIONS'];

/** @throws HttpProblem `bad-request` */
export function requireOneTarget({
  url = '',
  rawHeaders,
}: Pick<IncomingMessage, 'url' | 'rawHeaders'>): void {
  if (!url.startsWith('/')) {
    throw new HttpProblem('bad-request', 'expected a path as target, like /v1/status');
  }
  const names = rawHeaders.filter((_, index) => index % 2 === 0);
  if (names.filter((name) => name.toLowerCase() === 'host').length > 1) {
    throw new HttpProblem('bad-request', 'expected one Host, found several');
  }
}

/** @throws HttpProblem `foreign-host` */
export function requireOwnHost(headers: BrowserHeaders, hosts: readonly string[]): void {
  const { host = '' } = headers;
  const name = hostNameOf(host);
  if (name === undefined || !(isIP(name) !== 0 || name === 'localhost' || hosts.includes(name))) {
    throw new HttpProblem(
      'foreign-host',
      `"${host.slice(0, 100)}" is not a name of this server: use its address, or add the name to api.hosts in gateway.yaml`,
    );
  }
}

/** @throws HttpProblem `foreign-origin` */
export function requireOwnOrigin(
  method: string,
  headers: BrowserHeaders,
  hasCookie: boolean,
): void {
  const { host = '', origin, 'sec-fetch-site': site } = headers;
  const foreign = (what: string): HttpProblem =>
    new HttpProblem('foreign-origin', `${what}: this API serves its own pages only`);
  if (origin !== undefined && !isSameOrigin(origin, host)) {
    throw foreign(`the request comes from ${JSON.stringify(origin.slice(0, 100))}`);
  }
  if (safeMethods.includes(method)) return;
  if (site !== undefined && site !== 'same-origin' && site !== 'none') {
    throw foreign(
      `the browser says that the request is ${JSON.stringify(String(site).slice(0, 20))}`,
    );
  }
  if (hasCookie && origin === undefined && site !== 'same-origin') {
    throw foreign('a change with a cookie has to tell its Origin');
  }
}

/** Whether a page is same-origin, also behind a proxy that speaks TLS. */
function isSameOrigin(origin: string, host: string): boolean {
  try {
    const { protocol, host: found } = new URL(origin);
    if (protocol !== 'http:' && protocol !== 'https:') return false;
    return found === new URL(`${protocol}//${host}`).host;
  } catch {
    return false;
  }
}

/** The name in a Host header, without port and brackets, in lower case; `undefined` if it is none. */
function hostNameOf(host: string): string | undefined {
  const match = /^(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::\d{1,5})?$/i.exec(host);
  return (match?.[1] ?? match?.[2])?.toLowerCase().replace(/\.$/, '');
}
