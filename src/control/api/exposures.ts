/** What templates and servers have open to the world, for their answers. Found once for each snapshot and minute. */
import { exposureOf, joinExposures, trafficWords } from '../../policy/openings.ts';
import type { Exposure } from '../../policy/openings.ts';
import { Resolver } from '../../policy/resolve.ts';
import type { Snapshot } from '../store/store.ts';

interface Exposures {
  /** Rules end by the clock. */
  readonly minute: number;
  readonly byTemplate: ReadonlyMap<string, Exposure>;
}

const known = new WeakMap<Snapshot, Exposures>();

/** `TCP, ports 80, 443`: what is open to at least half of all addresses. Empty: nothing. */
export function openToWorld(snapshot: Snapshot, templates: readonly string[]): string[] {
  const { byTemplate } = exposuresOf(snapshot);
  const own = templates.flatMap((name) => byTemplate.get(name) ?? []);
  return trafficWords(joinExposures(own));
}

function exposuresOf(snapshot: Snapshot): Exposures {
  const nowMs = Date.now();
  const minute = Math.floor(nowMs / 60_000);
  const before = known.get(snapshot);
  if (before?.minute === minute) return before;
  const resolver = new Resolver(snapshot, nowMs);
  const exposures = {
    minute,
    byTemplate: new Map(
      snapshot.templates.map(({ name, inbound }) => [name, exposureOf(resolver, inbound)]),
    ),
  };
  known.set(snapshot, exposures);
  return exposures;
}
