/**
 * Which chains of other programs drop what the firewall passed. A judged packet goes through the host's netfilter
 * twice, on its way into the TUN and out of it; a chain that knows nothing of the TUN (Docker's FORWARD, a default
 * drop by interface, a reverse-path check in nftables) drops it, and no counter of ours knows.
 *
 * Chains are followed with a packet of which only the interfaces are known. What depends on more is `maybe`. A chain
 * is named only when the packet is dropped for certain: nothing before could have accepted it.
 */
import type { Json, Ruleset } from './nft.ts';
import { guardTable } from './guard.ts';

export interface Packet {
  readonly iifname: string;
  /** Not known yet before routing. */
  readonly oifname: string | undefined;
  /** Where it goes to; undefined: anywhere. */
  readonly daddr?: string;
}

/** A base chain that drops packets of judged flows. */
export interface DroppingChain {
  readonly family: string;
  readonly table: string;
  readonly chain: string;
  readonly packet: Packet;
  /** The verdict in words: `policy drop`, or the rule. */
  readonly by: string;
}

type Known = 'yes' | 'no' | 'maybe';
type Verdict = 'accept' | 'drop' | 'continue';
interface Outcome {
  readonly verdict: Verdict;
  /** Something before may have accepted it. */
  readonly mayPass: boolean;
  readonly by: string;
}
type Expression = Readonly<Record<string, unknown>>;

/** A chain calls others at most this deep; the kernel allows 16. */
const maxDepth = 16;

export function droppingChains(
  ruleset: Ruleset,
  device: string,
  cables: readonly string[],
): DroppingChain[] {
  const found: DroppingChain[] = [];
  for (const object of ruleset) {
    const base = object['chain'];
    if (base === undefined || !['forward', 'prerouting'].includes(String(base['hook']))) continue;
    const { family, table, name, hook } = base as Record<string, string>;
    if (!['ip', 'inet'].includes(family!) || table === guardTable) continue;
    const packets = [
      ...packetsOf(hook!, device, cables),
      ...(hook === 'prerouting' ? packetsToOneInterface(ruleset, base, device) : []),
    ];
    const packet = packets.find((one) => isDropped(ruleset, base, one));
    if (packet === undefined) continue;
    const { by } = follow(ruleset, base, packet, 0);
    found.push({ family: family!, table: table!, chain: name!, packet, by: by || 'policy drop' });
  }
  return found;
}

/** Into the TUN and out of it. On the way in before routing, nothing is special about a judged packet. */
function packetsOf(hook: string, device: string, cables: readonly string[]): Packet[] {
  if (hook === 'prerouting') return [{ iifname: device, oifname: undefined }];
  return cables.flatMap((cable) => [
    { iifname: cable, oifname: device },
    { iifname: device, oifname: cable },
  ]);
}

/**
 * Docker 28 lets packets for the address of a container come in by its bridge alone. A judged packet comes in by the TUN,
 * and has the container's address already.
 */
function packetsToOneInterface(ruleset: Ruleset, chain: Expression, device: string): Packet[] {
  return rulesOf(ruleset, chain).flatMap(({ expr }) => {
    const matched = (expr as Expression[]).flatMap(({ match }) => (match ?? []) as Expression[]);
    const isBound = matched.some(
      ({ op, left }) => op === '!=' && isMeta(left as Expression, 'iifname'),
    );
    const to = matched.find(({ left }) => isDestination(left as Expression))?.['right'];
    if (!isBound || typeof to !== 'string') return [];
    return [{ iifname: device, oifname: undefined, daddr: to }];
  });
}

function isMeta({ meta }: Expression, key: string): boolean {
  return (meta as { key?: unknown } | undefined)?.key === key;
}

function isDestination({ payload }: Expression): boolean {
  const { protocol, field } = (payload ?? {}) as { protocol?: unknown; field?: unknown };
  return protocol === 'ip' && field === 'daddr';
}

function isDropped(ruleset: Ruleset, base: Expression, packet: Packet): boolean {
  const { verdict, mayPass } = follow(ruleset, base, packet, 0);
  if (mayPass) return false;
  return verdict === 'drop' || (verdict === 'continue' && base['policy'] === 'drop');
}

function follow(ruleset: Ruleset, chain: Expression, packet: Packet, depth: number): Outcome {
  let mayPass = false;
  for (const rule of rulesOf(ruleset, chain)) {
    const outcome = tryRule(ruleset, rule, packet, depth);
    mayPass ||= outcome.mayPass;
    if (outcome.verdict !== 'continue') return { ...outcome, mayPass };
    if (outcome.by === returned) break;
  }
  return { verdict: 'continue', mayPass, by: '' };
}

const returned = 'return';

function rulesOf(ruleset: Ruleset, { family, table, name }: Expression): Expression[] {
  return ruleset.flatMap(({ rule }: Json) =>
    rule?.['family'] === family && rule?.['table'] === table && rule?.['chain'] === name
      ? [rule as Expression]
      : [],
  );
}

