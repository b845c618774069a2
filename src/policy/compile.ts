/**
 * Templates and servers, compiled into the program of src/dataplane/match/matcher.ts.
 *
 * Servers with the same set of templates share one program. Within it each direction and protocol gets a classifier, and
 * rules are numbered through all templates, so that a match can be reported by template and position.
 */
import { serverSlotCount } from '../dataplane/flow/server-totals.ts';
import {
  ClassifierWord,
  Header,
  SetWord,
  policyMagic,
  serverSlot,
} from '../dataplane/match/matcher.ts';
import { directions } from '../text/rule-text.ts';
import type { RuleDirection } from '../text/rule-text.ts';
import { unionOf } from './interval-union.ts';
import type { IntervalSet, RuleRange } from './interval-union.ts';
import { allAddresses } from './ranges.ts';
import type { Ranges } from './ranges.ts';
import { defaultReject, rejectBits, rejectOf } from './reject.ts';
import { Resolver, isLive } from './resolve.ts';
import type { PolicySource, RejectSettings, Rule, RuleProtocol } from './types.ts';

/** A rule in its place, by its index in the program. */
export interface RulePlace {
  readonly template: string;
  readonly direction: RuleDirection;
  /** Position in the template's list of that direction, from 0. */
  readonly position: number;
  readonly rule: Rule;
  /** Addresses that it is about now; absent: any. */
  readonly ranges?: Ranges;
  /** `false`: it is switched off or has expired, and allows nothing. */
  readonly live: boolean;
}

export interface CompiledPolicy {
  readonly epoch: number;
  readonly words: Int32Array;
  readonly rules: readonly RulePlace[];
  /** Server names by index. */
  readonly servers: readonly string[];
  /** What the source meant when it was compiled. */
  readonly resolver: Resolver;
  /** Rules with an end. */
  readonly expiring: readonly RulePlace[];
  readonly stats: { readonly rules: number; readonly programs: number; readonly words: number };
}

/** More than this would be a mistake in the configuration, not a policy: 256 MiB. */
const maxWords = 1 << 26;

/** Sets of more starts get an index by the key's high bits. */
const indexAbove = 16;
const maxIndexBits = 16;

const protocols = ['icmp', 'tcp', 'udp'] as const;
const lastPort = 0xffff;

/** A policy that is too large to be compiled. */
export class PolicyTooLargeError extends Error {
  override name = 'PolicyTooLargeError';
}

export interface CompileOptions {
  /** Under which the servers' traffic is counted (server-slots.ts), by index. Default: in their order. */
  readonly slots?: readonly number[];
  /** The moment at which rules have expired or not. Default: now. */
  readonly nowMs?: number;
}

export function compilePolicy(
  source: PolicySource,
  epoch: number,
  { slots, nowMs = Date.now() }: CompileOptions = {},
): CompiledPolicy {
  const resolver = new Resolver(source, nowMs);
  const rules: RulePlace[] = [];
  for (const template of source.templates) {
    for (const direction of directions) {
      template[direction].forEach((rule, position) => {
        const ranges = resolver.rangesOf(rule);
        const live = resolver.isLive(rule);
        const place = { template: template.name, direction, position, rule, live };
        rules.push(ranges === undefined ? place : { ...place, ranges });
      });
    }
  }
  const reject = source.gateway?.reject ?? defaultReject;
  const subjects = source.servers.map((server, index) => ({
    addresses: server.addresses,
    templates: resolver.assignmentsOf(index).map(({ template }) => template),
    rejects: rejectBits(rejectOf(server, reject)),
  }));
  const { words, programs } = writePolicy(rules, subjects, epoch, { slots, reject });
  return {
    epoch,
    words,
    rules,
    servers: source.servers.map(({ name }) => name),
    resolver,
    expiring: rules.filter(({ rule }) => rule.expires !== undefined),
    stats: { rules: rules.length, programs, words: words.length },
  };
}

/** Rules that have ended since the policy was compiled, or begun again because the clock was set back. */
export function changedByTime({ expiring }: CompiledPolicy, nowMs: number): RulePlace[] {
  return expiring.filter(({ rule, live }) => isLive(rule, nowMs) !== live);
}

/** The same rules, by the same numbers, for one server of the policy with one address alone. */
export function compileAlone(
  { rules, resolver, epoch }: CompiledPolicy,
  server: number,
  address: number,
): Int32Array {
  const templates = resolver.assignmentsOf(server).map(({ template }) => template);
  return writePolicy(rules, [{ addresses: [address], templates }], epoch).words;
}

