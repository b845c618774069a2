/** New fuzz cases, and new ones made from those that reached something: fields and bytes changed, steps moved and spliced. */
import { ReloadMode } from '../../src/dataplane/engine/engine.ts';
import type { FuzzCase, FuzzPacket, FuzzSettings, FuzzStep, PolicyChange } from './case.ts';
import { policyCount } from './policies.ts';
import { below, choose, crowd, errorAbout, newConversation } from './traffic.ts';
import type { Random } from './traffic.ts';

const maxSteps = 100;
/** The batch memory of the executor holds these. */
export const maxPacketsPerStep = 48;
export const maxPacketLength = 9216;

const dayMs = 86_400_000;
/** Ticks come ten times a second; what a clock can jump by between two of them has to stay below 2^31 ms. */
const clockSteps = [0, 1, 10, 100, 999, 1001, 2500, 10_000, 30_000, 60_000, 120_000, 400_000];
const clockJumps = [5 * dayMs, 20 * dayMs];

function someSettings(random: Random): FuzzSettings {
  const capacity = choose(random, [8, 12, 16, 32, 64]);
  return {
    capacity,
    serverShare: choose(random, [2, 4, Math.ceil(capacity / 2), capacity]),
    fragmentBytes: choose(random, [65_536, 131_072, 262_144]),
    startMs: choose(random, [
      1_000_000,
      -1000,
      -100_000,
      0x7fffffff - 5000,
      below(random, 2 ** 31),
    ]),
    loose: random() < 0.2,
    liberal: random() < 0.15,
  };
}

function plain(bytes: Uint8Array): FuzzPacket {
  return { bytes, vnetFlags: 0, gsoType: 0, edits: [], repaired: true };
}

function someChange(random: Random): PolicyChange {
  return {
    policy: below(random, policyCount),
    mode: choose(random, [ReloadMode.cut, ReloadMode.cut, ReloadMode.keep, ReloadMode.drain]),
    drainMs: choose(random, [1, 1000, 60_000]),
    late: random() < 0.3,
  };
}

/** The table fills with connections that are active, less active and idle; then come more. */
function crowdedCase(random: Random): FuzzCase {
  const settings = { ...someSettings(random), capacity: choose(random, [8, 12, 16]) };
  const conversations = crowd(random, settings.capacity + 4);
  const steps: FuzzStep[] = [];
  for (let turn = 0; turn < 5; turn++) {
    for (const conversation of conversations.slice(0, settings.capacity)) {
      if (turn > 3 && random() < 0.7) continue;
      const packets = conversation.next(random).map(plain);
      const afterMs = choose(random, turn > 3 ? [1000, 5000, 20_000] : [0, 1, 10]);
      steps.push({ afterMs, engine: 0, packets, change: undefined, tick: false });
    }
  }
  for (let newcomer = 0; newcomer < 10; newcomer++) {
    const packets = choose(random, conversations).next(random).map(plain);
    const afterMs = choose(random, [0, 1000, 10_000, 29_000, 31_000]);
    steps.push({ afterMs, engine: 0, packets, change: undefined, tick: random() < 0.2 });
  }
  const serverShare = random() < 0.7 ? settings.capacity : settings.serverShare;
  return { settings: { ...settings, serverShare }, steps: steps.slice(0, maxSteps) };
}

export function newCase(random: Random): FuzzCase {
  if (random() < 0.15) return crowdedCase(random);
  const conversations = Array.from({ length: 1 + below(random, 5) }, () => newConversation(random));
  const flood = random() < 0.25;
  const steps: FuzzStep[] = [];
  const stepCount = 5 + below(random, 55);
  for (let step = 0; step < stepCount; step++) {
    if (random() < 0.08 || flood) conversations.push(newConversation(random));
    const packets: Uint8Array[] = [];
    const bursts = 1 + below(random, random() < 0.1 ? 12 : 3);
    for (let burst = 0; burst < bursts; burst++) {
      packets.push(...choose(random, conversations).next(random));
      if (packets.length > 0 && random() < 0.08)
        packets.push(errorAbout(random, choose(random, packets)));
    }
    steps.push({
      afterMs: random() < 0.01 ? choose(random, clockJumps) : choose(random, clockSteps),
      engine: random() < 0.25 ? 1 : 0,
      packets: packets.slice(0, maxPacketsPerStep).map((bytes) => {
        return random() < 0.1 ? mutatePacket(random, plain(bytes)) : plain(bytes);
      }),
      change: random() < 0.06 ? someChange(random) : undefined,
      tick: random() < 0.2,
    });
  }
  return { settings: someSettings(random), steps };
}

