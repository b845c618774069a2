/**
 * What the HTTP API needs from the rest of the program, and nothing more: the store, the firewall that enforces it, and
 * the firewall's live data.
 *
 * The firewall implements these interfaces (src/control/service). The command line builds the same API on a configuration
 * directory where no firewall runs (`offline.ts`): everything about templates, servers and users works there, and
 * requests for live data are answered with the problem `no-firewall`.
 *
 * Numbers are totals since the start, unless documented otherwise; bytes are those of IPv4 packets; addresses are text.
 */
import type { FlowEnds } from '../log/flow-line.ts';
import type { Readable } from 'node:stream';
import type { Registry } from 'prom-client';
import type { Survival } from '../../dataplane/engine/adoption.ts';
import type { ExplainSource } from '../../policy/explain.ts';
import type { SeenFlows } from '../../policy/suggest.ts';
import type { PolicySource, Problem, RejectSettings, Rule } from '../../policy/types.ts';
import type { FastPathMode } from '../../system/fast-path.ts';
import type { RuleDirection } from '../../text/rule-text.ts';
import type { TrafficHistory } from '../metrics/traffic-history.ts';
import type { Snapshot, Store } from '../store/store.ts';
import type { ConnectionCounts } from './connections.ts';
import type { Fleet } from './fleet.ts';
import type { DropField } from './live-words.ts';

export interface ApiContext {
  readonly store: Store;
  readonly controlPlane: ControlPlane;
  /** Absent without a firewall. */
  readonly metrics?: Registry;
  /** Absent without a firewall. */
  readonly observer?: Observer;
  /** Counts for the metrics; absent without a firewall. */
  readonly connectionCounts?: ConnectionCounts;
  /** Names allowed in the Host header, beside IP addresses and localhost (`api.hosts`). */
  readonly hosts: readonly string[];
  /** When requests may be answered. Absent: at once. */
  readonly opened?: Promise<void>;
  /** Warns the operator of the firewall. */
  readonly onWarning: (message: string) => void;
}

/** How the store that gateways share is reached, and since when what it says is known. */
export interface StoreStatus {
  readonly name: string;
  readonly endpoint: string;
  readonly connected: boolean;
  /** Why not; absent when it is. */
  readonly problem?: string;
  /** Seconds since a majority has last confirmed the policy; absent: never since the start. */
  readonly confirmedAgeSeconds?: number;
  /** Number of the newest change that this gateway has seen. */
  readonly revision: number;
}

/** The body of `/healthz`. */
export interface Health {
  /** Packets are being judged. */
  readonly healthy: boolean;
  readonly epoch: number;
  /** Why the last change of the configuration was refused; null when it was not. */
  readonly reloadError: string | null;
  /** Why edits of the configuration directory are not seen at present; absent when they are. */
  readonly watchError?: string;
  /** Why clients cannot reach it everywhere that they should; absent when they can. */
  readonly listenError?: string;
  /** Absent when the policy lies in the configuration directory. */
  readonly store?: StoreStatus;
  /** Absent without a firewall, and before its first look. */
  readonly gateway?: GatewayHealth;
}

/** Whether everything that leads packets to the firewall is as `gateway up` has set it. */
export interface GatewayHealth {
  /** `down`: `gateway up` was not run in the firewall's network namespace. */
  readonly state: 'ok' | 'degraded' | 'down';
  readonly problems: readonly GatewayProblem[];
  /** `absent`: no `gateway watch` runs, so that nftables are not seen and nothing is repaired. `stale`: it hangs, or was killed. */
  readonly watch: 'running' | 'report-only' | 'stale' | 'absent';
}

export interface GatewayProblem {
  /** `rule 20`, `net.ipv4.conf.eth0.rp_filter`, ... */
  readonly what: string;
  readonly wanted: string;
  readonly found: string;
  /** What a human can do about it. */
  readonly hint?: string;
}

