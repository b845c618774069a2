/**
 * Whether two processes judge by the same policy.
 *
 * It is of what the policy means, not of the compiled words: those depend on what was compiled before. What has not changed since
 * the last policy is not looked at again.
 */
import { createHash } from 'node:crypto';
import type { CompiledPolicy, RulePlace } from './compile.ts';
import type { Ranges } from './ranges.ts';
import { defaultReject, rejectBits, rejectOf } from './reject.ts';
import type { PolicySource } from './types.ts';

const digestsOfRules = new WeakMap<readonly RulePlace[], string>();
const digestsOfRanges = new WeakMap<Ranges, string>();

/** Equal for policies that allow and answer the same, whatever the names of servers and templates are. */
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
  const words: number[] = [];
  servers.forEach((server, index) => {
    const { addresses } = server;
    const templates = assignments[index]!;
    words.push(addresses.length, ...addresses, rejectBits(rejectOf(server, reject)));
    words.push(
      templates.length,
      ...templates.map(({ template }) => placeOf.get(template)!).sort(ascending),
    );
  });
  return createHash('sha256')
    .update(JSON.stringify(reject))
    .update(distinct.join())
    .update(Uint32Array.from(words))
    .digest('hex');
}

function ascending(a: number, b: number): number {
  return a - b;
}

/** Of the rules of a template, as they are now. */
function digestOfRules(places: readonly RulePlace[]): string {
  let digest = digestsOfRules.get(places);
  if (digest === undefined) {
    const hash = createHash('sha256');
    for (const { direction, rule, ranges, live } of places) {
      const addresses = ranges === undefined ? 'any' : digestOfRanges(ranges);
      if (live) hash.update(JSON.stringify([direction, rule.protocol, rule.ports, addresses]));
    }
    digest = hash.digest('hex');
    digestsOfRules.set(places, digest);
  }
  return digest;
}

/** Up to so many words, ranges are written out. */
const shortRanges = 16;

function digestOfRanges(ranges: Ranges): string {
  if (ranges.length <= shortRanges) return ranges.join();
  let digest = digestsOfRanges.get(ranges);
  if (digest === undefined) {
    digest = createHash('sha256').update(ranges).digest('base64');
    digestsOfRanges.set(ranges, digest);
  }
  return digest;
}
