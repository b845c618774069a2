/**
 * The session cookie. Over TLS its name begins with `__Host-`: browsers accept it from this host only, over TLS, for all
 * paths. So neither another host of the domain nor a plain connection can set a cookie that shadows it.
 *
 * A request may contain several cookies of the name (of another path or host). All are tried, those with the prefix first.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';

export const sessionCookie = 'tunwall_session';
const hostCookie = `__Host-${sessionCookie}`;

/** This server never sets more. */
const maxTried = 16;

/** The session ids of a request, in the order in which they are tried. */
export function sessionIds({ headers }: Pick<FastifyRequest, 'headers'>): string[] {
  const pairs = (headers.cookie ?? '').split(';').map((each) => each.trim());
  const named = (name: string): string[] =>
    pairs.filter((each) => each.startsWith(`${name}=`)).map((each) => each.slice(name.length + 1));
  return [...named(hostCookie), ...named(sessionCookie)].slice(0, maxTried);
}

export function setSessionCookie(request: FastifyRequest, reply: FastifyReply, id: string): void {
  const secure = isSecure(request);
  reply.setCookie(secure ? hostCookie : sessionCookie, id, {
    ...{ path: '/', httpOnly: true, sameSite: 'strict', secure },
  });
}

export function clearSessionCookies(reply: FastifyReply): void {
  reply.clearCookie(sessionCookie, { path: '/' });
  reply.clearCookie(hostCookie, { path: '/', secure: true });
}

/** Whether the browser uses TLS, to this server or to a proxy in front: its Origin, which was checked, says so. */
function isSecure({ protocol, headers }: FastifyRequest): boolean {
  return protocol === 'https' || (headers.origin?.startsWith('https:') ?? false);
}
