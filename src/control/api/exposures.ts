/** What templates and servers have open to the world, for their answers. Found when asked for, once for each snapshot and minute. */
import { exposureOf, joinExposures, trafficWords } from '../../policy/openings.ts';
import type { Exposure } from '../../policy/openings.ts';
import { Resolver } from '../../policy/resolve.ts';
import type { Template } from '../../policy/types.ts';
import type { Snapshot } from '../store/store.ts';

interface Exposures {
  /** Rules end by the clock. */
  readonly minute: number;
  readonly resolver: Resolver;
  readonly templates: ReadonlyMap<string, Template>;
  readonly found: Map<string, Exposure>;
}

const known = new WeakMap<Snapshot, Exposures>();

/** `TCP, ports 80, 443`: what is open to at least half of all addresses. Empty: nothing. */
export function openToWorld(snapshot: Snapshot, templates: readonly string[]): string[] {
  const exposures = exposuresOf(snapshot);
  return trafficWords(joinExposures(templates.map((name) => exposureIn(exposures, name))));
}

function exposureIn({ found, resolver, templates }: Exposures, name: string): Exposure {
  let exposure = found.get(name);
  if (exposure === undefined) {
    exposure = exposureOf(resolver, templates.get(name)?.inbound ?? []);
    found.set(name, exposure);
  }
  return exposure;
}

function exposuresOf(snapshot: Snapshot): Exposures {
  const nowMs = Date.now();
  const minute = Math.floor(nowMs / 60_000);
  const before = known.get(snapshot);
  if (before?.minute === minute) return before;
  const exposures: Exposures = {
    minute,
    resolver: new Resolver(snapshot, nowMs),
    templates: new Map(snapshot.templates.map((each) => [each.name, each])),
    found: new Map(),
  };
  known.set(snapshot, exposures);
  return exposures;
}