/** Whether the stored policy is in force. */
export type Applied = AppliedHere & {
  /** Number of the change in a store that gateways share. */
  readonly change?: number;
  /** The gateways that run, and have not said yet that it is in force there. */
  readonly pendingGateways?: readonly string[];
};

export type AppliedHere =
  | { readonly applied: true; readonly epoch: number }
  /** `pending`: the reason, as a sentence. `epoch` is the one in force. */
  | { readonly applied: false; readonly epoch: number; readonly pending: string };

/** Whether the kernel carries established flows past the device. */
export interface FastPathStatus {
  readonly mode: FastPathMode;
  readonly on: boolean;
  readonly interfaces: readonly string[];
  /** Why it is not on. */
  readonly why?: string;
  /** Flows that are carried. */
  readonly flows: number;
}

export interface Status {
  readonly version: string;
  /** Whether a firewall runs. */
  readonly running: boolean;
  readonly configDirectory: string;
  readonly epoch: number;
  /** `Snapshot.revision` of the configuration in force; absent when no firewall runs. */
  readonly revision?: string;
  readonly policy: Readonly<Record<'templates' | 'servers' | 'sets' | 'rules', number>>;
  /** The gateway's setting, for servers without their own. */
  readonly reject: RejectSettings;
  /** Servers that let pass what no rule allows; absent: none. `until`: ISO 8601. */
  readonly observing?: readonly { readonly server: string; readonly until: string }[];
  readonly device?: string;
  readonly queues?: number;
  /** ISO 8601. */
  readonly startedAt?: string;
  readonly uptimeSeconds?: number;
  readonly flows?: { readonly count: number; readonly capacity: number };
  /** What the history of traffic takes. */
  readonly history?: { readonly bytes: number };
  readonly survival?: Survival;
  /** Absent where it is not wanted. */
  readonly fastPath?: FastPathStatus;
  readonly process?: ProcessStatus;
  readonly reloads?: number;
  readonly reloadFailures?: number;
  readonly reloadError: string | null;
  readonly watchError?: string;
  readonly listenError?: string;
  /** Of this gateway, as gateway.yaml says. */
  readonly name?: string;
  readonly region?: string;
  /** Absent when the policy lies in the configuration directory. */
  readonly store?: StoreStatus;
  /** Of the newest state of the store, warnings included. */
  readonly problems: readonly Problem[];
  /** Absent without a firewall, and before its first look. */
  readonly gateway?: GatewayHealth;
}

/** The process, and the line of processes that it is of. */
export interface ProcessStatus {
  readonly pid: number;
  /** The process that starts it again, and holds the device meanwhile. */
  readonly parent: number;
  /** ISO 8601. */
  readonly parentStartedAt: string;
  /** Processes that were started because the one before had died. */
  readonly restarts: number;
  readonly upgrades: number;
  /** How the one before has died, if it has. */
  readonly died?: string;
  /** For how long nothing was judged before this process began; absent: it is the first. */
  readonly gapMs?: number;
  /** The next one is being started. */
  readonly upgrading: boolean;
  /** Why the last upgrade has failed. */
  readonly upgradeError?: string;
}

export interface ControlPlane {
  health(): Health;
  status(): Promise<Status>;
  /**
   * The newest state of the store that has no errors; if there was none, the newest one. A firewall keeps it in memory,
   * so it is cheap to read.
   */
  snapshot(): Promise<Snapshot>;
  /** The policy in force, with what it was compiled from. */
  policy(): Promise<ExplainSource>;
  /** The store has changed: resolves when its present state is in force, or with the reason why it is not. */
  apply(): Promise<Applied>;
  /** Where no firewall runs that would do it: undoes a change that nobody has confirmed in time. @throws StoreError */
  undoOverdue?(): Promise<unknown>;
  /** This gateway, and the others on its store. */
  gateways(): Promise<Fleet>;
  /** Begins an upgrade: another process is to take over. Returns false while one is under way; absent without a firewall. */
  upgrade?(): boolean;
}

