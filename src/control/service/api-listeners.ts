/** Everything through which clients reach the firewall: control socket, API, metrics. */
import { setTimeout as sleep } from 'node:timers/promises';
import { isWithin } from '../../policy/addresses.ts';
import type { GatewayConfig } from '../../policy/types.ts';
import { defaultGatewayConfig } from '../../policy/validate-gateway.ts';
import type { PutAside } from '../../system/privileges.ts';
import type { Api } from '../api/api.ts';
import type { ApiOptions } from '../api/server.ts';
import { Certificate } from './certificate.ts';
import { listenOnOwnSocket, listenOnSocket, listenOnTcp } from './control-socket.ts';
import { Listeners } from './listeners.ts';
import type { Tell } from './listeners.ts';

/** How long a client may take to send the rest of a change, at the end. */
const patienceMs = 5000;

export class ApiListeners {
  readonly #tell: Tell;
  readonly #listeners: Listeners;
  readonly #apis: Api[] = [];
  #certificate: Certificate | undefined;
  #removeSecondName: () => Promise<void> = () => Promise.resolve();
  /** Requests that may change something, and are not answered yet. */
  #changes = 0;
  #isClosed = false;

  constructor(tell: Tell) {
    this.#tell = tell;
    this.#listeners = new Listeners(tell);
  }

  /** Tries to listen that have failed. */
  get failures(): number {
    return this.#listeners.failures;
  }

  /** What is not open at present, and why. */
  get error(): string | undefined {
    return this.#listeners.error;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Opens them, or goes on trying. @param rights for ports and directories that only root may use */
  async open(
    buildApi: (options: ApiOptions) => Promise<Api>,
    { api, metrics, device }: GatewayConfig,
    rights: PutAside,
  ): Promise<void> {
    const build = async (options: ApiOptions): Promise<Api> => {
      const built = await buildApi(options);
      this.#apis.push(built);
      this.#countChanges(built);
      return built;
    };
    const control = await build({ listener: 'socket' });
    await this.#listeners.open('control socket', () =>
      rights.asRoot(() => this.#listenOnSocket(control, api.socket, device)),
    );
    const open = {
      trustsProxy: (address: string) => isWithin(address, api.trustedProxies),
      mayMonitor: (address: string) => isWithin(address, metrics.allow),
    };
    const tcp = await build({ ...open, listener: 'tcp', tls: api.tls !== undefined });
    const certificate =
      api.tls === undefined ? undefined : new Certificate(api.tls, tcp, this.#tell);
    this.#certificate = certificate;
    await this.#listeners.open('API', async () => {
      await certificate?.load();
      await rights.asRoot(() => listenOnTcp(tcp, api));
    });
    certificate?.watch();
    const { listen } = metrics;
    if (listen === undefined) return;
    const monitoring = await build({ ...open, listener: 'metrics' });
    await this.#listeners.open('metrics', () =>
      rights.asRoot(() => listenOnTcp(monitoring, listen)),
    );
  }

  /** A path that somebody has written down is that; the usual one may be another firewall's. */
  async #listenOnSocket(control: Api, path: string, device: string): Promise<void> {
    if (path !== defaultGatewayConfig.api.socket) {
      await listenOnSocket(control, path);
      return;
    }
    const own = await listenOnOwnSocket(control, path, device);
    this.#removeSecondName = own.remove;
    if (own.path === path) return;
    this.#tell.warn(
      `another firewall has ${path}: the control socket is ${own.path}, which the command line finds in this network namespace`,
    );
  }

  /** Answers what would change something, and then nothing any more; streams end. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#removeSecondName();
    const deadlineMs = performance.now() + patienceMs;
    while (this.#changes > 0 && performance.now() < deadlineMs) await sleep(5);
    this.#listeners.close();
    this.#certificate?.close();
    await Promise.all(this.#apis.map((api) => api.close()));
  }

  #countChanges({ server }: Api): void {
    server.on('request', ({ method }, response) => {
      if (method === 'GET' || method === 'HEAD') return;
      this.#changes++;
      response.once('close', () => this.#changes--);
    });
  }
}

/** Where the API is, for people. */
export function urlOf({ host, port, tls }: GatewayConfig['api']): string {
  return `${tls === undefined ? 'http' : 'https'}://${host}:${port}`;
}
