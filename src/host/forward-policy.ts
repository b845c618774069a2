/**
 * The guard that survives `nft flush ruleset` and `ip rule flush`: the kernel's IPsec policies. Forwarding a packet
 * takes a policy that allows it, once the default for that is `block`; one policy allows what goes into the TUN, and
 * what comes out of it needs none (`disable_policy`). So nothing else is forwarded, in whatever way it was routed, and a
 * flush of the policies closes as well. Multicast routing alone does not ask them.
 *
 * The kernel asks its policies before the guard in nftables, so most of what goes around the TUN is counted here.
 *
 * Our policy is the last in order: those of a VPN decide first, as they would without us.
 */
import { existsSync, readFileSync } from 'node:fs';
import { GatewayError } from './error.ts';
import type { Item } from './item.ts';
import { hasNetAdmin, runProgram } from './system.ts';

/** The last that is asked, and the mark of our policy. */
const lastPriority = '4294967295';

export type ForwardDefault = 'accept' | 'block';

/** `forbidden`: only root may look. `missing`: a kernel before Linux 5.14, or without IPsec, or an old `ip`. */
export type ForwardPolicy =
  | {
      readonly state: 'read';
      /** What happens to a forwarded packet without a policy. */
      readonly byDefault: ForwardDefault;
      /** Devices into which our policies let packets go; `if7` of a device that is gone. */
      readonly into: readonly string[];
      /** Packets that were dropped since this namespace is there, because no policy allowed them. */
      readonly dropped: number;
    }
  | { readonly state: 'forbidden' | 'missing' };

export async function readForwardPolicy(): Promise<ForwardPolicy> {
  if (!hasNetAdmin()) return { state: 'forbidden' };
  try {
    const [defaults, policies] = await Promise.all([
      runProgram('ip', ['xfrm', 'policy', 'getdefault']),
      runProgram('ip', ['xfrm', 'policy', 'show', 'dir', 'fwd', 'priority', lastPriority]),
    ]);
    const byDefault = /^\s*fwd:\s*(accept|block)\s*$/m.exec(defaults)?.[1];
    if (byDefault === undefined) return { state: 'missing' };
    const into = devicesOf(policies);
    return { state: 'read', byDefault: byDefault as ForwardDefault, into, dropped: dropped() };
  } catch (error) {
    if (error instanceof GatewayError && isUnsupported(error.message)) return { state: 'missing' };
    throw error;
  }
}

/** As an old `ip`, an old kernel, and one without IPsec say it. */
function isUnsupported(message: string): boolean {
  return /is unknown|Invalid argument|not supported/.test(message);
}

/** 0 where the kernel does not count (CONFIG_XFRM_STATISTICS). */
function dropped(): number {
  const path = '/proc/net/xfrm_stat';
  const text = existsSync(path) ? readFileSync(path, 'latin1') : '';
  return Number(/^XfrmInNoPols\s+(\d+)$/m.exec(text)?.[1] ?? 0);
}

/** `ip xfrm` prints no JSON. A policy begins at the margin; its other lines are indented. */
export function devicesOf(policies: string): string[] {
  const ours = new RegExp(
    `^src 0\\.0\\.0\\.0/0 dst 0\\.0\\.0\\.0/0 dev (\\S+) dir fwd priority ${lastPriority} ptype main$`,
  );
  return policies.split(/\n(?=\S)/).flatMap((policy) => {
    const device = ours.exec(policy.trim().replace(/\s+/g, ' '))?.[1];
    return device === undefined ? [] : [device];
  });
}

export function setDefaultCommand(byDefault: ForwardDefault): string[] {
  return ['xfrm', 'policy', 'setdefault', 'fwd', byDefault];
}

export function policyCommand(verb: 'add' | 'delete', device: string): string[] {
  const selector = ['src', '0.0.0.0/0', 'dst', '0.0.0.0/0', 'dev', device, 'dir', 'fwd'];
  const rest = verb === 'add' ? ['action', 'allow', 'priority', lastPriority] : [];
  return ['xfrm', 'policy', verb, ...selector, ...rest];
}

/** Whether a policy of ours is there: the trace of a gateway that is, or was, up. */
export function hasForwardPolicy(policy: ForwardPolicy): boolean {
  return policy.state === 'read' && policy.into.length > 0;
}

/**
 * After those of the device: its policy cannot be made before it.
 *
 * @param device undefined: something else has its name, and nothing may go there
 */
export function forwardPolicyItems(policy: ForwardPolicy, device: string | undefined): Item[] {
  if (policy.state !== 'read') return [];
  const item = (what: string, expected: string, found: string, ...args: string[]): Item => ({
    kind: 'rule',
    item: `ip xfrm policy, ${what}`,
    expected,
    found,
    ok: found === expected,
    change: { kind: 'ip', args },
  });
  const { byDefault, into } = policy;
  const found = device !== undefined && into.includes(device) ? device : 'missing';
  return [
    item('forwarding by default', 'block', byDefault, ...setDefaultCommand('block')),
    ...(device === undefined
      ? []
      : [item('into the device', device, found, ...policyCommand('add', device))]),
    ...into
      .filter((other) => other !== device)
      .map((other) => item(`into ${other}`, 'none', other, ...policyCommand('delete', other))),
  ];
}
