/**
 * Restores the recorded state, whatever the current one is. Used by `down`, and by an `up` that failed.
 *
 * Order: forwarding is set back first, so that on a host that did not route before, nothing is
 * forwarded any more when the rules go. It is not an error if something is gone meanwhile (an interface, a rule); every
 * step can be repeated.
 */
import { policyCommand, readForwardPolicy, setDefaultCommand } from './forward-policy.ts';
import { removeGuardCommands } from './guard.ts';
import { disintegrateCommands } from './neighbours.ts';
import { nft } from './nft.ts';
import { guardIsHere, isDeviceOnly, ourRoutes, ourRules, type GatewayRecord } from './record.ts';
import { firewallTable, interfaceOf, readSnapshot } from './snapshot.ts';
import {
  defaultQdiscs,
  isRule,
  obsoleteRules,
  routeProtocol,
  ruleCommand,
  wantedRoutes,
  wantedRules,
} from './plan.ts';
import { ip, readSysctl, runProgram, writeSysctl } from './system.ts';

/** What {@link restore} goes back to: a record, or part of one. */
export type Before = Pick<
  GatewayRecord,
  'device' | 'deviceBefore' | 'sysctls' | 'integrate' | 'forwardDefault'
>;

/** Restores everything but the guard's absence. Returns notes for the operator, one line each. */
export async function restore(before: Before): Promise<string[]> {
  setBack('ipv4/ip_forward', before.sysctls['ipv4/ip_forward']);
  await removeRulesAndRoutes(before.device);
  if (before.integrate === true) await disintegrate(before.device);
  await restoreForwardPolicy(before);
  await restoreDevice(before);
  return restoreSysctls(before);
}

/** Opens: the last thing that `down` does. */
export async function removeGuard(): Promise<void> {
  if (guardIsHere(await readSnapshot())) await nft(removeGuardCommands);
}

async function restoreForwardPolicy({ forwardDefault = 'accept' }: Before): Promise<void> {
  const found = await readForwardPolicy();
  if (found.state !== 'read') return;
  if (found.byDefault !== forwardDefault) await ip(setDefaultCommand(forwardDefault));
  for (const device of found.into) await ip(policyCommand('delete', device));
}

async function disintegrate(device: string): Promise<void> {
  const { nft: found } = await readSnapshot();
  const commands = found.state === 'read' ? disintegrateCommands(found.ruleset, device) : [];
  if (commands.length > 0) await nft(commands);
}

/** Removes our rules, the diverting one first, then our routes, the guard last. */
async function removeRulesAndRoutes(device: string): Promise<void> {
  const snapshot = await readSnapshot();
  const rules = ourRules(snapshot, device);
  for (const shape of [...obsoleteRules(device), ...wantedRules(device)].reverse()) {
    if (rules.some((rule) => isRule(rule, shape))) await ip(ruleCommand('del', shape));
  }
  const routes = ourRoutes(snapshot, device);
  for (const { text, args } of wantedRoutes(device).reverse()) {
    if (!routes.some((route) => route.text === text)) continue;
    const all = ['-4', 'route', 'del', ...args, 'table', String(firewallTable)];
    await ip([...all, 'protocol', String(routeProtocol)]);
  }
}

/** Deletes the device that `up` made, also under a running firewall; restores one that existed before. */
async function restoreDevice({ device, deviceBefore }: Before): Promise<void> {
  const link = (await readSnapshot()).links.find(({ name }) => name === device);
  if (link === undefined) return;
  if (deviceBefore === null) {
    if (link.tun !== undefined) await ip(['link', 'delete', 'dev', device]);
    return;
  }
  const { up, txQueueLength, mtu = link.mtu, group = 0, qdisc = link.qdisc } = deviceBefore;
  if (link.txQueueLength !== txQueueLength) {
    await ip(['link', 'set', 'dev', device, 'txqueuelen', String(txQueueLength)]);
  }
  if (link.mtu !== mtu) await ip(['link', 'set', 'dev', device, 'mtu', String(mtu)]);
  if (link.group !== group) await ip(['link', 'set', 'dev', device, 'group', String(group)]);
  // Without one of its own it gets the kernel's default.
  if (link.qdisc === 'noqueue' && defaultQdiscs.has(qdisc)) {
    await runProgram('tc', ['qdisc', 'delete', 'dev', device, 'root']);
  }
  if (link.up !== up) await ip(['link', 'set', 'dev', device, up ? 'up' : 'down']);
}

/**
 * Sysctls last, `all` before the rest: writing all.forwarding rewrites every interface's, so what it
 * rewrote is compared and set back afterwards. An interface that the record does not know appeared
 * while the gateway was up and got our `default`; it gets the old one.
 */
async function restoreSysctls(before: Before): Promise<string[]> {
  const recorded = new Map(Object.entries(before.sysctls));
  const isGlobal = (path: string): boolean => interfaceOf(path) === 'all';
  for (const path of [...recorded.keys()].filter(isGlobal)) setBack(path, recorded.get(path));
  const { sysctls } = await readSnapshot();
  const vanished = new Set<string>();
  for (const [path, value] of recorded) {
    const name = interfaceOf(path);
    if (sysctls.has(path)) {
      setBack(path, value);
    } else if (name !== undefined) {
      vanished.add(name);
    }
  }
  for (const path of sysctls.keys()) {
    const name = interfaceOf(path);
    if (name === undefined || recorded.has(path) || isDeviceOnly(path)) continue;
    const inherited = recorded.get(path.replace(/conf\/[^/]+\//, 'conf/default/'));
    setBack(path, inherited);
  }
  return [...vanished].map((name) => `interface ${name} is gone: nothing to set back there`);
}

/** Writes only values that differ: others may be read-only, which may be why `up` failed. */
function setBack(path: string, value: string | undefined): void {
  if (value === undefined || readSysctl(path) === value) return;
  // False: the interface has just vanished, and its sysctl with it.
  writeSysctl(path, value);
}
