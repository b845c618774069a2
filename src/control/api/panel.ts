/**
 * The panel: the files that `npm run build` has made of src/panel, on TCP.
 *
 * They are public, because the login page is one of them. Assets have hashed names, so browsers cache them for good;
 * they are sent as the build has compressed them. The document is the same for every path outside the API, because the
 * panel routes its pages itself; it is never cached.
 *
 * Its policy allows scripts and styles from here and nothing else. <style> elements need a nonce, which is new for each
 * document: Mantine makes some in the browser. Style attributes need no exception, since React sets them through the DOM.
 */
import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import fastifyStatic from '@fastify/static';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Api } from './api.ts';
import { HttpProblem } from './http-problem.ts';

/** The same from src/control/api and from dist/control/api. */
export const builtPanel: string = join(import.meta.dirname, '../../../dist/panel');

/** As in scripts/config/vite.config.ts. */
const noncePlaceholder = '{{nonce}}';

/** Paths and prefixes that do not belong to the panel. */
const others = ['/v1', '/assets', '/metrics', '/healthz', '/openapi.json'];

function policyWith(nonce: string): string {
  return [
    "default-src 'none'",
    "script-src 'self'",
    `style-src 'self' 'nonce-${nonce}'`,
    "img-src 'self' data:",
    "font-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join('; ');
}

export class Panel {
  /** `undefined`: it is not built. */
  readonly #document: string | undefined;

  /** Registers the assets. */
  static async register(server: Api, directory: string): Promise<Panel> {
    const document = await readFile(join(directory, 'index.html'), 'utf8').catch(
      (error: unknown) => {
        if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
        throw error;
      },
    );
    if (document !== undefined) await registerAssets(server, join(directory, 'assets'));
    return new Panel(document);
  }

  private constructor(document: string | undefined) {
    this.#document = document;
  }

  /** Whether a request that no route has taken asks for a page. */
  isFor({ method, url, headers }: FastifyRequest): boolean {
    if (method !== 'GET' && method !== 'HEAD') return false;
    const [path = ''] = url.split('?');
    if (path === '/') return true;
    if (!(headers.accept ?? '').includes('text/html')) return false;
    return !others.some((other) => path === other || path.startsWith(`${other}/`));
  }

  /** @throws HttpProblem where there is no panel */
  send(reply: FastifyReply): FastifyReply {
    if (this.#document === undefined) {
      throw new HttpProblem('not-found', 'the panel is not built: npm run build makes it');
    }
    const nonce = randomBytes(16).toString('base64');
    return reply
      .code(200)
      .headers({
        'content-security-policy': policyWith(nonce),
        'content-type': 'text/html; charset=utf-8',
        // Not even with an ETag: the nonce of the header has to be that of the document.
        'cache-control': 'no-store',
      })
      .serializer(String)
      .send(this.#document.replaceAll(noncePlaceholder, nonce));
  }
}

async function registerAssets(server: Api, directory: string): Promise<void> {
  await server.register(async (scope) => {
    scope.addHook('onRoute', (route) => {
      route.config = { ...route.config, access: 'public' };
      route.schema = { ...route.schema, hide: true };
    });
    await scope.register(fastifyStatic, {
      root: directory,
      prefix: '/assets/',
      preCompressed: true,
      index: false,
      decorateReply: false,
      immutable: true,
      maxAge: 31_536_000_000,
      setHeaders: (response) => {
        response.setHeader('vary', 'accept-encoding');
      },
    });
  });
}
