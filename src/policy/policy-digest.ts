/**
 * Whether two processes judge by the same policy.
 *
 * It is of what the policy means, not of the compiled words: those depend on what was compiled before. What has not changed since
 * the last policy is not looked at again.
 */
import { createHash } from 'node:crypto';
import type { CompiledPolicy, RulePlace } from './compile.ts';
import { observationOf } from './observe.ts';
import type { Ranges } from './ranges.ts';
import { defaultReject, rejectBits, rejectOf } from './reject.ts';
import type { PolicySource, RuleProtocol } from './types.ts';

const digestsOfRules = new WeakMap<readonly RulePlace[], string>();
const digestsOfRanges = new WeakMap<Ranges, Uint32Array>();

/** Equal for policies that allow, answer and observe the same, whatever the names of servers and templates are. */
export function policyDigest(source: PolicySource, policy: CompiledPolicy): string {
  const { servers, gateway } = source;
  const reject = gateway?.reject ?? defaultReject;
  const assignments = servers.map((_, index) => policy.resolver.assignmentsOf(index));
  const digests = new Map<string, string>();
  for (const ofServer of assignments) {
    for (const { template } of ofServer) {
      if (digests.has(template)) continue;
      digests.set(template, digestOfRules(policy.rulesOf.get(template) ?? []));
    }
  }
  // There may be very many servers: what they have is named by its place in this list.
  const distinct = [...new Set(digests.values())].sort();
  const places = new Map(distinct.map((digest, place) => [digest, place]));
  const placeOf = new Map(
    [...digests].map(([template, digest]) => [template, places.get(digest)!]),
  );
  const length = servers.reduce(
    (sum, { addresses }, index) => sum + addresses.length + assignments[index]!.length + 4,
    0,
  );
  const words = new Uint32Array(length);
  let end = 0;
  servers.forEach((server, index) => {
    const { addresses } = server;
    words[end++] = addresses.length;
    for (const address of addresses) words[end++] = address;
    words[end++] = rejectBits(rejectOf(server, reject));
    const observation = observationOf(server, policy.resolver.nowMs);
    words[end++] = observation?.live === true ? Math.floor(observation.untilMs / 1000) : 0;
    const templates = assignments[index]!;
    words[end++] = templates.length;
    const start = end;
    for (const { template } of templates) {
      insert(words, start, end++, placeOf.get(template)!);
    }
  });
  return createHash('sha256')
    .update(JSON.stringify(reject))
    .update(distinct.join())
    .update(words)
    .digest('hex');
}

/** Inserts a word into ascending ones: there are few, and ten thousand arrays to be sorted would be as much garbage. */
function insert(words: Uint32Array, start: number, end: number, word: number): void {
  let at = end;
  for (; at > start && words[at - 1]! > word; at--) words[at] = words[at - 1]!;
  words[at] = word;
}

/** Of the rules of a template, as they are now. */
function digestOfRules(places: readonly RulePlace[]): string {
  let digest = digestsOfRules.get(places);
  if (digest === undefined) {
    const words = new WordList();
    for (const { direction, rule, ranges, live } of places) {
      if (!live) continue;
      words.add(direction === 'inbound' ? 0 : 1);
      words.add(protocols.indexOf(rule.protocol));
      words.add(rule.ports === undefined ? all : rule.ports.length);
      for (const { from, to } of rule.ports ?? []) {
        words.add(from);
        words.add(to);
      }
      addRanges(words, ranges);
    }
    digest = createHash('sha256').update(words.all).digest('hex');
    digestsOfRules.set(places, digest);
  }
  return digest;
}

const protocols: readonly RuleProtocol[] = ['all', 'icmp', 'tcp', 'udp'];

/** In the place of a length: no list, all of them. */
const all = 0xffffffff;

/** Up to so many words, ranges are written out. */
const shortRanges = 16;

function addRanges(words: WordList, ranges: Ranges | undefined): void {
  words.add(ranges?.length ?? all);
  if (ranges === undefined) return;
  for (const word of ranges.length <= shortRanges ? ranges : digestOfRanges(ranges)) {
    words.add(word);
  }
}

function digestOfRanges(ranges: Ranges): Uint32Array {
  let digest = digestsOfRanges.get(ranges);
  if (digest === undefined) {
    const bytes = createHash('sha256').update(ranges).digest();
    digest = new Uint32Array(Uint8Array.from(bytes).buffer);
    digestsOfRanges.set(ranges, digest);
  }
  return digest;
}

/** A text of very many rules would be many times as much garbage. */
class WordList {
  #words = new Uint32Array(1024);
  #length = 0;

  add(word: number): void {
    if (this.#length === this.#words.length) {
      const grown = new Uint32Array(this.#length * 2);
      grown.set(this.#words);
      this.#words = grown;
    }
    this.#words[this.#length++] = word;
  }

  get all(): Uint32Array {
    return this.#words.subarray(0, this.#length);
  }
}
