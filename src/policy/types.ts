/** Templates, servers and the gateway's own settings, as they are after validation. */
import type { FastPathMode } from '../system/fast-path.ts';
import type { TimeoutName } from '../dataplane/flow/timeouts.ts';
import type { Ranges } from './ranges.ts';

/** Of something that is being put together. */
export type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export type RuleProtocol = 'all' | 'icmp' | 'tcp' | 'udp';

/** Ports from `from` to `to`, both included. */
export interface PortRange {
  readonly from: number;
  readonly to: number;
}

/** Addresses from `from` to `to`, both included, as unsigned 32-bit values; `text` is how it was written. */
export interface AddressRange {
  readonly from: number;
  readonly to: number;
  readonly text: string;
}

/** One condition of a selector. `exists` and `absent` have no values. */
export interface Requirement {
  readonly key: string;
  readonly test: 'exists' | 'absent' | 'in' | 'notin';
  readonly values: readonly string[];
}

/** A condition on labels, and its text as written. */
export interface Selector {
  readonly text: string;
  readonly requirements: readonly Requirement[];
}

/** Servers or addresses by name. `text` is how it was written. */
export interface NamedPeer {
  readonly kind: 'server' | 'template' | 'set';
  readonly name: string;
  readonly text: string;
}

/** Every server whose labels match. */
export interface LabelPeer {
  readonly kind: 'label';
  readonly selector: Selector;
  readonly text: string;
}

export type GroupPeer = NamedPeer | LabelPeer;
export type Peer = AddressRange | GroupPeer;

/** One ALLOW rule. */
export interface Rule {
  readonly protocol: RuleProtocol;
  /** Absent: all of them. Only with tcp and udp. */
  readonly ports?: readonly PortRange[];
  /** Sources of an inbound rule, destinations of an outbound one. Absent: any. */
  readonly peers?: readonly Peer[];
  /** Taken away from the peers. */
  readonly except?: readonly Peer[];
  /** `false`: the rule stays in the file and allows nothing. Default: `true`. */
  readonly enabled?: boolean;
  /** From this moment on the rule allows nothing: RFC 3339, in UTC or with an offset. */
  readonly expires?: string;
  /** `true`: the flow log tells when a flow begins that the rule allows. Default: `false`. */
  readonly log?: boolean;
  readonly comment?: string;
}

export interface Template {
  readonly name: string;
  readonly description?: string;
  /** Servers whose labels match any of these have the template, beside those that name it. */
  readonly appliesTo?: readonly Selector[];
  readonly inbound: readonly Rule[];
  readonly outbound: readonly Rule[];
}

/** A named set of addresses. */
export interface AddressSet {
  readonly name: string;
  readonly description?: string;
  readonly addresses: readonly AddressRange[];
  /** Taken away from everything else in the set, included sets too. */
  readonly except: readonly AddressRange[];
  /** Names of sets that are part of this one. */
  readonly include: readonly string[];
  /** The name of a list of addresses beside the set's file, and what it says. */
  readonly file?: string;
  readonly list?: Ranges;
  /** Addresses, blocks and ranges in that list, as written. */
  readonly listEntries?: number;
}

/** What a policy is compiled from. */
export interface PolicySource {
  readonly templates: readonly Template[];
  readonly servers: readonly Server[];
  /** Default: none. */
  readonly sets?: readonly AddressSet[];
  /** Default: nothing is answered. */
  readonly gateway?: Pick<GatewayConfig, 'reject'>;
}

/** What is answered instead of only dropped, and how often at most. */
export interface RejectSettings {
  readonly inbound: boolean;
  readonly outbound: boolean;
  /** Answers a second, in all and to packets of one source. */
  readonly perSecond: number;
  readonly perSourcePerSecond: number;
}

export interface Server {
  readonly name: string;
  /** Unsigned 32-bit. */
  readonly addresses: readonly number[];
  /** Names of the templates that it names itself; others may apply to its labels. */
  readonly templates: readonly string[];
  readonly region?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** Its own setting; a direction without one has that of the gateway. */
  readonly reject?: { readonly inbound?: boolean; readonly outbound?: boolean };
  /** `observe`: what no rule allows passes until then, and is listed (observe.ts). Default: `enforce`. */
  readonly mode?: ServerMode;
  /** With `observe`: when that ends, as {@link Rule.expires}. */
  readonly until?: string;
}

