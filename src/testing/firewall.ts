/**
 * A firewall in memory: the validator, compiler and engine of `tunwall run`, without a device, threads, privileges or the native
 * addon.
 *
 * Clock and keys are given. The same packets at the same times get the same verdicts, so a test that fails fails again.
 */
import { join } from 'node:path';
import { ConfigReader } from '../control/store/files/config-directory.ts';
import { ConfigJudge } from '../control/store/config-judge.ts';
import type { ConfigFiles } from '../control/store/config-texts.ts';
import type { Snapshot } from '../control/store/store.ts';
import { describeFlow } from '../control/service/flow-page.ts';
import { createAnswerMemory } from '../dataplane/engine/answer-memory.ts';
import { ReloadMode } from '../dataplane/engine/engine.ts';
import { createFlowMemory } from '../dataplane/flow/flow-memory.ts';
import { createFragmentMemory } from '../dataplane/flow/fragment-memory.ts';
import { Matcher } from '../dataplane/match/matcher.ts';
import { FlowInspector } from '../dataplane/worker/flow-inspector.ts';
import { SharedLock, lockWords } from '../dataplane/worker/shared-lock.ts';
import { compilePolicy, endsOf, isChangedByTime } from '../policy/compile.ts';
import type { CompiledPolicy } from '../policy/compile.ts';
import { engineOptions, fixedSettings } from '../policy/engine-options.ts';
import { ServerSlots } from '../policy/server-slots.ts';
import { parseDuration } from '../text/duration.ts';
import { FirewallConfigError, filesWith } from './config-input.ts';
import type { FirewallConfig } from './config-input.ts';
import type { BatchPacket } from './memory-batch.ts';
import { MemoryEngine } from './memory-engine.ts';
import { Outcome, reasonName } from './outcome.ts';
import type { SentPacket, TemplateFiles } from './outcome.ts';

/** When a test begins that does not say it. */
const defaultStart = '2026-01-01T00:00:00Z';
/** The packet threads' clock then. */
const startClockMs = 1_000_000;
const defaultSeed = 1;
/** Longest IPv4 packet. */
const maxPacketLength = 65_535;

export interface FirewallSettings {
  /** The moment at which the test begins. Default: 2026-01-01T00:00:00Z. */
  readonly now?: Date | string;
  /** Of all randomness. Default: 1. */
  readonly seed?: number;
}

export type FirewallOptions = FirewallConfig & FirewallSettings;

/** A packet from its IPv4 header on; with a virtio header's fields, for super-packets and partial checksums. */
export type PacketInput = Uint8Array | BatchPacket;

/** A tracked conversation, as `tunwall flows --json` tells it. */
export interface TestFlow {
  readonly protocol: 'icmp' | 'tcp' | 'udp';
  /** `established`, `syn_sent`, …: the states of docs/api.md. */
  readonly state: string;
  /** The end that opened it. */
  readonly source: string;
  readonly destination: string;
  readonly sourcePort?: number;
  readonly destinationPort?: number;
  readonly icmpType?: number;
  readonly icmpId?: number;
  readonly sourceServer?: string;
  readonly destinationServer?: string;
  readonly original: { readonly packets: number; readonly bytes: number };
  readonly reply: { readonly packets: number; readonly bytes: number };
  readonly ageSeconds: number;
  readonly idleSeconds: number;
  /** Until it ends, if no packet comes. */
  readonly expiresSeconds: number;
  readonly epoch: number;
}

/** The only clock of a firewall in memory: it stands still until it is advanced. */
export interface TestClock {
  readonly now: Date;
  /**
   * Lets time go by: flows and fragments expire, rules end.
   *
   * @param time `2 min`, `1 h 30 min`, `90s`, or a number of milliseconds
   * @returns what the firewall sends meanwhile: RSTs to the ends of connections that it cuts
   */
  advance(time: string | number): readonly Uint8Array[];
}

