/** What `tunwall/lab` takes and gives. */
import type { FirewallConfig } from '../testing/config-input.ts';
import type { TestFlow } from '../testing/firewall.ts';

/** `tcp:443`: HTTP on that port. `udp:53`: an echo. */
export type Service = `${'tcp' | 'udp'}:${number}`;

export type Probe = 'ping' | Service;

export interface HostOptions {
  /** With prefix length, all in one network of its own: `10.0.0.2/24`. The first one is that of the host. */
  readonly address: string | readonly string[];
  /** Of the firewall, on the host's cable. Default: the first address of the network. */
  readonly gateway?: string;
  /** Routers in front of the host, from the firewall outwards. */
  readonly routers?: readonly string[];
  readonly serves?: readonly Service[];
}

/** What can change while the firewall runs. */
export type PolicyInput = Omit<FirewallConfig, 'gateway'>;

export interface LabOptions<Name extends string = string> {
  /** By name. Default: `client` at 198.51.100.2/24 and `server` at 10.0.0.2/24. */
  readonly hosts?: Readonly<Record<Name, string | HostOptions>>;
  /** A configuration directory, which is read and not changed, or its content. Default: nothing may pass. */
  readonly firewall?: string | FirewallConfig;
  /** Where reports are written. Default: the directory for temporary files. */
  readonly reports?: string;
}

export interface Finished {
  /** 124: stopped after `timeoutMs`; 127: there is no such program. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ExecOptions {
  /** Default: 60,000. */
  readonly timeoutMs?: number;
  readonly input?: string;
}

export interface Fetched {
  /** There was an answer, with a status below 400. */
  readonly ok: boolean;
  /** 0: there was no answer. */
  readonly status: number;
  readonly body: string;
  /** What curl says when there was no answer. */
  readonly error: string;
}

/** A packet that was dropped, as `tunwall drops --json` tells it. */
export interface LabDrop {
  readonly id: number;
  readonly at: string;
  readonly reason: string;
  readonly protocol: string;
  readonly source: string;
  readonly destination: string;
  readonly sourcePort?: number;
  readonly destinationPort?: number;
}

/** A tracked conversation, as `tunwall flows --json` tells it. */
export interface LabFlow extends TestFlow {
  readonly id: string;
}