function tryRule(ruleset: Ruleset, rule: Expression, packet: Packet, depth: number): Outcome {
  const nothing = { verdict: 'continue', mayPass: false, by: '' } as const;
  const expressions = (rule['expr'] ?? []) as Expression[];
  let certain: Known = 'yes';
  for (const expression of expressions) {
    const [kind = '', value] = Object.entries(expression)[0] ?? [];
    const known = matches(kind, value, packet, expressions);
    if (known === 'no') return nothing;
    if (known === 'maybe') certain = 'maybe';
    const outcome = verdictOf(ruleset, rule, { kind, value }, packet, depth);
    if (outcome === undefined) continue;
    if (certain === 'yes') return outcome;
    return { ...nothing, mayPass: outcome.mayPass || outcome.verdict === 'accept' };
  }
  return nothing;
}

/** What the statement ends with; undefined: nothing, the rule goes on. */
function verdictOf(
  ruleset: Ruleset,
  rule: Expression,
  { kind, value }: { kind: string; value: unknown },
  packet: Packet,
  depth: number,
): Outcome | undefined {
  const by = `rule ${String(rule['handle'])} of chain ${String(rule['chain'])}`;
  if (kind === 'accept') return { verdict: 'accept', mayPass: true, by };
  if (kind === 'drop' || kind === 'reject' || isTarget(value, 'REJECT')) {
    return { verdict: 'drop', mayPass: false, by };
  }
  if (kind === 'return') return { verdict: 'continue', mayPass: false, by: returned };
  // Verdicts by a table, queues: they may let it through.
  if (kind === 'vmap') return vmapOutcome(value as Expression);
  if (kind === 'queue') return { verdict: 'accept', mayPass: true, by };
  if ((kind === 'jump' || kind === 'goto') && depth < maxDepth) {
    const { target } = value as { target: string };
    const called = follow(ruleset, { ...rule, name: target }, packet, depth + 1);
    if (called.verdict !== 'continue') return called;
    if (kind === 'goto') return { ...called, by: returned };
    return called.mayPass ? { ...called, by: '' } : undefined;
  }
  return undefined;
}

/** `ct state vmap { established : accept }` says nothing of a packet that is new; any other may pass it. */
function vmapOutcome({ key }: Expression): Outcome | undefined {
  const ofState = JSON.stringify(key).includes('"key":"state"');
  return ofState ? undefined : { verdict: 'continue', mayPass: true, by: '' };
}

function isTarget(value: unknown, name: string): boolean {
  const { type, name: found } = (value ?? {}) as Expression;
  return type === 'target' && found === name;
}

function matches(kind: string, value: unknown, packet: Packet, rule: readonly Expression[]): Known {
  if (kind === 'xt') return matchesXt(value as Expression, rule);
  if (kind !== 'match') return 'yes';
  const { op, left, right } = value as { op: string; left: Expression; right: unknown };
  const meta = left['meta'] as { key: string } | undefined;
  if (meta?.key === 'iifname' || meta?.key === 'iif') return compareName(op, packet.iifname, right);
  if (meta?.key === 'oifname' || meta?.key === 'oif') return compareName(op, packet.oifname, right);
  if (meta?.key === 'nfproto') return compareName(op, 'ipv4', right);
  if (meta?.key === 'protocol') return compareName(op, 'ip', right);
  if (isDestination(left)) return compareName(op, packet.daddr, right);
  const fib = left['fib'] as { result: string; flags: string[] } | undefined;
  // No route leads back into the TUN.
  if (fib?.flags.includes('saddr') === true && fib.flags.includes('iif'))
    return op === '!=' || right === true ? 'no' : 'yes';
  const ct = left['ct'] as { key: string } | undefined;
  // A packet is entered by a DNAT rule of the host on its way in, or by none: of most it is none.
  if (ct?.key === 'status' && op !== '!=' && /^\[?"[ds]nat"\]?$/.test(JSON.stringify(right)))
    return 'no';
  if (ct?.key === 'state') return isNewState(right) ? 'maybe' : op === '!=' ? 'maybe' : 'no';
  return 'maybe';
}

/** Of the first packet of a flow: new, or not tracked at all. */
function isNewState(right: unknown): boolean {
  return /new|untracked/.test(JSON.stringify(right));
}

/** Modules of iptables. JSON does not tell their options; those of a reverse-path check follow from the verdict. */
function matchesXt({ type, name }: Expression, rule: readonly Expression[]): Known {
  if (type !== 'match') return 'yes';
  if (name === 'comment') return 'yes';
  if (name !== 'rpfilter') return 'maybe';
  return rule.some((expression) => 'drop' in expression) ? 'yes' : 'no';
}

function compareName(op: string, name: string | undefined, right: unknown): Known {
  if (name === undefined) return 'maybe';
  const set = (right as { set?: unknown[] } | null)?.set;
  const wanted = set ?? (Array.isArray(right) ? (right as unknown[]) : [right]);
  if (!wanted.every((one) => typeof one === 'string' && !one.startsWith('@'))) return 'maybe';
  const isThere = wanted.some((one) => {
    const text = one as string;
    return text.endsWith('*') ? name.startsWith(text.slice(0, -1)) : name === text;
  });
  return isThere === (op !== '!=') ? 'yes' : 'no';
}
