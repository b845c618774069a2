/** How the panel is served: to whom, with which policy, what browsers may keep, and what is said where it is not built. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { brotliCompressSync, brotliDecompressSync, gunzipSync, gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { documentOf } from '../../../support/api-answers.ts';
import { ApiLab } from '../../../support/api.ts';
import { TestDirectory } from '../../../support/stores.ts';

const script = 'console.log("the panel");\n';
const html = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' };

let directory: TestDirectory;
let lab: ApiLab;
beforeAll(async () => {
  directory = await TestDirectory.create({});
  const assets = join(directory.path, 'assets');
  await mkdir(assets);
  await writeFile(join(assets, 'index-abc.js'), script);
  await writeFile(join(assets, 'index-abc.js.br'), brotliCompressSync(script));
  await writeFile(join(assets, 'index-abc.js.gz'), gzipSync(script));
  await writeFile(
    join(directory.path, 'index.html'),
    '<meta property="csp-nonce" nonce="{{nonce}}"><script nonce="{{nonce}}" src="/x.js"></script>',
  );
  lab = await ApiLab.create({ panelDirectory: directory.path });
});
afterAll(async () => {
  await lab.close();
  await directory.remove();
});

describe('the document', () => {
  it('is everybody’s, at every path of the panel', async () => {
    for (const path of ['/', '/firewalls', '/firewalls/web/history?x=1', '/nothing/there']) {
      const answer = await lab.send('nobody', `GET ${path}`, { headers: html });
      expect([path, answer.status]).toEqual([path, 200]);
      expect(answer.headers['content-type']).toBe('text/html; charset=utf-8');
      expect(answer.body).toContain('<script nonce=');
    }
    expect((await lab.send('nobody', 'HEAD /firewalls', { headers: html })).status).toBe(200);
  });

  it('has a policy with a nonce that is new each time, and is never kept', async () => {
    const nonces = new Set<string>();
    for (let times = 0; times < 3; times++) {
      const { headers, body } = await lab.send('nobody', 'GET /');
      const policy = String(headers['content-security-policy']);
      const [, nonce] = /style-src 'self' 'nonce-([\w+/=]{24})'/.exec(policy)!;
      expect(body.split(`nonce="${nonce!}"`)).toHaveLength(3);
      nonces.add(nonce!);
      expect(policy.replace(nonce!, 'N')).toBe(
        "default-src 'none'; script-src 'self'; style-src 'self' 'nonce-N'; img-src 'self' data:; " +
          "font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
      );
      expect(headers['cache-control']).toBe('no-store');
      expect(headers['x-content-type-options']).toBe('nosniff');
    }
    expect(nonces.size).toBe(3);
  });

  it('is no answer to what asks for the API', async () => {
    for (const request of [
      'GET /v1/nothing',
      'GET /v1',
      'GET /assets/nothing.js',
      'GET /metrics/x',
      'POST /firewalls',
    ]) {
      const answer = await lab.send('nobody', request, { headers: html });
      expect([request, answer.status, answer.problem]).toEqual([request, 404, 'not-found']);
    }
    // Not a browser: a mistyped path of a script stays a mistake.
    expect((await lab.send('nobody', 'GET /templates')).problem).toBe('not-found');
  });

  it('is refused under foreign names and to foreign pages', async () => {
    const foreign = { headers: { ...html, host: 'evil.example' } };
    for (const path of ['/', '/firewalls', '/assets/index-abc.js']) {
      expect((await lab.send('nobody', `GET ${path}`, foreign)).problem).toBe('foreign-host');
      const other = { headers: { ...html, origin: 'http://evil.example' } };
      expect((await lab.send('nobody', `GET ${path}`, other)).problem).toBe('foreign-origin');
    }
  });
});

describe('an asset', () => {
  const asset = 'GET /assets/index-abc.js';

  it('is everybody’s, kept for good, and no document', async () => {
    const { status, body, headers } = await lab.send('nobody', asset);
    expect([status, body]).toEqual([200, script]);
    expect(headers['cache-control']).toBe('public, max-age=31536000, immutable');
    expect(headers['content-type']).toMatch(/^(text|application)\/javascript/);
    expect(headers['content-security-policy']).toContain("default-src 'none'");
    expect(headers['x-content-type-options']).toBe('nosniff');
  });

  it.each([
    ['br, gzip', 'br', brotliDecompressSync],
    ['gzip', 'gzip', gunzipSync],
  ])('is sent as it was compressed: %s', async (accepted, encoding, decompress) => {
    const answer = await lab.api.inject({
      url: '/assets/index-abc.js',
      headers: { host: '127.0.0.1:8740', 'accept-encoding': accepted },
    });
    expect(answer.headers['content-encoding']).toBe(encoding);
    expect(answer.headers.vary).toMatch(/accept-encoding/i);
    expect(decompress(answer.rawPayload).toString()).toBe(script);
  });

  it('is nothing outside of its directory', async () => {
    for (const path of [
      '/assets/../index.html',
      '/assets/%2e%2e/index.html',
      '/assets/..%2findex.html',
      '/assets/',
    ]) {
      const answer = await lab.send('nobody', `GET ${path}`);
      expect([path, answer.status >= 400 && answer.status < 500]).toEqual([path, true]);
    }
  });

  it('is not in the document of the API', () => {
    const { paths } = documentOf(lab.api);
    expect(
      Object.keys(paths).filter((path) => !/^\/(v1|metrics|healthz|openapi)/.test(path)),
    ).toEqual([]);
  });
});

describe('elsewhere', () => {
  it('says so where it is not built', async () => {
    const bare = await ApiLab.create();
    const answer = await bare.send('nobody', 'GET /', { headers: html });
    expect([answer.status, answer.json!['detail']]).toEqual([
      404,
      'the panel is not built: npm run build makes it',
    ]);
    await bare.close();
  });

  it('is not on the control socket', async () => {
    const socket = await ApiLab.create({ listener: 'socket', panelDirectory: directory.path });
    for (const path of ['/', '/assets/index-abc.js']) {
      expect((await socket.send('nobody', `GET ${path}`, { headers: html })).status).toBe(404);
    }
    await socket.close();
  });

  it('counts as requests do', async () => {
    const limited = await ApiLab.create({ panelDirectory: directory.path, requestsPerMinute: 2 });
    const statuses: number[] = [];
    for (const path of ['/', '/assets/index-abc.js', '/firewalls']) {
      statuses.push((await limited.send('nobody', `GET ${path}`, { headers: html })).status);
    }
    expect(statuses).toEqual([200, 200, 429]);
    await limited.close();
  });
});