export class Firewall {
  readonly clock: TestClock;
  readonly #judge: ConfigJudge;
  #templates: TemplateFiles;
  readonly #slots: ServerSlots = new ServerSlots();
  readonly #memory: MemoryEngine;
  readonly #inspector: FlowInspector;
  #files: ConfigFiles;
  #config: Snapshot;
  #policy: CompiledPolicy;
  #nowMs: number;

  /** See {@link createFirewall}. @internal */
  constructor(judge: ConfigJudge, files: ConfigFiles, settings: FirewallSettings) {
    this.#judge = judge;
    this.#files = files;
    this.#templates = {
      fileOf: (template) => join(judge.place, `templates/${template}.yaml`),
      hasLines: judge.place !== '',
    };
    this.#nowMs = startOf(settings.now ?? defaultStart);
    this.#config = this.#read(files);
    this.#policy = this.#compile(this.#config, 1, startClockMs);
    const { gateway } = this.#config;
    const key = keyOf(settings.seed ?? defaultSeed);
    const memory = {
      flows: createFlowMemory(gateway.flows.capacity, key),
      fragments: createFragmentMemory(gateway.fragments.memory, key),
      answers: createAnswerMemory(key),
    };
    const options = engineOptions(gateway);
    this.#memory = new MemoryEngine({
      policy: new Matcher(this.#policy.words),
      memory,
      options,
      nowMs: startClockMs,
    });
    const lock = new SharedLock(new Int32Array(new SharedArrayBuffer(lockWords * 4)), 0);
    this.#inspector = new FlowInspector(memory, options.limits, lock, () => this.#memory.nowMs);
    this.clock = this.#createClock();
  }

  /**
   * Sends packets, one after the other, at this moment of the clock.
   *
   * @throws RangeError for a packet that is longer than 65,535 bytes, which no device delivers
   */
  send(packets: PacketInput | readonly PacketInput[]): Outcome {
    const list = Array.isArray(packets) ? (packets as readonly PacketInput[]) : [packets];
    const sent: SentPacket[] = [];
    const written: Uint8Array[] = [];
    for (const input of list as readonly PacketInput[]) {
      const packet = input instanceof Uint8Array ? input : input.bytes;
      if (packet.length > maxPacketLength) {
        throw new RangeError(`a packet of ${packet.length} bytes: expected 65,535 at most`);
      }
      const judged = this.#memory.judgeOne(input);
      const reason = reasonName(judged.reason);
      const verdict = judged.passed ? 'pass' : reason !== undefined ? 'drop' : 'held';
      sent.push({ packet, verdict, ...(reason !== undefined && { reason }) });
      written.push(...judged.written);
    }
    const { templates, servers, gateway } = this.#config;
    const source = { templates, servers, compiled: this.#policy, loose: gateway.tcp.loose };
    return new Outcome(sent, written, source, this.#templates);
  }

  /**
   * Changes the configuration of the running firewall: what is given replaces what was there of that kind (all templates, all
   * servers, all sets, gateway.yaml). Flows that the new rules forbid are cut, kept or drained, as `gateway.reload` says.
   *
   * @throws FirewallConfigError for a configuration with errors, and for settings that need a new firewall; nothing has changed
   */
  update(change: FirewallConfig): void {
    const files = filesWith(change, this.#files);
    const next = this.#read(files);
    const fixed = fixedSettings(this.#config.gateway, next.gateway);
    if (fixed.length > 0) {
      throw new FirewallConfigError(
        fixed.map((path) => ({
          severity: 'error',
          file: 'gateway.yaml',
          line: 0,
          column: 0,
          path,
          message: 'takes effect when a firewall starts: create another one',
        })),
      );
    }
    this.#apply(next);
    this.#files = files;
    if (change.templates !== undefined) this.#templates = { ...this.#templates, hasLines: false };
  }

  /** The flows that are tracked now, in the order in which they were opened. */
  flows(): readonly TestFlow[] {
    const found: TestFlow[] = [];
    const nameOf = (slot: number): string | undefined => this.#slots.nameOf(slot);
    this.#inspector.walkNow((copy) => found.push(describeFlow(copy, this.#inspector, nameOf)));
    return found;
  }

  #read(files: ConfigFiles): Snapshot {
    const snapshot = this.#judge.judge(files);
    const errors = snapshot.problems.filter(({ severity }) => severity === 'error');
    if (errors.length > 0) throw new FirewallConfigError(errors);
    return snapshot;
  }

  #compile(snapshot: Snapshot, epoch: number, clockMs: number): CompiledPolicy {
    const slots = this.#slots.assign(snapshot.servers.map(({ name }) => name));
    return compilePolicy(snapshot, epoch, { slots, nowMs: this.#nowMs, clockMs });
  }

  /** As the service does it on a reload. */
  #apply(next: Snapshot): void {
    const policy = this.#compile(next, this.#policy.epoch + 1, this.#memory.nowMs);
    const { reload } = next.gateway;
    const mode = ReloadMode[typeof reload === 'string' ? reload : 'drain'];
    const drainMs = typeof reload === 'string' ? 0 : reload.drain * 1000;
    const { engine, nowMs } = this.#memory;
    engine.setPolicy(new Matcher(policy.words), mode, nowMs + drainMs);
    this.#policy = policy;
    this.#config = next;
  }

  #createClock(): TestClock {
    const nowMs = (): number => this.#nowMs;
    const advance = (time: string | number): readonly Uint8Array[] => this.#advance(msOf(time));
    return {
      get now() {
        return new Date(nowMs());
      },
      advance,
    };
  }

  #advance(ms: number): readonly Uint8Array[] {
    const untilMs = this.#nowMs + ms;
    const ends = endsOf(this.#policy)
      .filter((end) => end > this.#nowMs && end <= untilMs)
      .sort((a, b) => a - b);
    const written: Uint8Array[] = [];
    for (const moment of [...ends, untilMs]) {
      this.#memory.nowMs += moment - this.#nowMs;
      this.#nowMs = moment;
      written.push(...this.#memory.tickAll());
      if (!isChangedByTime(this.#policy, moment)) continue;
      this.#apply(this.#config);
      written.push(...this.#memory.tickAll());
    }
    return written;
  }
}

/**
 * A firewall in memory.
 *
 * @throws FirewallConfigError with every error of the configuration
 */
export function createFirewall(options: FirewallOptions = {}): Firewall {
  const { now, seed, ...config } = options;
  const startMs = startOf(now ?? defaultStart);
  return new Firewall(new ConfigJudge('', '', () => startMs), filesWith(config), {
    ...(now !== undefined && { now }),
    ...(seed !== undefined && { seed }),
  });
}

/**
 * The same with a real configuration directory.
 *
 * @throws FirewallConfigError if it has errors or cannot be read
 */
createFirewall.fromDirectory = (directory: string, settings: FirewallSettings = {}): Firewall => {
  const reader = new ConfigReader(directory);
  const { raw, snapshot } = reader.read();
  if (raw === undefined) throw new FirewallConfigError(snapshot.problems);
  return new Firewall(reader.judge, raw, settings);
};

function startOf(now: Date | string): number {
  const ms = new Date(now).getTime();
  if (Number.isNaN(ms)) throw new TypeError(`expected a time, found ${JSON.stringify(now)}`);
  return ms;
}

function msOf(time: string | number): number {
  const ms = typeof time === 'number' ? time : (parseDuration(time) ?? NaN) * 1000;
  if (Number.isSafeInteger(ms) && ms >= 0) return ms;
  const found = JSON.stringify(time);
  throw new TypeError(`expected a length of time like "2 min", or milliseconds, found ${found}`);
}

/** Two words of a key (Steele, Lea, Flood: SplitMix). */
function keyOf(seed: number): readonly [number, number] {
  const word = (index: number): number => {
    let z = Math.imul(seed + index, 0x9e3779b9);
    z = Math.imul(z ^ (z >>> 16), 0x85ebca6b);
    z = Math.imul(z ^ (z >>> 13), 0xc2b2ae35);
    return z ^ (z >>> 16);
  };
  return [word(1), word(2)];
}
