/**
 * Speaks to an etcd cluster by its JSON gateway (`/v3/...`), over node:https, without a package.
 *
 * One endpoint is in use; when it fails, the next one is tried, and stays in use. A try lasts two seconds at most, all tries
 * of a call together six: a member that has been stopped accepts connections and answers nothing. Before an endpoint is
 * used its version is checked, and with each answer that all of them are members of one cluster.
 *
 * A call that only reads is repeated at the other endpoints. One that writes (`write`) is repeated only when it was certainly
 * not received; otherwise its error says `isLost`, and the caller has to look what became of it.
 */
import http from 'node:http';
import https from 'node:https';
import type { EtcdConfig } from '../../../policy/types.ts';
import { asOwnerOf } from '../../../system/privileges.ts';
import { readRegularFile } from '../../../system/safe-file.ts';
import { EtcdError, answeredError, isOldToken, requireSafeVersion } from './etcd-errors.ts';

const tryMs = 2000;
const callMs = 6000;
/** An answer has a piece of a text, or a page of commits. */
const maxAnswerBytes = 64 << 20;
const maxCredentialBytes = 1 << 20;

/** What every answer has. Numbers of 64 bits are texts; what is 0, false or empty is left out. */
interface Answer {
  readonly header?: { readonly cluster_id?: string; readonly revision?: string };
}

interface TlsFiles {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

interface RawAnswer {
  readonly status: number;
  readonly text: string;
}

export interface EtcdStream {
  /** Ends the stream. */
  close(): void;
  /** Resolves when it has ended, for whatever reason. */
  readonly ended: Promise<void>;
}

export class EtcdClient {
  readonly #config: EtcdConfig;
  readonly #directory: string;
  readonly #plain: http.Agent = new http.Agent({ keepAlive: true });
  /** Absent until its files are read. */
  #secure: { readonly agent: https.Agent; readonly tls: TlsFiles } | undefined;
  /** Index of the endpoint in use. */
  #current = 0;
  #token: string | undefined;
  #password: string | undefined;
  #cluster: string | undefined;
  /** Endpoints whose version was found good since they failed last. */
  readonly #checked: Set<string> = new Set<string>();

  /** @param directory whose gateway.yaml names the cluster */
  constructor(config: EtcdConfig, directory: string) {
    this.#config = config;
    this.#directory = directory;
    // Gateways that start together do not all ask the same member.
    this.#current = Math.floor(Math.random() * config.endpoints.length);
  }

  get endpoint(): string {
    return this.#config.endpoints[this.#current]!;
  }

  /** A call that changes nothing. @throws EtcdError */
  read<T>(path: string, body: object): Promise<T & Answer> {
    return this.#call<T>(path, body, () => true);
  }

  /** A call that changes something. @throws EtcdError */
  write<T>(path: string, body: object): Promise<T & Answer> {
    return this.#call<T>(path, body, ({ isLost }) => !isLost);
  }

  /** The next call goes to another endpoint. */
  moveOn(): void {
    this.#checked.delete(this.endpoint);
    // Certificates may have been renewed.
    this.#secure = undefined;
    this.#current = (this.#current + 1) % this.#config.endpoints.length;
  }

  async #call<T>(
    path: string,
    body: object,
    mayRepeat: (error: EtcdError) => boolean,
  ): Promise<T & Answer> {
    const untilMs = performance.now() + callMs;
    let failure: EtcdError | undefined;
    for (let tries = 0; tries < 2 * this.#config.endpoints.length; tries++) {
      const leftMs = untilMs - performance.now();
      if (leftMs < 100) break;
      try {
        return await this.#try<T>(path, body, Math.min(tryMs, leftMs));
      } catch (error) {
        const known = asEtcdError(error);
        // The same everywhere, or for the caller to decide.
        if (['no-space', 'denied', 'too-large', 'unauthenticated'].includes(known.trouble)) {
          throw known;
        }
        // Of several reasons the one that says more than "unreachable" is the better one.
        if (failure === undefined || known.trouble !== 'unreachable') failure = known;
        this.moveOn();
        if (!mayRepeat(known)) throw known;
      }
    }
    throw failure ?? new EtcdError('unreachable', 'etcd does not answer');
  }

