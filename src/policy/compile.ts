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
import { unionOf } from './interval-union.ts';
import type { IntervalSet, RuleRange } from './interval-union.ts';
import type { Rule, RuleProtocol, Server, Template } from './types.ts';

/** A rule in its place, by its index in the program. */
export interface RulePlace {
  readonly template: string;
  readonly direction: 'inbound' | 'outbound';
  /** Position in the template's list of that direction, from 0. */
  readonly position: number;
  readonly rule: Rule;
}

export interface CompiledPolicy {
  readonly epoch: number;
  readonly words: Int32Array;
  readonly rules: readonly RulePlace[];
  /** Server names by index. */
  readonly servers: readonly string[];
  readonly stats: { readonly rules: number; readonly programs: number; readonly words: number };
}

/** More than this would be a mistake in the configuration, not a policy: 256 MiB. */
const maxWords = 1 << 26;

/** Sets of more starts get an index by the key's high bits. */
const indexAbove = 16;
const maxIndexBits = 16;

const protocols = ['icmp', 'tcp', 'udp'] as const;
const lastAddress = 0xffffffff;
const lastPort = 0xffff;

/** A policy that is too large to be compiled. */
export class PolicyTooLargeError extends Error {
  override name = 'PolicyTooLargeError';
}

/** @param slots under which the servers' traffic is counted (server-slots.ts), by index. Default: in the servers' order */
export function compilePolicy(
  templates: readonly Template[],
  servers: readonly Server[],
  epoch: number,
  slots: readonly number[] = servers.map((_, index) => inOrder(index)),
): CompiledPolicy {
  const rules: RulePlace[] = [];
  const firstRule = new Map<string, { inbound: number; outbound: number }>();
  for (const template of templates) {
    const first = { inbound: 0, outbound: 0 };
    for (const direction of ['inbound', 'outbound'] as const) {
      first[direction] = rules.length;
      template[direction].forEach((rule, position) => {
        rules.push({ template: template.name, direction, position, rule });
      });
    }
    firstRule.set(template.name, first);
  }

  const writer = new WordWriter();
  writer.reserve(Header.length);
  const byName = new Map(templates.map((template) => [template.name, template]));
  const programs = new Map<string, number>();
  const programOf = (server: Server): number => {
    const names = [...new Set(server.templates)].sort();
    const key = names.join('\n');
    let program = programs.get(key);
    if (program === undefined) {
      const used = names.flatMap((name) => byName.get(name) ?? []);
      program = writeProgram(writer, used, firstRule);
      programs.set(key, program);
    }
    return program;
  };
  const serverPrograms = servers.map(programOf);
  writeServers(writer, servers, serverPrograms, slots);
  writer.set(Header.magic, policyMagic);
  writer.set(Header.epoch, epoch);
  writer.set(Header.ruleCount, rules.length);
  const words = writer.finish();
  return {
    epoch,
    words,
    rules,
    servers: servers.map((server) => server.name),
    stats: { rules: rules.length, programs: programs.size, words: words.length },
  };
}

/** The slots of a policy without a predecessor. */
function inOrder(index: number): number {
  return index + 1 < serverSlotCount ? index + 1 : 0;
}

function writeServers(
  writer: WordWriter,
  servers: readonly Server[],
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

/** A rule's ranges in one classifier. */
interface FlatRule {
  readonly portFrom: number;
  readonly portTo: number;
  readonly addressFrom: number;
  readonly addressTo: number;
  readonly rule: number;
}

function writeProgram(
  writer: WordWriter,
  templates: readonly Template[],
  firstRule: ReadonlyMap<string, { inbound: number; outbound: number }>,
): number {
  const classifiers: number[] = [];
  for (const direction of ['inbound', 'outbound'] as const) {
    for (const protocol of protocols) {
      const flat = templates.flatMap((template) =>
        template[direction].flatMap((rule, position) =>
          flatten(rule, protocol, firstRule.get(template.name)![direction] + position),
        ),
      );
      classifiers.push(flat.length === 0 ? 0 : writeClassifier(writer, flat));
    }
  }
  const program = writer.reserve(classifiers.length);
  classifiers.forEach((classifier, index) => writer.set(program + index, classifier));
  return program;
}

function flatten(rule: Rule, protocol: RuleProtocol, index: number): FlatRule[] {
  if (rule.protocol !== 'all' && rule.protocol !== protocol) return [];
  const anyPort = [{ from: 0, to: lastPort }];
  const ports = protocol === 'icmp' ? anyPort : (rule.ports ?? anyPort);
  const peers = rule.peers ?? [{ from: 0, to: lastAddress }];
  return ports.flatMap((port) =>
    peers.map((peer) => ({
      portFrom: port.from,
      portTo: port.to,
      addressFrom: peer.from,
      addressTo: peer.to,
      rule: index,
    })),
  );
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
