/** The firewall of a lab and the machine that it runs on: what a test does with them. */
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import type { ConfigFiles } from '../control/store/config-texts.ts';
import { open } from './control-socket.ts';
import { FirewallProcess } from './firewall-process.ts';
import { Host } from './host.ts';
import { policyOf, readConfig, writeConfig } from './lab-config.ts';
import type { Network } from './network.ts';
import type { LabDrop, LabFlow, PolicyInput } from './types.ts';

/** Packets that are kept for a report. */
const maxPacketBytes = 32 << 20;

export class Gateway extends Host {
  /** @internal */
  readonly packets: string;
  readonly #firewall: FirewallProcess;
  readonly #first: ConfigFiles;
  #files: ConfigFiles;
  /** Drops up to here were before the last reset. */
  #seenDrop = 0;

  /** @internal */
  constructor(network: Network, addresses: readonly string[], files: ConfigFiles) {
    super(network, 'gateway', addresses);
    this.#first = files;
    this.#files = files;
    this.#firewall = new FirewallProcess(network);
    this.packets = join(network.directory, 'packets.pcapng');
  }

  /** @internal */
  get log(): string {
    return this.#firewall.log;
  }

  /** @internal */
  async begin(): Promise<void> {
    const { directory, socket } = this.#firewall;
    writeConfig(directory, this.#files, socket);
    await this.#firewall.gateway('up', '--config', directory);
    this.#firewall.spawn();
    await this.#firewall.untilUp();
    await this.#keepPackets();
  }

  async #keepPackets(): Promise<void> {
    const { sent, answer } = open(this.#firewall.socket, 'GET', '/v1/capture');
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
    return await this.#firewall.request<T>(method, path, body);
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
