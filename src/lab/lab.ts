/**
 * `tunwall/lab`: a firewall with hosts around it, and real packets between them.
 *
 * Life: `Lab.create` builds the network and starts the firewall; `reset` makes it as it was; `close`, or the end of this process
 * however it ends, removes all of it.
 */
import type { Gateway } from './gateway.ts';
import { Gateway as LabGateway } from './gateway.ts';
import type { Host } from './host.ts';
import { readConfig } from './lab-config.ts';
import { planHosts } from './lab-plan.ts';
import type { PlannedHost } from './lab-plan.ts';
import { Network, whyNoLab } from './network.ts';
import { reachabilityOf } from './reachability.ts';
import { writeReport } from './report.ts';
import { buildTopology } from './topology.ts';
import type { LabOptions, Probe } from './types.ts';

const tools = ['ip', 'nft', 'ping', 'curl', 'nc', 'sysctl'];

/** What a lab is made of. */
interface LabParts<Name extends string> {
  readonly network: Network;
  readonly plans: readonly PlannedHost[];
  readonly hosts: Readonly<Record<Name, Host>>;
  readonly routers: Readonly<Record<string, Host>>;
  readonly gw: Gateway;
  readonly reports: string | undefined;
}

export class Lab<Name extends string = string> {
  readonly hosts: Readonly<Record<Name, Host>>;
  readonly routers: Readonly<Record<string, Host>>;
  /** The firewall, and the machine that it runs on. */
  readonly gw: Gateway;
  readonly #parts: LabParts<Name>;
  #atStart: ReadonlyMap<Host, ReadonlySet<unknown>> = new Map();

  /** Why there can be no lab here, in one sentence; `undefined` where there can. */
  static async obstacle(): Promise<string | undefined> {
    if (process.platform !== 'linux') return `labs need Linux, and this is ${process.platform}`;
    const error = await whyNoLab(tools);
    return error === undefined ? undefined : `${error.message} (${error.hint})`;
  }

  /**
   * A network with the firewall running, and everything served that the options say.
   *
   * @throws LabError where there can be none, and for hosts that do not fit together
   * @throws FirewallConfigError with every error of the configuration
   */
  static async create<Name extends string = 'client' | 'server'>(
    options: LabOptions<Name> = {},
  ): Promise<Lab<Name>> {
    const obstacle = await whyNoLab(tools);
    if (obstacle !== undefined) throw obstacle;
    const plans = planHosts(options.hosts);
    const files = readConfig(options.firewall ?? {});
    const network = Network.create('twlab');
    network.unref();
    try {
      const { hosts, routers } = await buildTopology(network, plans);
      const gw = new LabGateway(
        network,
        plans.map(({ gatewayAddress }) => gatewayAddress.replace(/\/.*/, '')),
        files,
      );
      const lab = new Lab<Name>({
        network,
        plans,
        gw,
        reports: options.reports,
        hosts,
        routers,
      });
      await lab.#begin();
      return lab;
    } catch (error) {
      await network.close();
      throw error;
    }
  }

  private constructor(parts: LabParts<Name>) {
    this.#parts = parts;
    this.hosts = parts.hosts;
    this.routers = parts.routers;
    this.gw = parts.gw;
  }

  async #begin(): Promise<void> {
    const { plans, gw } = this.#parts;
    await Promise.all([
      gw.begin(),
      ...plans.map(async ({ name, serves }) => {
        if (serves.length > 0) await this.hosts[name as Name].serve(...serves);
      }),
    ]);
    this.#atStart = new Map(this.#all().map((host) => [host, host.running()]));
  }

  #all(): Host[] {
    return [...Object.values<Host>(this.hosts), ...Object.values(this.routers), this.gw];
  }

  /**
   * Who reaches whom, as a table: a row for each sender, and what passes to each target. `.` is nothing.
   *
   * @param probes what is tried; by default ping, and what the target serves
   */
  async reachability(probes?: readonly Probe[]): Promise<string> {
    return await reachabilityOf(Object.values<Host>(this.hosts), this.gw, probes);
  }

  /** Between tests: the first policy, no flows, no drops, and only the programs that were there at the start. */
  async reset(): Promise<void> {
    await Promise.all(this.#all().map((host) => host.stop(this.#atStart.get(host))));
    await this.gw.reset();
  }

  /** Writes topology, drops, flows, packets with their verdicts, policy and log. Returns the directory. */
  async report(): Promise<string> {
    return await writeReport(this.#parts);
  }

  /** Runs a part of a test. If it throws, a report is written, and the error names it. */
  async check<T>(part: () => Promise<T>): Promise<T> {
    try {
      return await part();
    } catch (error) {
      if (error instanceof Error) error.message += `\n\nreport of the lab: ${await this.report()}`;
      throw error;
    }
  }

  /** Removes all of it. */
  async close(): Promise<void> {
    await this.#parts.network.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}
