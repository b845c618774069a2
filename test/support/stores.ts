/** Configuration directories on a real disk, with a store on them. */
import { mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { FileStore } from '../../src/control/store/files/file-store.ts';
import { StoreError } from '../../src/control/store/store.ts';
import type { Actor, Failure, Operation } from '../../src/control/store/store.ts';

export const alice: Actor = { name: 'alice', via: 'api', address: '192.0.2.1' };

/** Hand-written files, with all that an edit has to keep. */
export const webText = `# The public servers.
description: Public web server

inbound:
  - { protocol: tcp, ports: [80, "443"], comment: HTTP } # both
  # from the office
  - protocol: tcp
    ports: [22]
    sources: [198.51.100.0/24]
`;
export const serversText = `# Protected servers.
servers:
  - name: web-1 # the first
    addresses: [10.0.0.2]
    templates: [web] # a union

  - name: db-1
    addresses: [10.0.0.3, 10.0.1.3]
`;

export class TestDirectory {
  readonly path: string;
  readonly warnings: string[] = [];

  static async create(files: Record<string, string> = {}): Promise<TestDirectory> {
    const directory = new TestDirectory(await mkdtemp(join(tmpdir(), 'twt-store-')));
    await directory.write(files);
    return directory;
  }

  private constructor(path: string) {
    this.path = path;
  }

  async write(files: Record<string, string>): Promise<void> {
    for (const [name, text] of Object.entries(files)) {
      await mkdir(dirname(join(this.path, name)), { recursive: true });
      await writeFile(join(this.path, name), text);
    }
  }

  text(name: string): Promise<string> {
    return readFile(join(this.path, name), 'utf8');
  }

  /** Everything in the directory but the state, by name. */
  async contents(): Promise<Record<string, string>> {
    const found: Record<string, string> = {};
    for (const name of ['', ...(await readdir(this.path))].filter((each) => each !== '.state')) {
      const folder = join(this.path, name);
      if (name !== '' && !(await stat(folder)).isDirectory()) found[name] = await this.text(name);
      else if (name !== '') {
        for (const each of await readdir(folder)) {
          found[`${name}/${each}`] = await this.text(`${name}/${each}`);
        }
      }
    }
    return found;
  }

  store(options: { lockPatienceMs?: number } = {}): Promise<FileStore> {
    return FileStore.open(this.path, {
      onWarning: (message) => this.warnings.push(message),
      ...options,
    });
  }

  remove(): Promise<void> {
    return rm(this.path, { recursive: true });
  }
}

/** What a refused change says. */
export async function failuresOf(work: Promise<unknown>): Promise<readonly Failure[]> {
  try {
    await work;
  } catch (error) {
    if (error instanceof StoreError) return error.failures;
    throw error;
  }
  throw new Error('it was not refused');
}

export const assign = (
  servers: readonly string[],
  templates: readonly string[],
  kind: 'assign' | 'unassign' = 'assign',
): Operation => ({ kind, servers, templates });
