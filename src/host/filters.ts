/**
 * Filters of `tc` that others have put on interfaces. One that redirects what was not judged yet forwards by itself, past the
 * firewall: refused. A program in eBPF may do the same, and cannot be looked into: degraded. Copies (mirror) are a warning.
 *
 * A redirect to an `ifb` device is how shapers work: the packet comes back where it was.
 */
import { GatewayError } from './error.ts';
import type { Item } from './item.ts';
import { runProgram } from './system.ts';

type Json = Readonly<Record<string, unknown>>;

/** `root`: filters of a qdisc with classes, for what goes out. */
type Hook = 'ingress' | 'egress' | 'root';

/** What one hook of an interface has, as `tc -j filter show` prints it. */
export interface HookFilters {
  readonly device: string;
  readonly hook: Hook;
  readonly filters: readonly Json[];
}

export type FilterState =
  | { readonly state: 'read'; readonly hooks: readonly HookFilters[] }
  | { readonly state: 'missing'; readonly why: string };

/** By these two a filter is our own (fast-path.ts), which carries only what the firewall has judged. */
export const carryPreference = 60_116;
/** As tc names a program by its pin; of whichever version. */
const carryName = /^carry-\d+:\[\*fsobj\]$/;

/** Whether it is our own; the first entry of each preference has no options. */
export function isCarryFilter({ kind, pref, options }: Json): boolean {
  if (kind !== 'bpf' || pref !== carryPreference) return false;
  return options === undefined || carryName.test(text((options as Json)['bpf_name']));
}

const withClasses: ReadonlySet<unknown> = new Set([
  'htb',
  'hfsc',
  'prio',
  'drr',
  'qfq',
  'ets',
  'multiq',
]);

/** No privilege needed. */
export async function readFilters(): Promise<FilterState> {
  try {
    const read = filteredHooks(await tcJson(['qdisc', 'show'])).map(async ({ device, hook }) => ({
      device,
      hook,
      filters: await tcJson(['filter', 'show', 'dev', device, hook]),
    }));
    return { state: 'read', hooks: await Promise.all(read) };
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    return { state: 'missing', why: error.message };
  }
}

async function tcJson(args: readonly string[]): Promise<Json[]> {
  const text = (await runProgram('tc', ['-j', ...args])).trim();
  return text === '' ? [] : (JSON.parse(text) as Json[]);
}

/** Only these have filters, of their own or of a shared block. */
export function filteredHooks(qdiscs: readonly Json[]): { device: string; hook: Hook }[] {
  return qdiscs.flatMap(({ kind, dev }): { device: string; hook: Hook }[] => {
    const device = String(dev);
    if (kind === 'clsact' || kind === 'ingress') {
      return [
        { device, hook: 'ingress' },
        { device, hook: 'egress' },
      ];
    }
    return withClasses.has(kind) ? [{ device, hook: 'root' }] : [];
  });
}

type Way = 'redirect' | 'mirror' | 'program';
interface Found {
  readonly device: string;
  readonly hook: Hook;
  readonly way: Way;
  readonly words: string;
  readonly preference: string;
  /** What passes there was not judged: it comes from a cable, or goes into the TUN. */
  readonly isUnjudged: boolean;
}

function waysOf(state: FilterState, tun: string, ifbs: ReadonlySet<string>): Found[] {
  if (state.state !== 'read') return [];
  return state.hooks.flatMap(({ device, hook, filters }) =>
    filters.flatMap((filter) => {
      const isUnjudged = (hook === 'ingress') !== (device === tun);
      const preference = text(filter['pref']);
      return waysOut(filter, ifbs).map((way) => ({ device, hook, preference, isUnjudged, ...way }));
    }),
  );
}

/** How a filter may forward. The first entry of each preference has no options. */
function waysOut(
  { kind, pref, options }: Json,
  ifbs: ReadonlySet<string>,
): Pick<Found, 'way' | 'words'>[] {
  if (options === undefined || isCarryFilter({ kind, pref, options })) return [];
  const program = { way: 'program', words: 'a program in eBPF' } as const;
  const { actions } = options as { readonly actions?: readonly Json[] };
  const byAction = (actions ?? []).flatMap((action): Pick<Found, 'way' | 'words'>[] => {
    if (action['kind'] === 'bpf') return [program];
    const to = text(action['to_dev']);
    if (action['kind'] !== 'mirred' || ifbs.has(to)) return [];
    const way = action['mirred_action'] === 'mirror' ? 'mirror' : 'redirect';
    return [{ way, words: `${way} to ${to}` }];
  });
  return kind === 'bpf' ? [program, ...byAction] : byAction;
}

/** What keeps the gateway from being right. `ifbs`: names of the devices of that kind. */
export function filterItems(state: FilterState, tun: string, ifbs: ReadonlySet<string>): Item[] {
  const items = waysOf(state, tun, ifbs)
    .filter(({ isUnjudged, way }) => isUnjudged && way !== 'mirror')
    .map(({ device, hook, way, words, preference }): Item => {
      const base = { kind: 'neighbour', expected: 'none', ok: false } as const;
      const item = `tc filter on ${device} ${hook}`;
      const remove = `tc filter del dev ${device} ${hook} pref ${preference}`;
      const found = `${words}, pref ${preference}`;
      const hint =
        way === 'redirect'
          ? `it forwards by itself, past the firewall; delete it: ${remove}`
          : `what it forwards by itself the firewall never sees, and it cannot be looked into; take it off: ${remove}`;
      return { ...base, item, found, hint, ...(way === 'redirect' && { refused: true }) };
    });
  return [...new Map(items.map((item) => [item.item + item.found, item])).values()];
}

/** What may be wanted. One sentence for all of it; a sentence too where nobody can look. */
export function filterWarnings(
  state: FilterState,
  tun: string,
  ifbs: ReadonlySet<string>,
): string[] {
  if (state.state === 'missing') {
    return [`filters of tc, which may forward past the firewall, cannot be seen: ${state.why}`];
  }
  const found = waysOf(state, tun, ifbs)
    .filter(({ isUnjudged, way }) => !isUnjudged || way === 'mirror')
    .map(({ device, hook, words }) => `${device} ${hook} (${words})`);
  if (found.length === 0) return [];
  return [
    `filters of tc carry packets elsewhere, beside what the firewall decides: ${[...new Set(found)].join(', ')}; ` +
      'look: tc filter show dev DEVICE ingress|egress|root',
  ];
}

function text(value: unknown): string {
  return typeof value === 'string' || typeof value === 'number' ? String(value) : '?';
}