/** Byte positions that mean something, from the start of the IPv4 header and of the one behind it. */
const ipFields = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 15, 16, 19, 20, 21, 22];
const l4Fields = [0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 13, 14, 15, 16, 20, 21, 22, 23, 24, 28];
const values = [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 13, 16, 17, 127, 128, 131, 137, 224, 255];

function mutatePacket(random: Random, packet: FuzzPacket): FuzzPacket {
  const roll = random();
  if (roll < 0.1)
    return { ...packet, vnetFlags: below(random, 4), gsoType: choose(random, [0, 1, 3, 5, 0x81]) };
  if (roll < 0.25) return { ...packet, length: below(random, packet.bytes.length + 1) };
  if (roll < 0.3) return { ...packet, length: packet.bytes.length + below(random, 40) };
  if (roll < 0.35) return { ...packet, repaired: !packet.repaired };
  if (roll < 0.4) return { ...packet, edits: packet.edits.slice(1) };
  const headerLength = (packet.bytes[0]! & 15) << 2;
  const at =
    roll < 0.6
      ? choose(random, ipFields)
      : roll < 0.9
        ? headerLength + choose(random, l4Fields)
        : below(random, packet.bytes.length);
  const old = packet.bytes[at] ?? 0;
  const value = choose(random, [
    old ^ (1 << below(random, 8)),
    (old + 1) & 255,
    (old - 1) & 255,
    choose(random, values),
    below(random, 256),
  ]);
  return { ...packet, edits: [...packet.edits, [at, value]] };
}

function mutateStep(random: Random, step: FuzzStep): FuzzStep {
  const packets = [...step.packets];
  const at = below(random, packets.length);
  const roll = random();
  if (roll < 0.1) return { ...step, afterMs: choose(random, [...clockSteps, ...clockJumps]) };
  if (roll < 0.15) return { ...step, tick: !step.tick };
  if (roll < 0.2) return { ...step, engine: step.engine === 0 ? 1 : 0 };
  if (roll < 0.3) return { ...step, change: random() < 0.3 ? undefined : someChange(random) };
  if (packets.length === 0) return step;
  const packet = packets[at]!;
  if (roll < 0.4) packets.splice(at, 1);
  else if (roll < 0.5) packets.splice(below(random, packets.length), 0, packet);
  else if (roll < 0.58) packets.push(plain(errorAbout(random, packet.bytes)));
  else packets[at] = mutatePacket(random, packet);
  return { ...step, packets: packets.slice(0, maxPacketsPerStep) };
}

/** A few changes to a case; `other` is one that it may be spliced with. */
export function mutateCase(random: Random, original: FuzzCase, other: FuzzCase): FuzzCase {
  let { settings } = original;
  const steps = [...original.steps];
  const changes = 1 + below(random, 6);
  for (let change = 0; change < changes; change++) {
    const roll = random();
    const at = below(random, steps.length);
    if (roll < 0.05) settings = someSettings(random);
    else if (roll < 0.1) steps.splice(at, 1);
    else if (roll < 0.15 && steps.length > 0) steps.splice(at, 0, choose(random, steps));
    else if (roll < 0.25) {
      const from = below(random, other.steps.length);
      steps.splice(at, below(random, 6), ...other.steps.slice(from, from + below(random, 10)));
    } else if (steps.length > 0) steps[at] = mutateStep(random, steps[at]!);
  }
  return { settings, steps: steps.slice(0, maxSteps) };
}
