/**
 * Templates and servers, compiled into the program of src/dataplane/match/matcher.ts.
 *
 * A compiler keeps what it has compiled, and compiles only what has changed: templates whose rules, or whose rules' meaning, are
 * other ones, and the programs of the servers that have them. All of it lies in one memory (program-memory.ts), so the packet
 * threads get no copy of what they have already.
 *
 * Life-cycle: `compile` makes a policy; `release` says that no packet thread uses it any more. What only released policies needed
 * is written over after the next release, not at once: whoever on this thread still looks at the policy before can finish.
 *
 * Which rule is reported where several allow a packet depends on the policy alone, not on what was compiled before.
 */
import { serverSlotCount } from '../dataplane/flow/server-totals.ts';
import { Header, policyMagic, serverSlot } from '../dataplane/match/matcher.ts';
import type { PolicyProgram } from '../dataplane/match/matcher.ts';
import { BlockWriter } from './program-memory.ts';
import type { Block, UseLargePages } from './program-memory.ts';
import { ProgramParts } from './program-parts.ts';
import type { RulePlace, ServerProgram, TemplatePart } from './program-parts.ts';
import { isObservedAt, observationOf } from './observe.ts';
import type { Observation } from './observe.ts';
import { defaultReject, rejectBits, rejectOf } from './reject.ts';
import { Resolver, isLive } from './resolve.ts';
import type { Assignment } from './server-index.ts';
import type { PolicySource, RejectSettings, Server } from './types.ts';

export type { RulePlace } from './program-parts.ts';

export interface CompiledPolicy extends PolicyProgram {
  readonly epoch: number;
  /** By index; a compiler that has compiled other policies before may leave some out. */
  readonly rules: readonly (RulePlace | undefined)[];
  /** Those of a template, by its name: inbound, then outbound. The array is the same while nothing in it has changed. */
  readonly rulesOf: ReadonlyMap<string, readonly RulePlace[]>;
  /** Server names by index. */
  readonly servers: readonly string[];
  /** What the source meant when it was compiled. */
  readonly resolver: Resolver;
  /** Rules with an end. */
  readonly expiring: readonly RulePlace[];
  /** Servers with an end of their observation. */
  readonly observations: readonly Observation[];
  /** The packet threads' clock when it was compiled. */
  readonly clockMs: number;
  readonly stats: { readonly rules: number; readonly programs: number; readonly words: number };
}

export interface CompileOptions {
  /** Under which the servers' traffic is counted (server-slots.ts), by index. Default: in their order. */
  readonly slots?: readonly number[];
  /** The moment at which rules have expired or not. Default: now. */
  readonly nowMs?: number;
  /** The packet threads' clock at that moment. Default: that moment, modulo 2^32. */
  readonly clockMs?: number;
}

/** A policy without a predecessor; its header is at the start of its words. */
export function compilePolicy(
  source: PolicySource,
  epoch: number,
  options: CompileOptions = {},
): CompiledPolicy {
  const compiler = new PolicyCompiler();
  const policy = compiler.compile(source, epoch, options);
  return { ...policy, words: compiler.wordsOf(policy), root: 0 };
}

/** Rules that have ended since the policy was compiled, or begun again because the clock was set back. */
export function changedByTime({ expiring }: CompiledPolicy, nowMs: number): RulePlace[] {
  return expiring.filter(({ rule, live }) => isLive(rule, nowMs) !== live);
}

/** Servers that have stopped observing since, or observe again because the clock was set back: as they are now. */
export function changedObservations(
  { observations }: CompiledPolicy,
  nowMs: number,
): Observation[] {
  return observations.flatMap(({ live, ...each }) => {
    const isLiveNow = isObservedAt(each.untilMs, nowMs);
    return isLiveNow === live ? [] : [{ ...each, live: isLiveNow }];
  });
}

/** Whether the policy means something else at that moment than when it was compiled. */
export function isChangedByTime(policy: CompiledPolicy, nowMs: number): boolean {
  return changedByTime(policy, nowMs).length + changedObservations(policy, nowMs).length > 0;
}

/** Moments at which it will, or did. */
export function endsOf({ expiring, observations }: CompiledPolicy): number[] {
  return [
    ...expiring.map(({ rule }) => Date.parse(rule.expires!)),
    ...observations.map(({ untilMs }) => untilMs),
  ];
}

