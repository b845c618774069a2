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
  const hash = createHash('sha256').update(JSON.stringify(reject));
  servers.forEach((server, index) => {
    const templates = policy.resolver
      .assignmentsOf(index)
      .map(({ template }) => digestOfRules(policy.rulesOf.get(template) ?? []))
      .sort();
    const rejects = rejectBits(rejectOf(server, reject));
    hash.update(JSON.stringify([server.addresses, rejects, templates]));
  });
  return hash.digest('hex');
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

function digestOfRanges(ranges: Ranges): string {
  let digest = digestsOfRanges.get(ranges);
  if (digest === undefined) {
    digest = createHash('sha256').update(ranges).digest('base64');
    digestsOfRanges.set(ranges, digest);
  }
  return digest;
}
