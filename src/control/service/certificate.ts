/**
 * The certificate of the API: files that other programs renew. They are read again when they change; a new one that cannot
 * be used leaves the old one in force.
 */
import type { Stats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Server, createSecureContext } from 'node:tls';
import { readRegularFile } from '../../system/safe-file.ts';
import type { Api } from '../api/api.ts';
import type { Tell } from './listeners.ts';

/** How often the files are looked at, in ms. */
const lookPeriodMs = 5000;

/** A chain of certificates is a few KiB. */
const maxBytes = 1 << 20;

export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

export class Certificate {
  readonly #tell: Tell;
  readonly #files: CertificateFiles;
  readonly #server: Server;
  #timer: NodeJS.Timeout | undefined;
  #identity = '';

  /** @param api built with `tls` */
  constructor(files: CertificateFiles, api: Api, tell: Tell) {
    this.#files = files;
    this.#tell = tell;
    if (!(api.server instanceof Server)) throw new Error('the API was built without TLS');
    this.#server = api.server;
  }

  /** Reads the files for new connections. @throws Error in words */
  async load(): Promise<void> {
    const identity = await this.#look();
    const context = { cert: read(this.#files.cert), key: read(this.#files.key) };
    try {
      createSecureContext(context);
    } catch (error) {
      const { cert, key } = this.#files;
      throw new Error(`${cert} and ${key} cannot be used: ${(error as Error).message}`, {
        cause: error,
      });
    }
    this.#server.setSecureContext(context);
    this.#identity = identity;
  }

  /** Loads the files again whenever they change. */
  watch(): void {
    const { warn, info } = this.#tell;
    let refused = '';
    this.#timer ??= setInterval(() => {
      void (async () => {
        const identity = await this.#look();
        if (identity === this.#identity || identity === refused) return;
        try {
          await this.load();
          info('the certificate of the API was renewed');
        } catch (error) {
          refused = identity;
          warn(`the certificate of the API stays the old one: ${(error as Error).message}`);
        }
      })();
    }, lookPeriodMs).unref();
  }

  close(): void {
    clearInterval(this.#timer);
  }

  /** Changes when a file does. */
  async #look(): Promise<string> {
    const { cert, key } = this.#files;
    const found = await Promise.all([cert, key].map((path) => stat(path).catch(() => undefined)));
    const identity = (each: Stats | undefined): string =>
      each === undefined ? '' : `${each.dev} ${each.ino} ${each.size} ${each.mtimeMs}`;
    return found.map(identity).join(', ');
  }
}

function read(path: string): Buffer {
  try {
    return readRegularFile(path, maxBytes).bytes;
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new Error(`${path} cannot be read: ${code ?? message}`, { cause: error });
  }
}