/** A server as the program sees it. */
interface Subject {
  readonly addresses: readonly number[];
  readonly templates: readonly string[];
  /** RejectBits. Default: none. */
  readonly rejects?: number;
}

/** A rule and its index in the program. */
interface NumberedRule {
  readonly place: RulePlace;
  readonly index: number;
}

function writePolicy(
  rules: readonly RulePlace[],
  servers: readonly Subject[],
  epoch: number,
  {
    slots = servers.map((_, index) => inOrder(index)),
    reject = defaultReject,
  }: { slots?: readonly number[] | undefined; reject?: RejectSettings } = {},
): { readonly words: Int32Array; readonly programs: number } {
  const byTemplate = new Map<string, NumberedRule[]>();
  rules.forEach((place, index) => {
    const own = byTemplate.get(place.template);
    if (own === undefined) byTemplate.set(place.template, [{ place, index }]);
    else own.push({ place, index });
  });
  const writer = new WordWriter();
  writer.reserve(Header.length);
  const programs = new Map<string, number>();
  const programOf = ({ templates }: Subject): number => {
    const names = [...new Set(templates)].sort();
    const key = names.join('\n');
    let program = programs.get(key);
    if (program === undefined) {
      program = writeProgram(
        writer,
        names.flatMap((name) => byTemplate.get(name) ?? []),
      );
      programs.set(key, program);
    }
    return program;
  };
  const serverPrograms = servers.map(programOf);
  writeServers(writer, servers, serverPrograms, slots);
  writer.set(Header.magic, policyMagic);
  writer.set(Header.epoch, epoch);
  writer.set(Header.ruleCount, rules.length);
  writeRejects(writer, servers, reject);
  return { words: writer.finish(), programs: programs.size };
}

/** The slots of a policy without a predecessor. */
function inOrder(index: number): number {
  return index + 1 < serverSlotCount ? index + 1 : 0;
}

function writeServers(
  writer: WordWriter,
  servers: readonly Subject[],
  programs: readonly number[],
  slots: readonly number[],
): void {
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
  const list = writer.reserve(servers.length);
  programs.forEach((program, index) => writer.set(list + index, program));
  writer.set(Header.serverShift, shift);
  writer.set(Header.serverTable, table);
  writer.set(Header.serverPrograms, list);
  const slotList = writer.reserve(servers.length);
  slots.forEach((slot, index) => writer.set(slotList + index, slot));
  writer.set(Header.serverSlots, slotList);
}

function writeRejects(
  writer: WordWriter,
  servers: readonly Subject[],
  reject: RejectSettings,
): void {
  writer.set(Header.reject, rejectBits(reject));
  writer.set(Header.answersPerSecond, reject.perSecond);
  writer.set(Header.answersPerSource, reject.perSourcePerSecond);
  if (!servers.some(({ rejects = 0 }) => rejects !== 0)) return;
  const list = writer.reserve(servers.length);
  servers.forEach(({ rejects = 0 }, index) => writer.set(list + index, rejects));
  writer.set(Header.serverRejects, list);
}

/** A rule's ranges in one classifier. */
interface FlatRule {
  readonly portFrom: number;
  readonly portTo: number;
  readonly addressFrom: number;
  readonly addressTo: number;
  readonly rule: number;
}

function writeProgram(writer: WordWriter, rules: readonly NumberedRule[]): number {
  const classifiers: number[] = [];
  for (const direction of directions) {
    for (const protocol of protocols) {
      const flat = rules.flatMap((each) =>
        each.place.direction === direction ? flatten(each, protocol) : [],
      );
      classifiers.push(flat.length === 0 ? 0 : writeClassifier(writer, flat));
    }
  }
  const program = writer.reserve(classifiers.length);
  classifiers.forEach((classifier, index) => writer.set(program + index, classifier));
  return program;
}

function flatten({ place, index }: NumberedRule, protocol: RuleProtocol): FlatRule[] {
  const { rule, ranges = allAddresses, live } = place;
  if (!live || (rule.protocol !== 'all' && rule.protocol !== protocol)) return [];
  const anyPort = [{ from: 0, to: lastPort }];
  const ports = protocol === 'icmp' ? anyPort : (rule.ports ?? anyPort);
  const flat: FlatRule[] = [];
  for (const { from: portFrom, to: portTo } of ports) {
    for (let i = 0; i < ranges.length; i += 2) {
      const [addressFrom, addressTo] = [ranges[i]!, ranges[i + 1]!];
      flat.push({ portFrom, portTo, addressFrom, addressTo, rule: index });
    }
  }
  return flat;
}

