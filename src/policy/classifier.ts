/**
 * Writes programs: the classifiers of some rules, for each direction and protocol. What they mean: src/dataplane/match/matcher.ts.
 *
 * The addresses of a rule become part of the unions at its nodes, with those of other rules. A set of very many addresses does not:
 * it is written once for all rules that use it, and the nodes refer to it.
 */
import {
  ClassifierWord,
  ProgramWord,
  SetWord,
  UseWord,
  chunkedBit,
  useBit,
} from '../dataplane/match/matcher.ts';
import { directions } from '../text/rule-text.ts';
import type { RuleDirection } from '../text/rule-text.ts';
import { writeChunks } from './chunk-writer.ts';
import { unionOf } from './interval-union.ts';
import type { RuleRanges } from './interval-union.ts';
import type { BlockWriter } from './program-memory.ts';
import { allAddresses } from './ranges.ts';
import type { Ranges } from './ranges.ts';
import type { Rule } from './types.ts';

/** A rule as it is compiled. */
export interface ProgramRule {
  readonly index: number;
  readonly direction: RuleDirection;
  readonly rule: Rule;
  /** Absent: any address. */
  readonly ranges?: Ranges;
  readonly live: boolean;
}

/** Finds the place of a set that is shared, or writes it. */
export type ShareSet = (ranges: Ranges) => number;

/** Sets of more ranges than this are shared. */
const sharedAbove = 1024;

/** Sets of more ranges than this are chunked: what says where the chunks are is smaller than an index of so many. */
const chunkedAbove = 16_384;

/** A node refers to so many shared sets at most; more of them are united, since each costs a search. */
const maxUses = 4;

/** Sets of more starts get an index by the key's high bits. */
const indexAbove = 16;
const maxIndexBits = 20;

const protocols = ['icmp', 'tcp', 'udp'] as const;
const lastPort = 0xffff;

/** A port range of a rule and its addresses, in one classifier. */
interface Entry extends RuleRanges {
  readonly portFrom: number;
  readonly portTo: number;
}

/**
 * Writes the program of some rules. Where rules overlap, and addresses and ports do not decide, the first one is reported.
 *
 * @returns where it is in the block
 */
export function writeProgram(
  writer: BlockWriter,
  rules: readonly ProgramRule[],
  share: ShareSet,
): number {
  const program = writer.reserve(ProgramWord.length);
  let column = program + ProgramWord.classifiers;
  for (const direction of directions) {
    for (const protocol of protocols) {
      const entries = entriesOf(rules, direction, protocol);
      if (entries.length > 0) writer.link(column, writeClassifier(writer, entries, share));
      column++;
    }
  }
  return program;
}

function entriesOf(
  rules: readonly ProgramRule[],
  direction: RuleDirection,
  protocol: (typeof protocols)[number],
): Entry[] {
  const entries: Entry[] = [];
  for (const { index, direction: own, rule, ranges = allAddresses, live } of rules) {
    if (!live || own !== direction || ranges.length === 0) continue;
    if (rule.protocol !== 'all' && rule.protocol !== protocol) continue;
    const value = index + 1;
    if (protocol === 'icmp' || rule.ports === undefined) {
      entries.push({ portFrom: 0, portTo: lastPort, ranges, value });
    } else {
      for (const { from, to } of rule.ports) {
        entries.push({ portFrom: from, portTo: to, ranges, value });
      }
    }
  }
  return entries;
}

/** First ports of the classes, ascending, from 0. */
function portClasses(entries: readonly Entry[]): number[] {
  const edges = new Set<number>([0]);
  for (const { portFrom, portTo } of entries) {
    edges.add(portFrom);
    if (portTo < lastPort) edges.add(portTo + 1);
  }
  return [...edges].sort((a, b) => a - b);
}