  /** An answer may repeat what it was asked. */
  #withoutSecrets(answer: string): string {
    let text = answer;
    for (const each of [this.#token ?? '', this.#password ?? '']) {
      const written = JSON.stringify(each).slice(1, -1);
      if (each !== '') text = text.replaceAll(each, '…').replaceAll(written, '…');
    }
    return text;
  }

  async #try<T>(path: string, body: object, timeoutMs: number): Promise<T & Answer> {
    const { endpoint } = this;
    await this.#check(endpoint, timeoutMs);
    let answer = await this.#authorized(endpoint, path, body, timeoutMs);
    if (answer.status !== 200 && isOldToken(answer.text) && this.#config.user !== undefined) {
      this.#token = undefined;
      answer = await this.#authorized(endpoint, path, body, timeoutMs);
    }
    return this.#parsed(endpoint, answer) as T & Answer;
  }

  async #authorized(
    endpoint: string,
    path: string,
    body: object,
    timeoutMs: number,
  ): Promise<RawAnswer> {
    this.#token ??= await this.#authenticate(endpoint, timeoutMs);
    return await this.#post(endpoint, path, body, timeoutMs, this.#token);
  }

  #parsed(endpoint: string, { status, text }: RawAnswer): Answer {
    let value: Answer & {
      readonly error?: string;
      readonly message?: string;
      readonly result?: Answer;
    };
    try {
      value = JSON.parse(text) as typeof value;
    } catch {
      throw new EtcdError('unexpected', `${endpoint} answers ${status}, and no JSON`, true);
    }
    if (status !== 200) {
      const { error, message } = value;
      const answered = error ?? message ?? String(status);
      throw answeredError(endpoint, answered, this.#withoutSecrets(answered));
    }
    // An answer out of a stream is in one more object.
    const cluster = (value.result ?? value).header?.cluster_id;
    this.#cluster ??= cluster;
    if (cluster !== this.#cluster) {
      const message = `${endpoint} belongs to another cluster than the endpoint before: all of store.etcd.endpoints have to be members of one; after the cluster was made anew, restart tunwall`;
      throw new EtcdError('wrong-cluster', message, true);
    }
    return value;
  }

  async #check(endpoint: string, timeoutMs: number): Promise<void> {
    if (this.#checked.has(endpoint)) return;
    const { status, text } = await this.#request(endpoint, 'GET', '/version', '', timeoutMs);
    const found = /"etcdserver":\s*"([^"]+)"/.exec(text)?.[1];
    if (status !== 200 || found === undefined) {
      const message = `${endpoint} does not answer as etcd does: is it the address for clients?`;
      throw new EtcdError('unexpected', message);
    }
    requireSafeVersion(endpoint, found);
    this.#checked.add(endpoint);
  }

  /** A token; empty without a user. */
  async #authenticate(endpoint: string, timeoutMs: number): Promise<string> {
    const { user, passwordFile } = this.#config;
    if (user === undefined) return '';
    let password: string;
    try {
      password = this.#readFile(passwordFile!)
        .toString('utf8')
        .replace(/\r?\n$/, '');
    } catch (error) {
      const message = `${passwordFile!} cannot be read: ${(error as Error).message}`;
      throw new EtcdError('unauthenticated', message);
    }
    this.#password = password;
    const path = '/v3/auth/authenticate';
    const answer = await this.#post(endpoint, path, { name: user, password }, timeoutMs, '');
    // A cluster without authentication needs no token.
    if (answer.status !== 200 && /authentication is not enabled/.test(answer.text)) return '';
    return (this.#parsed(endpoint, answer) as { readonly token?: string }).token ?? '';
  }

  #post(
    endpoint: string,
    path: string,
    body: object,
    timeoutMs: number,
    token: string,
  ): Promise<RawAnswer> {
    return this.#request(endpoint, 'POST', path, JSON.stringify(body), timeoutMs, token);
  }

  #request(
    endpoint: string,
    method: string,
    path: string,
    body: string,
    timeoutMs: number,
    token = '',
  ): Promise<RawAnswer> {
    return new Promise((resolve, reject) => {
      let isSent = false;
      const failed = (why: string): void => {
        reject(new EtcdError('unreachable', `${endpoint} does not answer: ${why}`, isSent));
      };
      const request = this.#open(endpoint, method, path, token, (response) => {
        const chunks: Buffer[] = [];
        let size = 0;
        response.on('data', (chunk: Buffer) => {
          size += chunk.length;
          if (size > maxAnswerBytes) request.destroy(new Error('the answer is too long'));
          else chunks.push(chunk);
        });
        response.on('end', () => {
          clearTimeout(timer);
          const text = Buffer.concat(chunks).toString('utf8');
          resolve({ status: response.statusCode ?? 0, text });
        });
        response.on('error', (error) => failed(error.message));
        response.on('aborted', () => failed('it has hung up'));
      });
      const timer = setTimeout(() => {
        request.destroy(new Error(`nothing for ${Math.round(timeoutMs)} ms`));
      }, timeoutMs);
      request.on('error', (error) => {
        clearTimeout(timer);
        failed(error.message);
      });
      request.on('socket', (socket) => {
        // From here on the request may have been received.
        const sent = (): void => {
          isSent = true;
        };
        if (socket.connecting) socket.once(isTls(endpoint) ? 'secureConnect' : 'connect', sent);
        else sent();
      });
      request.end(body);
    });
  }

  #open(
    endpoint: string,
    method: string,
    path: string,
    token: string,
    onResponse: (response: http.IncomingMessage) => void,
    options: http.RequestOptions = {},
  ): http.ClientRequest {
    const headers = {
      'content-type': 'application/json',
      ...(token !== '' && { authorization: token }),
    };
    const url = new URL(path, endpoint);
    if (isTls(endpoint)) {
      const { agent, tls } = this.#secured();
      return https.request(url, { method, headers, agent, ...tls, ...options }, onResponse);
    }
    return http.request(url, { method, headers, agent: this.#plain, ...options }, onResponse);
  }

  /** Whoever owns the directory says which file goes to which endpoint: it is read with that user's rights. */
  #readFile(path: string): Buffer {
    return asOwnerOf([this.#directory], () => readRegularFile(path, maxCredentialBytes)).bytes;
  }

  /** @throws EtcdError when a file cannot be read: the policy in force stays, as with a cluster that is away */
  #secured(): { readonly agent: https.Agent; readonly tls: TlsFiles } {
    if (this.#secure === undefined) {
      const read = (path: string | undefined): Buffer | undefined => {
        try {
          return path === undefined ? undefined : this.#readFile(path);
        } catch (error) {
          const message = `${path!} cannot be read: ${(error as Error).message}`;
          throw new EtcdError('unreachable', message);
        }
      };
      const [ca, cert, key] = [this.#config.ca, this.#config.cert, this.#config.key].map(read);
      const tls = { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) };
      this.#secure = { agent: new https.Agent({ keepAlive: true, ...tls }), tls };
    }
    return this.#secure;
  }

  /**
   * Opens a stream of answers at the endpoint in use.
   *
   * @param onAnswer each of them
   */
  stream(path: string, body: object, onAnswer: (answer: unknown) => void): EtcdStream {
    const { endpoint } = this;
    let end: () => void = () => undefined;
    const ended = new Promise<void>((resolve) => (end = resolve));
    const onResponse = (response: http.IncomingMessage): void => {
      response.setEncoding('utf8');
      let rest = '';
      response.on('data', (text: string) => {
        const lines = (rest + text).split('\n');
        rest = lines.pop()!;
        for (const each of lines.filter((one) => one !== '')) {
          try {
            onAnswer(JSON.parse(each));
          } catch {
            request.destroy();
          }
        }
        if (rest.length > maxAnswerBytes) request.destroy();
      });
      response.on('close', end);
    };
    const options = { agent: false as const };
    let request: http.ClientRequest;
    try {
      request = this.#open(endpoint, 'POST', path, this.#token ?? '', onResponse, options);
    } catch {
      // What it is, the next call says.
      end();
      return { close: () => undefined, ended };
    }
    request.on('error', end);
    request.on('close', end);
    request.end(JSON.stringify(body));
    return { close: () => request.destroy(), ended };
  }
}

function isTls(endpoint: string): boolean {
  return endpoint.startsWith('https:');
}

function asEtcdError(error: unknown): EtcdError {
  if (error instanceof EtcdError) return error;
  return new EtcdError('unexpected', (error as Error).message, true);
}
