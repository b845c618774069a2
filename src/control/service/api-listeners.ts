/** Everything through which clients reach the firewall: control socket, API, metrics. */
import { isWithin } from '../../policy/addresses.ts';
import type { GatewayConfig } from '../../policy/types.ts';
import type { PutAside } from '../../system/privileges.ts';
import type { Api } from '../api/api.ts';
import type { ApiContext } from '../api/context.ts';
import type { ApiOptions } from '../api/server.ts';
import { Certificate } from './certificate.ts';
import { listenOnSocket, listenOnTcp } from './control-socket.ts';
import { Listeners } from './listeners.ts';
import type { Tell } from './listeners.ts';

export class ApiListeners {
  readonly #tell: Tell;
  readonly #listeners: Listeners;
  readonly #apis: Api[] = [];
  #certificate: Certificate | undefined;

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

  /** Opens them, or goes on trying. @param rights for ports and directories that only root may use */
  async open(
    context: ApiContext,
    { api, metrics }: GatewayConfig,
    rights: PutAside,
  ): Promise<void> {
    // Loading it takes longer than the rest of a start: packets come first. It may lie where only root can read.
    const { buildApi } = await rights.asRoot(() => import('../api/server.ts'));
    const build = async (options: ApiOptions): Promise<Api> => {
      const built = await buildApi(context, options);
      this.#apis.push(built);
      return built;
    };
    const control = await build({ listener: 'socket' });
    await this.#listeners.open('control socket', () =>
      rights.asRoot(() => listenOnSocket(control, api.socket)),
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

  async close(): Promise<void> {
    this.#listeners.close();
    this.#certificate?.close();
    await Promise.all(this.#apis.map((api) => api.close()));
  }
}

/** Where the API is, for people. */
export function urlOf({ host, port, tls }: GatewayConfig['api']): string {
  return `${tls === undefined ? 'http' : 'https'}://${host}:${port}`;
}