export interface FlowsCut {
  readonly count: number;
  /** By bytes, largest first; at most 20. */
  readonly largest: readonly Flow[];
  /** Whether the client is an end of one of them. */
  readonly ofClient: boolean;
}

/** The live side of the data plane. */
export interface Observer {
  flows(query: FlowQuery): Promise<FlowPage>;
  /** Ends a flow. @returns false when there is none of this id (any more) */
  killFlow(id: string): Promise<boolean>;
  /**
   * The flows that a policy would cut, if it were put in force with `reload: cut`.
   *
   * @param client the address of whoever asks
   */
  cutBy(policy: PolicySource, client?: string): Promise<FlowsCut>;
  /** Hits of the rules in force. Called for every rule of a listing, so it has to be cheap. */
  ruleHits(): RuleHits;
  totals(): Totals;
  /**
   * By the server's name; a server without traffic may be missing. This walks the live flows, at most four times a
   * second; between walks the last result is returned. No count ever decreases.
   */
  serverTotals(): Promise<ReadonlyMap<string, ServerTotals>>;
  readonly drops: Drops;
  readonly history: TrafficHistory;
  /** A growing pcapng file. It ends at `limit`; destroying it ends the capture. Bounded: a slow reader loses packets. */
  capture(options: CaptureOptions): Readable;
  /** What began only because this server observes or has observed; `undefined`: it has not. */
  wouldDrops(server: string): WouldDropRecord | undefined;
  /** The live flow that decides on this packet (from its IPv4 header on), and its verdict. Changes nothing. */
  explainLive(packet: Uint8Array): Promise<LiveVerdict | undefined>;
}

export interface RuleHits {
  /**
   * What the rule has let in or out. A rule that survives a policy change, or the process, keeps its count. `undefined`: this rule is not
   * (yet) in force.
   *
   * @param rule as it stands in the template of the newest snapshot
   */
  of(template: string, direction: RuleDirection, rule: Rule): RuleHit | undefined;
}

/** In ms since 1970. */
export interface RuleHit {
  /** How many flows it has opened. */
  readonly hits: number;
  /** The moment from which they count. */
  readonly sinceMs: number;
  /** When it opened the last one; absent: none since then. */
  readonly lastHitMs?: number;
}

export interface Traffic {
  readonly packets: number;
  readonly bytes: number;
}

export interface Judged {
  readonly passed: Traffic;
  readonly dropped: Traffic;
}

export interface Totals extends Judged {
  /** Packets by drop reason; every reason, also with 0. */
  readonly drops: Readonly<Record<string, number>>;
  readonly flows: {
    readonly count: number;
    readonly capacity: number;
    /** Flows opened so far. */
    readonly opened: number;
    /** Flows ended by policy changes so far. */
    readonly cut: number;
  };
}

/** To the server, and from it; also what earlier processes counted. */
export interface ServerTotals {
  readonly inbound: Judged;
  readonly outbound: Judged;
}

export interface FlowQuery {
  /** A server's name: flows of which one end is its address. */
  readonly server?: string;
  /** Either end; a single IPv4 address. */
  readonly address?: string;
  /** Either end. */
  readonly port?: number;
  readonly protocol?: 'tcp' | 'udp' | 'icmp';
  /** One of the flow states, as in the metric `tunwall_flows`. */
  readonly state?: string;
  /** That the policy in force allows by a rule of this template, or by this one. */
  readonly rule?: RuleName;
  /** The largest or oldest first; bytes and packets are those of both directions. */
  readonly sort: 'bytes' | 'packets' | 'age';
  /** At most so many. */
  readonly limit: number;
  /** The `next` of the page before. */
  readonly after?: string;
}

export interface RuleName {
  readonly template: string;
  readonly direction?: RuleDirection;
  readonly index?: number;
}

export interface FlowPage {
  readonly flows: readonly Flow[];
  /** How many match, on all pages. */
  readonly total: number;
  /** There is more: `after` of the next page. */
  readonly next?: string;
}

