/** The API over TLS: its certificate comes from files, and a renewed one is taken without a restart. */
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Api } from '../../../../src/control/api/api.ts';
import { Certificate } from '../../../../src/control/service/certificate.ts';
import { ApiLab } from '../../../support/api.ts';
import { firstCertificate, secondCertificate } from '../../../support/certificates.ts';

let directory: string;
let files: { cert: string; key: string };
let lab: ApiLab;
let api: Api;
let port: number;
let certificate: Certificate;
const said: string[] = [];

function write({ cert, key }: { cert: string; key: string }): void {
  for (const [name, text] of Object.entries({ cert, key })) {
    const path = join(directory, name);
    writeFileSync(`${path}.new`, text);
    renameSync(`${path}.new`, path);
  }
}

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'tunwall-tls-'));
  files = { cert: join(directory, 'cert'), key: join(directory, 'key') };
  write(firstCertificate);
  lab = await ApiLab.create();
  api = await lab.build('tcp', { tls: true });
  said.length = 0;
  const tell = (message: string): void => void said.push(message);
  certificate = new Certificate(files, api, { warn: tell, info: tell });
});
afterEach(async () => {
  vi.useRealTimers();
  certificate.close();
  await api.close();
  await lab.close();
  rmSync(directory, { recursive: true });
});

async function listen(): Promise<void> {
  await certificate.load();
  await api.listen({ host: '127.0.0.1', port: 0 });
  port = (api.server.address() as { port: number }).port;
}

/** The first line of the answer to a request, if the server's certificate is the expected one. */
function ask(expected: { cert: string }): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, ca: expected.cert }, () => {
      socket.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
    });
    socket.once('data', (data: Buffer) => {
      resolve(data.toString().split('\r\n')[0]!);
      socket.destroy();
    });
    socket.once('error', reject);
  });
}

it('answers over TLS, and to nobody else', async () => {
  await listen();
  expect(await ask(firstCertificate)).toBe('HTTP/1.1 200 OK');
  await expect(ask(secondCertificate)).rejects.toThrow(/self-signed|self signed|signature/);
  await expect(fetch(`http://127.0.0.1:${port}/healthz`)).rejects.toThrow();
});

it('takes a renewed certificate; one that does not fit its key leaves the old one in force', async () => {
  await listen();
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  certificate.watch();
  writeFileSync(files.cert, secondCertificate.cert);
  vi.advanceTimersByTime(5000);
  await vi.waitFor(() => expect(said).toHaveLength(1));
  expect(said[0]).toMatch(/^the certificate of the API stays the old one: .*key values mismatch/);
  expect(await ask(firstCertificate)).toBe('HTTP/1.1 200 OK');
  write(secondCertificate);
  vi.advanceTimersByTime(5000);
  await vi.waitFor(() => expect(said).toHaveLength(2));
  expect(said[1]).toBe('the certificate of the API was renewed');
  expect(await ask(secondCertificate)).toBe('HTTP/1.1 200 OK');
});

it('says which file cannot be read or used', async () => {
  rmSync(files.key);
  await expect(certificate.load()).rejects.toThrow(`${files.key} cannot be read: ENOENT`);
  writeFileSync(files.key, 'x');
  await expect(certificate.load()).rejects.toThrow(`${files.cert} and ${files.key} cannot be used`);
});
