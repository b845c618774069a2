/** The firewall of a lab and the machine that it runs on: `tunwall gateway up`, `tunwall run`, and its control socket. */
import { createWriteStream, mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import type { ConfigFiles } from '../control/store/config-texts.ts';
import { ask, open } from './control-socket.ts';
import { Host } from './host.ts';
import { policyOf, readConfig, writeConfig } from './lab-config.ts';
import { LabError } from './lab-error.ts';
import type { Network } from './network.ts';
import type { LabDrop, LabFlow, PolicyInput } from './types.ts';

const program = fileURLToPath(new URL('../../dist/main.js', import.meta.url));

/** Packets that are kept for a report. */
const maxPacketBytes = 32 << 20;

/** For a start, on a machine that is busy. */
const patienceMs = 60_000;

interface Health {
  readonly status: string;
  readonly epoch: number;
  readonly gateway?: { readonly problems: readonly { readonly message?: string }[] };
}

export class Gateway extends Host {
  readonly #directory: string;
  readonly #first: ConfigFiles;
  #files: ConfigFiles;
  /** Drops up to here were before the last reset. */
  #seenDrop = 0;

  /** @internal */
  constructor(network: Network, addresses: readonly string[], files: ConfigFiles) {
    super(network, 'gateway', addresses);
    this.#directory = join(network.directory, 'config');
    this.#first = files;
    this.#files = files;
    this.#socketPath = join(network.directory, 'tunwall.sock');
    this.log = join(network.directory, 'firewall.log');
    this.packets = join(network.directory, 'packets.pcapng');
  }

  readonly #socketPath: string;
  /** @internal */
  readonly log: string;
  /** @internal */
  readonly packets: string;

  /** @internal */
  async begin(network: Network): Promise<void> {
    mkdirSync(this.#directory, { recursive: true });
    writeConfig(this.#directory, this.#files, this.#socketPath);
    const node = [process.execPath, program];
    await network.mustExec(this.name, [...node, 'gateway', 'up', '--config', this.#directory]);
    const log = openSync(this.log, 'a');
    network.spawn(this.name, [...node, 'run', '--config', this.#directory], log).unref();
    await this.#untilUp();
    await this.#keepPackets();
  }

  async #untilUp(): Promise<void> {
    const until = performance.now() + patienceMs;
    let health: Health | undefined;
    while (performance.now() < until) {
      health = await this.request<Health>('GET', '/healthz').catch(() => undefined);
      if (health?.status === 'ok') return;
      await sleep(20);
    }
    const problems = health?.gateway?.problems.map(({ message = '' }) => message) ?? [];
    const log = readFileSync(this.log, 'utf8').slice(-3000);
    throw new LabError(['the firewall does not start', ...problems, log].join('\n'), '');
  }

  async #keepPackets(): Promise<void> {
    const { sent, answer } = open(this.#socketPath, 'GET', '/v1/capture');
    const response = await answer;
    sent.on('error', () => undefined);
    const file = createWriteStream(this.packets);
    let bytes = 0;
    response
      .on('error', () => undefined)
      .on('data', (piece: Buffer) => {
        bytes += piece.length;
        if (bytes <= maxPacketBytes) file.write(piece);
        else sent.destroy();
      });
    response.socket.unref();
  }

  /**
   * Changes the policy as an operator would: what is given replaces what was there of that kind (all templates, all servers, all
   * sets), or a directory all of it. Resolves when it is in force for every packet; gateway.yaml stays.
   *
   * @throws FirewallConfigError for a policy with errors; nothing has changed
   */
  async change(policy: PolicyInput | string): Promise<void> {
    await this.#replace(readConfig(policy, this.#files));
  }

  async #replace(files: ConfigFiles): Promise<void> {
    const operation = { kind: 'replace-policy', files: Object.fromEntries(policyOf(files)) };
    await this.request('POST', '/v1/changes', { operations: [operation] });
    this.#files = files;
  }

  /** Flows that are tracked now; a thousand at most. */
  async flows(): Promise<readonly LabFlow[]> {
    const { flows } = await this.request<{ flows: LabFlow[] }>('GET', '/v1/flows?limit=1000');
    return flows;
  }

  /** The last thousand packets that were dropped, since the last reset. A drop is listed within a second. */
  async drops(): Promise<readonly LabDrop[]> {
    const { drops } = await this.request<{ drops: LabDrop[] }>('GET', '/v1/drops?limit=1000');
    return drops.filter(({ id }) => id > this.#seenDrop);
  }

  /** The HTTP API, as owner: docs/api.md. @throws LabError with what is wrong */
  async request<T>(method: 'GET' | 'POST' | 'DELETE', path: string, body?: object): Promise<T> {
    return await ask<T>(this.#socketPath, method, path, body);
  }

  /** @internal */
  async reset(): Promise<void> {
    await this.#replace(this.#first);
    for (let flows = await this.flows(); flows.length > 0; flows = await this.flows()) {
      for (const { id } of flows) {
        // It may have ended by itself.
        await this.request('DELETE', `/v1/flows/${id}`).catch(() => undefined);
      }
    }
    const { drops } = await this.request<{ drops: LabDrop[] }>('GET', '/v1/drops?limit=1');
    this.#seenDrop = drops[0]?.id ?? this.#seenDrop;
  }
}