/** The segment tree over port classes; see src/dataplane/match/matcher.ts. */
function writeClassifier(writer: WordWriter, rules: readonly FlatRule[]): number {
  const edges = new Set<number>([0]);
  for (const { portFrom, portTo } of rules) {
    edges.add(portFrom);
    if (portTo < lastPort) edges.add(portTo + 1);
  }
  const starts = [...edges].sort((a, b) => a - b);
  const classOf = new Map(starts.map((start, index) => [start, index]));
  let leaves = 1;
  while (leaves < starts.length) leaves *= 2;

  const nodes: RuleRange[][] = [];
  for (const { portFrom, portTo, addressFrom, addressTo, rule } of rules) {
    const range = { from: addressFrom, to: addressTo, rule };
    // The canonical nodes of [first, last]: at most two on each level.
    let low = leaves + classOf.get(portFrom)!;
    let high = leaves + (portTo < lastPort ? classOf.get(portTo + 1)! : starts.length);
    if (high - leaves === starts.length) high = 2 * leaves;
    for (; low < high; low >>= 1, high >>= 1) {
      if ((low & 1) === 1) (nodes[low++] ??= []).push(range);
      if ((high & 1) === 1) (nodes[--high] ??= []).push(range);
    }
  }

  const sets = new Array<number>(2 * leaves).fill(0);
  const open = new Array<boolean>(2 * leaves).fill(false);
  for (let node = 1; node < 2 * leaves; node++) {
    // Below a node that allows every address nothing can be added.
    const parentOpen = open[node >> 1] ?? false;
    open[node] = parentOpen;
    const ranges = nodes[node];
    if (parentOpen || ranges === undefined) continue;
    const union = unionOf(ranges);
    open[node] = union.values.every((value) => value !== 0);
    sets[node] = writeSet(writer, union);
  }
  const ports =
    starts.length === 1
      ? 0
      : writeSet(writer, { starts: starts.map((start) => start * 65_536), values: [] });
  const classifier = writer.reserve(ClassifierWord.nodes + 2 * leaves - 1);
  writer.set(classifier + ClassifierWord.leaves, leaves);
  writer.set(classifier + ClassifierWord.ports, ports);
  for (let node = 1; node < 2 * leaves; node++) {
    writer.set(classifier + ClassifierWord.nodes + node - 1, sets[node]!);
  }
  return classifier;
}

function writeSet(writer: WordWriter, { starts, values }: IntervalSet): number {
  const count = starts.length;
  const set = writer.reserve(SetWord.starts + count + values.length);
  writer.set(set + SetWord.count, count);
  starts.forEach((start, i) => writer.set(set + SetWord.starts + i, start ^ 0x80000000));
  values.forEach((value, i) => writer.set(set + SetWord.starts + count + i, value));
  if (count > indexAbove) {
    const bits = Math.min(maxIndexBits, Math.ceil(Math.log2(count)));
    const shift = 32 - bits;
    const index = writer.reserve((1 << bits) + 1);
    let at = 0;
    for (let bucket = 0; bucket <= 1 << bits; bucket++) {
      const key = bucket * 2 ** shift;
      while (at + 1 < count && starts[at + 1]! <= key) at++;
      writer.set(index + bucket, at);
    }
    writer.set(set + SetWord.indexShift, shift);
    writer.set(set + SetWord.index, index);
  }
  return set;
}

/** Words that grow; ends as shared memory, which the packet threads read without a copy. */
class WordWriter {
  #words = new Int32Array(4096);
  #length = 0;

  /** Appends so many zero words and returns where they start. */
  reserve(count: number): number {
    const at = this.#length;
    this.#length += count;
    if (this.#length > maxWords) {
      throw new PolicyTooLargeError(
        'the policy is too large: its rules need more than 256 MiB; merge port ranges or split templates',
      );
    }
    if (this.#length > this.#words.length) {
      const grown = new Int32Array(Math.max(this.#length, this.#words.length * 2));
      grown.set(this.#words);
      this.#words = grown;
    }
    return at;
  }

  set(at: number, word: number): void {
    this.#words[at] = word;
  }

  get(at: number): number {
    return this.#words[at]!;
  }

  finish(): Int32Array {
    const shared = new Int32Array(new SharedArrayBuffer(this.#length * 4));
    shared.set(this.#words.subarray(0, this.#length));
    return shared;
  }
}