/** One tracked flow. Source is the end that opened it; "reply" is the other direction. */
export interface Flow extends FlowEnds {
  /** Identifies this flow only, never a later one in the same record. */
  readonly id: string;
  readonly ageSeconds: number;
  /** Since its last packet. */
  readonly idleSeconds: number;
  /** Until it ends, if no packet comes. */
  readonly expiresSeconds: number;
  /** Epoch of the policy by which it was judged last. */
  readonly epoch: number;
  /** The kernel carries its packets past the device. */
  readonly carried?: true;
}

export interface LiveVerdict {
  readonly flow: Flow;
  readonly verdict: 'pass' | 'drop';
  /** The drop reason; `none` if it passes. */
  readonly reason: string;
}

/** What began at a server only because it observes. Bounded: what comes least often goes first. */
export interface WouldDropRecord {
  /** Since when it is recorded, in ms since 1970. */
  readonly sinceMs: number;
  /** Flows that are in no kind any more: there were too many kinds. */
  readonly forgotten: number;
  /** Records of drops that nobody could read in time; some of them may have been of this server. */
  readonly lost: number;
  readonly kinds: readonly SeenFlows[];
}

export interface DropQuery {
  /** A server's name: packets of which one end is its address. */
  readonly server?: string;
  /** A drop reason. */
  readonly reason?: string;
}

export interface Drops {
  /** The last ones that match, at most `limit`, oldest first. */
  recent(query: DropQuery, limit: number): readonly Drop[];
  /** Calls `listener` for every later one that matches. @returns a function that unsubscribes */
  subscribe(query: DropQuery, listener: (drop: Drop) => void): () => void;
  /** All since the start, as far as they are remembered. */
  groups(query: DropGroupsQuery): DropGroups;
}

export interface DropGroupsQuery extends DropQuery {
  readonly by: readonly DropField[];
  /** The most frequent first, or those that came last. */
  readonly sort: 'count' | 'last';
  /** At most so many. */
  readonly limit: number;
}

export interface DropGroups {
  readonly groups: readonly DropGroup[];
  /** How many groups there are, with those beyond the limit. */
  readonly total: number;
  /** In all of them. */
  readonly drops: number;
  /** Drops that are in no group any more: there were too many kinds. */
  readonly forgotten: number;
}

/** It has the fields that it is grouped by. */
export interface DropGroup {
  readonly source?: string;
  readonly sourceServer?: string;
  readonly destination?: string;
  readonly destinationServer?: string;
  readonly protocol?: string;
  readonly destinationPort?: number;
  readonly reason?: string;
  readonly count: number;
  readonly bytes: number;
  /** ISO 8601. */
  readonly first: string;
  readonly last: string;
}

/** A dropped packet, as far as it was parsed. */
export interface Drop {
  /** Ascending. */
  readonly id: number;
  /** ISO 8601. */
  readonly at: string;
  readonly reason: string;
  /** `inbound`, `outbound`, `internal` (between two servers) or `none`. */
  readonly direction: string;
  /** `tcp`, `udp`, `icmp`, or a number. */
  readonly protocol: string;
  readonly source: string;
  readonly destination: string;
  readonly sourcePort?: number;
  readonly destinationPort?: number;
  /** As letters: F S R P A U. */
  readonly tcpFlags?: string;
  readonly icmpType?: number;
  readonly icmpCode?: number;
  /** The servers that the ends belong to. */
  readonly sourceServer?: string;
  readonly destinationServer?: string;
  readonly bytes: number;
  readonly epoch: number;
}

export interface CaptureOptions {
  /** Absent: both. */
  readonly verdict?: 'passed' | 'dropped';
  /** A server's name: packets of which one end is its address. */
  readonly server?: string;
  /** Bytes kept of each packet; absent: all. */
  readonly snapLength?: number;
  /** Ends after so many packets. */
  readonly limit?: number;
}