/** What a policy uses of the parts. */
interface Held {
  readonly templates: TemplatePart[];
  readonly programs: Set<ServerProgram>;
  root: Block | undefined;
}

export class PolicyCompiler {
  readonly #parts: ProgramParts;
  readonly #writer: BlockWriter = new BlockWriter();
  readonly #held: WeakMap<CompiledPolicy, Held> = new WeakMap<CompiledPolicy, Held>();
  /** Of the last released policy. */
  #released: Held | undefined;
  #resolver: Resolver | undefined;

  /** @param useLargePages of its memory. Default: those that the kernel gives to all */
  constructor(useLargePages?: UseLargePages) {
    this.#parts = new ProgramParts(useLargePages);
  }

  /** @throws PolicyTooLargeError */
  compile(
    source: PolicySource,
    epoch: number,
    { slots, nowMs = Date.now(), clockMs }: CompileOptions = {},
  ): CompiledPolicy {
    const resolver = new Resolver(source, nowMs, this.#resolver);
    const policy = this.#compile(source, epoch, resolver, clockMs, slots);
    this.#resolver = resolver;
    return policy;
  }

  /** A policy that never comes into force: only what is other in it is compiled. To be given to {@link discard}. */
  compileTrial(
    source: PolicySource,
    { nowMs = Date.now(), clockMs }: Omit<CompileOptions, 'slots'> = {},
  ): CompiledPolicy {
    return this.#compile(source, 0, new Resolver(source, nowMs, this.#resolver), clockMs);
  }

  /** Nobody looks at a trial any more. To be called once for each. */
  discard(trial: CompiledPolicy): void {
    this.#giveBack(this.#held.get(trial)!);
  }

  /** No packet thread uses a policy any more. To be called once for each. */
  release(policy: CompiledPolicy): void {
    if (this.#released !== undefined) this.#giveBack(this.#released);
    this.#released = this.#held.get(policy);
  }

  /** The words of a policy that begin with its header, apart from those of others. */
  wordsOf({ root }: CompiledPolicy): Int32Array {
    return this.#parts.memory.trimmed(root);
  }

  #compile(
    source: PolicySource,
    epoch: number,
    resolver: Resolver,
    clockMs: number = resolver.nowMs | 0,
    slots?: readonly number[],
  ): CompiledPolicy {
    const held: Held = { templates: [], programs: new Set(), root: undefined };
    try {
      return this.#write(source, epoch, resolver, held, clockMs, slots);
    } catch (error) {
      this.#giveBack(held);
      throw error;
    }
  }

  #write(
    source: PolicySource,
    epoch: number,
    resolver: Resolver,
    held: Held,
    clockMs: number,
    slots: readonly number[] = source.servers.map((_, index) => inOrder(index)),
  ): CompiledPolicy {
    const parts = this.#parts;
    const templates = new Map<string, TemplatePart>();
    for (const template of source.templates) {
      const part = parts.takeTemplate(template, resolver);
      held.templates.push(part);
      templates.set(template.name, part);
    }
    const programs = source.servers.map((_, server) => {
      const own: TemplatePart[] = [];
      for (const name of sortedNames(resolver.assignmentsOf(server))) {
        const part = templates.get(name);
        if (part !== undefined) own.push(part);
      }
      const program = parts.takeProgram(own);
      if (held.programs.has(program)) parts.giveProgram(program);
      else held.programs.add(program);
      return program.written.block.offset;
    });
    this.#writer.clear();
    writeRoot(this.#writer, source.servers, programs, slots);
    writeRejects(this.#writer, source.servers, source.gateway?.reject ?? defaultReject);
    const observations = writeObserves(this.#writer, source.servers, resolver.nowMs, clockMs);
    this.#writer.set(Header.epoch, epoch);
    this.#writer.set(Header.ruleCount, parts.ruleCount);
    writeLogs(this.#writer, held.templates, parts.ruleCount);
    held.root = parts.memory.place(this.#writer);
    const rules = new Array<RulePlace | undefined>(parts.ruleCount).fill(undefined);
    let count = 0;
    for (const { first, places } of held.templates) {
      for (let i = 0; i < places.length; i++) rules[first + i] = places[i];
      count += places.length;
    }
    const policy: CompiledPolicy = {
      epoch,
      words: parts.memory.words,
      root: held.root.offset,
      rules,
      rulesOf: new Map(held.templates.map((part) => [part.template.name, part.places])),
      servers: source.servers.map(({ name }) => name),
      resolver,
      expiring: held.templates.flatMap(({ expiring }) => expiring),
      observations,
      clockMs,
      stats: { rules: count, programs: held.programs.size, words: parts.memory.used },
    };
    this.#held.set(policy, held);
    return policy;
  }

  #giveBack({ templates, programs, root }: Held): void {
    for (const program of programs) this.#parts.giveProgram(program);
    for (const template of templates) this.#parts.giveTemplate(template);
    if (root !== undefined) this.#parts.memory.free(root);
  }
}

/** Of unchanged servers, which are nearly all after an edit. */
const namesOf = new WeakMap<readonly Assignment[], readonly string[]>();

/** Names of a server's templates, each once. */
function sortedNames(assignments: readonly Assignment[]): readonly string[] {
  let names = namesOf.get(assignments);
  if (names === undefined) {
    names = [...new Set(assignments.map(({ template }) => template))].sort();
    namesOf.set(assignments, names);
  }
  return names;
}

/** The slots of a policy without a predecessor. */
function inOrder(index: number): number {
  return index + 1 < serverSlotCount ? index + 1 : 0;
}

/** Header, servers, and the lists of what they have. @param programs, @param slots by index of the server */
function writeRoot(
  writer: BlockWriter,
  servers: readonly Server[],
  programs: readonly number[],
  slots: readonly number[],
): void {
  writer.reserve(Header.length);
  writer.set(Header.magic, policyMagic);
  const addresses = servers.reduce((sum, server) => sum + server.addresses.length, 0);
  let bits = 4;
  while (1 << bits < addresses * 2) bits++;
  const shift = 32 - bits;
  const table = writer.reserve(2 << bits);
  servers.forEach((server, index) => {
    for (const address of server.addresses) {
      let slot = serverSlot(address | 0, shift);
      while (writer.get(table + slot * 2 + 1) !== 0) slot = (slot + 1) & ((1 << bits) - 1);
      writer.set(table + slot * 2, address | 0);
      writer.set(table + slot * 2 + 1, index + 1);
    }
  });
  writer.set(Header.serverShift, shift);
  writer.link(Header.serverTable, table);
  writer.link(Header.serverPrograms, writer.append(programs));
  writer.link(Header.serverSlots, writer.append(slots));
}

function writeRejects(
  writer: BlockWriter,
  servers: readonly Server[],
  reject: RejectSettings,
): void {
  writer.set(Header.reject, rejectBits(reject));
  writer.set(Header.answersPerSecond, reject.perSecond);
  writer.set(Header.answersPerSource, reject.perSourcePerSecond);
  const bits = servers.map((server) => rejectBits(rejectOf(server, reject)));
  if (bits.some((each) => each !== 0)) writer.link(Header.serverRejects, writer.append(bits));
}

/** Returns what servers say of it. */
function writeObserves(
  writer: BlockWriter,
  servers: readonly Server[],
  nowMs: number,
  clockMs: number,
): readonly Observation[] {
  const observations: Observation[] = [];
  const ends = new Int32Array(servers.length);
  servers.forEach((server, index) => {
    const observation = observationOf(server, nowMs);
    if (observation === undefined) return;
    observations.push(observation);
    // Never 0, which is for servers that do not observe.
    if (observation.live) ends[index] = (clockMs + observation.untilMs - nowMs) | 0 || -1;
  });
  if (ends.some((each) => each !== 0)) writer.link(Header.serverObserves, writer.append(ends));
  return observations;
}

function writeLogs(
  writer: BlockWriter,
  templates: readonly TemplatePart[],
  ruleCount: number,
): void {
  const logged = templates.flatMap(({ logged }) => logged);
  if (logged.length === 0) return;
  const bits = new Int32Array((ruleCount + 31) >>> 5);
  for (const index of logged) bits[index >>> 5]! |= 1 << (index & 31);
  writer.link(Header.ruleLogs, writer.append(bits));
}