/** What becomes of packets of a server that no rule allows. */
export type ServerMode = 'enforce' | 'observe';

/** Where HTTP is served: an IPv4 address and a port. */
export interface Listen {
  readonly host: string;
  readonly port: number;
}

/** An etcd cluster that keeps the policy. */
export interface EtcdConfig {
  /** `https://HOST:PORT`, or `http://` on loopback. */
  readonly endpoints: readonly string[];
  /** Begins with a slash, and ends without one. */
  readonly prefix: string;
  /** PEM files: of who signs the cluster's certificates, and of this gateway's own. */
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly user?: string;
  readonly passwordFile?: string;
}

/** The flow log: a line for each flow that has ended, and for each that a rule with `log` has begun. */
export interface FlowLogConfig {
  readonly file: string;
  /** Of all flows, or only of those that a rule with `log` admitted. */
  readonly of: 'all' | 'rules';
  /** Bytes after which a new file is begun. */
  readonly maxSize: number;
  /** How many full files are kept beside it. */
  readonly keep: number;
}

export interface GatewayConfig {
  readonly device: string;
  readonly queues: number;
  readonly offload: 'auto' | 'off';
  readonly ioUring: 'auto' | 'off';
  /** Whether the kernel carries established flows past the device. */
  readonly fastPath: FastPathMode;
  /** Length of the device's ring in packets. */
  readonly txQueueLength: number;
  readonly flows: {
    readonly capacity: number;
    /** Part of the table, 0 to 1, that the flows of one server may fill. */
    readonly perServerShare: number;
    /** Keep flows for the next process, in a file beside the control socket. */
    readonly survive: boolean;
  };
  readonly fragments: {
    /** Bytes for fragments of incomplete datagrams. */
    readonly memory: number;
  };
  /** In seconds. */
  readonly timeouts: Readonly<Record<TimeoutName, number>>;
  readonly tcp: {
    /** Pick up connections in mid-stream. */
    readonly loose: boolean;
    /** Let out-of-window segments other than RST pass. */
    readonly liberal: boolean;
  };
  /** With errors in the configuration: start with the last good one, or not at all. */
  readonly start: 'last-good' | 'strict';
  /** For servers that do not say it themselves. */
  readonly reject: RejectSettings;
  /** What a policy change does to flows that it forbids; `drain` in seconds. */
  readonly reload: 'cut' | 'keep' | { readonly drain: number };
  readonly tests: {
    /** Refuse a reload while a test beside the configuration fails. */
    readonly onReload: boolean;
  };
  readonly api: Listen & {
    /** Names allowed in the Host header, beside addresses and localhost; lower case. */
    readonly hosts: readonly string[];
    /** Path of the control socket. */
    readonly socket: string;
    /** Files of a certificate chain and its key, as PEM. */
    readonly tls?: { readonly cert: string; readonly key: string };
    /** Other than loopback without TLS. */
    readonly insecure: boolean;
    /** Proxies whose X-Forwarded-For and X-Forwarded-Proto count. */
    readonly trustedProxies: readonly AddressRange[];
  };
  readonly metrics: {
    /** Where metrics and health are served beside the API; absent: there only. */
    readonly listen?: Listen;
    /** Clients that may ask for them by any name. */
    readonly allow: readonly AddressRange[];
  };
  readonly log: {
    readonly level: string;
    readonly dropsPerSecond: number;
    /** Absent: no flow log. */
    readonly flows?: FlowLogConfig;
  };
  /** Where the policy lies; absent: in the configuration directory. */
  readonly store?: { readonly etcd: EtcdConfig };
  /** Of this gateway, among those that share a policy. */
  readonly name?: string;
  readonly region?: string;
  /** Of users, history and audit log; absent: users lie in the configuration directory, the rest where `statePlaceOf` says. */
  readonly stateDirectory?: string;
}

/** An error in the configuration: its place, and what was expected. */
export interface Problem {
  readonly severity: 'error' | 'warning';
  /** As the user would name it. */
  readonly file: string;
  /** From 1; 0 when the problem has no place in the file. */
  readonly line: number;
  readonly column: number;
  /** `inbound[2].ports[0]`; empty for the file as a whole. */
  readonly path: string;
  readonly message: string;
}