/** The entries of each node of the segment tree over port classes. */
function distribute(
  entries: readonly Entry[],
  starts: readonly number[],
  leaves: number,
): (Entry[] | undefined)[] {
  const classOf = new Map(starts.map((start, index) => [start, index]));
  const nodes = new Array<Entry[] | undefined>(2 * leaves);
  for (const entry of entries) {
    // The canonical nodes of [first, last]: at most two on each level.
    let low = leaves + classOf.get(entry.portFrom)!;
    const end = entry.portTo < lastPort ? classOf.get(entry.portTo + 1)! : starts.length;
    let high = leaves + (end === starts.length ? leaves : end);
    for (; low < high; low >>= 1, high >>= 1) {
      if ((low & 1) === 1) (nodes[low++] ??= []).push(entry);
      if ((high & 1) === 1) (nodes[--high] ??= []).push(entry);
    }
  }
  return nodes;
}

function writeClassifier(writer: BlockWriter, entries: readonly Entry[], share: ShareSet): number {
  const starts = portClasses(entries);
  let leaves = 1;
  while (leaves < starts.length) leaves *= 2;
  const nodes = distribute(entries, starts, leaves);
  const classifier = writer.reserve(ClassifierWord.nodes + 2 * leaves - 1);
  writer.set(classifier + ClassifierWord.leaves, leaves);
  if (starts.length > 1) {
    const keys = Uint32Array.from(starts, (start) => start * 65_536);
    writer.link(classifier + ClassifierWord.ports, writeSet(writer, keys));
  }
  const open = new Uint8Array(2 * leaves);
  for (let node = 1; node < 2 * leaves; node++) {
    // Below a node that allows every address nothing can be added.
    open[node] = open[node >> 1]!;
    const own = nodes[node];
    if (open[node] !== 0 || own === undefined) continue;
    if (writeNode(writer, classifier + ClassifierWord.nodes + node - 1, own, share)) open[node] = 1;
  }
  return classifier;
}

/** Writes the address sets of a node and refers to them from `at`. Returns whether they allow every address. */
function writeNode(
  writer: BlockWriter,
  at: number,
  entries: readonly Entry[],
  share: ShareSet,
): boolean {
  // Of several rules about the same large set only the first can be reported.
  const large = new Map<Ranges, Entry>();
  for (const entry of entries) {
    if (entry.ranges.length / 2 > sharedAbove && !large.has(entry.ranges)) {
      large.set(entry.ranges, entry);
    }
  }
  const shared = large.size <= maxUses ? large : new Map<Ranges, Entry>();
  const united = shared.size === 0 ? entries : entries.filter(({ ranges }) => !shared.has(ranges));
  let word = at;
  for (const [ranges, { value }] of shared) {
    const use = writer.reserve(UseWord.length);
    const chunked = isChunked(ranges) ? chunkedBit : 0;
    writer.set(use + UseWord.set, share(ranges) | chunked);
    writer.set(use + UseWord.rule, value);
    writer.link(word, use | useBit);
    word = use + UseWord.next;
  }
  if (united.length === 0) return false;
  const { starts, values } = unionOf(united);
  writer.link(word, writeSet(writer, starts, values));
  return values.every((value) => value !== 0);
}

const noValues = new Int32Array(0);

function writeSet(writer: BlockWriter, starts: Uint32Array, values: Int32Array = noValues): number {
  const count = starts.length;
  const set = writer.reserve(SetWord.starts);
  writer.set(set + SetWord.count, count);
  const first = writer.append(starts);
  for (let i = 0; i < count; i++) writer.set(first + i, starts[i]! ^ 0x80000000);
  writer.append(values);
  if (count <= indexAbove) return set;
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
  writer.link(set + SetWord.index, index);
  return set;
}

function isChunked(ranges: Ranges): boolean {
  return ranges.length / 2 > chunkedAbove;
}

/** Writes a set that is shared: a block of its own. */
export function writeSharedSet(writer: BlockWriter, ranges: Ranges): void {
  if (isChunked(ranges)) {
    writeChunks(writer, ranges);
    return;
  }
  const starts = new Uint32Array(ranges.length + 1);
  let count = 1;
  for (let i = 0; i < ranges.length; i += 2) {
    starts[count++] = ranges[i]!;
    if (ranges[i + 1]! < 0xffffffff) starts[count++] = ranges[i + 1]! + 1;
  }
  writeSet(writer, starts.subarray(0, count));
}
