/**
 * Bodies: JSON only, of bounded size and depth. Depth is checked before any recursive code sees the text: a scan
 * without recursion refuses a text that is nested deeper than any body of this API. Keys that would change prototypes
 * are refused, too.
 */
import type { FastifyInstance } from 'fastify';
import { HttpProblem } from './http-problem.ts';

export const maxBodyBytes: number = 1 << 20;
const maxDepth = 32;

export function acceptJson(server: FastifyInstance): void {
  const parse = server.getDefaultJsonParser('error', 'error');
  server.removeAllContentTypeParsers();
  server.addContentTypeParser(
    'application/json',
    { parseAs: 'string', bodyLimit: maxBodyBytes },
    (request, text: string, done) => {
      // Many clients send a Content-Type without a body.
      if (text === '') {
        done(null, undefined);
        return;
      }
      if (depthOf(text) > maxDepth) {
        done(
          new HttpProblem('bad-request', `the body is nested more than ${maxDepth} levels deep`),
        );
        return;
      }
      void parse(request, text, done);
    },
  );
}

/** How deeply brackets are nested outside of strings. */
function depthOf(text: string): number {
  let depth = 0;
  let deepest = 0;
  let quoted = false;
  for (let at = 0; at < text.length; at++) {
    const character = text.charCodeAt(at);
    if (quoted) {
      if (character === 0x5c) at++;
      else if (character === 0x22) quoted = false;
    } else if (character === 0x22) quoted = true;
    else if (character === 0x5b || character === 0x7b) deepest = Math.max(deepest, ++depth);
    else if (character === 0x5d || character === 0x7d) depth--;
  }
  return deepest;
}
