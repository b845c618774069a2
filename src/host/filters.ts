/**
 * Filters of `tc` (clsact, ingress) that others have put on interfaces. One that redirects or mirrors, or is a program in
 * eBPF, may forward past the firewall: a warning, because what it does with which packet cannot be told from here.
 */
import { GatewayError } from './error.ts';
import { runProgram } from './system.ts';

type Json = Readonly<Record<string, unknown>>;

const hooks = ['ingress', 'egress'] as const;

/** What one hook of an interface has, as `tc -j filter show` prints it. */
export interface HookFilters {
  readonly device: string;
  readonly hook: (typeof hooks)[number];
  readonly filters: readonly Json[];
}

/** One sentence for all that may forward; a sentence too where nobody can look. No privilege needed. */
export async function filterWarnings(): Promise<string[]> {
  try {
    return forwardingFilters(await readFilters());
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    return [`filters of tc, which may forward past the firewall, cannot be seen: ${error.message}`];
  }
}

async function readFilters(): Promise<HookFilters[]> {
  const devices = filteredDevices(await tcJson(['qdisc', 'show']));
  const read = devices.flatMap((device) =>
    hooks.map(async (hook) => ({
      device,
      hook,
      filters: await tcJson(['filter', 'show', 'dev', device, hook]),
    })),
  );
  return Promise.all(read);
}

async function tcJson(args: readonly string[]): Promise<Json[]> {
  const text = (await runProgram('tc', ['-j', ...args])).trim();
  return text === '' ? [] : (JSON.parse(text) as Json[]);
}

/** Only these have filters at their hooks, of their own or of a shared block. */
export function filteredDevices(qdiscs: readonly Json[]): string[] {
  return qdiscs
    .filter(({ kind }) => kind === 'clsact' || kind === 'ingress')
    .map(({ dev }) => String(dev));
}

export function forwardingFilters(all: readonly HookFilters[]): string[] {
  const found = all.flatMap(({ device, hook, filters }) =>
    [...new Set(filters.flatMap(waysOut))].map((way) => `${device} ${hook} (${way})`),
  );
  if (found.length === 0) return [];
  return [
    `filters of tc may forward past the firewall: ${found.join(', ')}; look: tc filter show dev DEVICE ingress|egress`,
  ];
}

/** How a filter may forward, in the words of tc. The first entry of each preference has no options. */
function waysOut({ kind, options }: Json): string[] {
  if (options === undefined) return [];
  const { actions } = options as { readonly actions?: readonly Json[] };
  const byAction = (actions ?? []).flatMap((action) => {
    if (action['kind'] === 'mirred')
      return [`${text(action['mirred_action'])} to ${text(action['to_dev'])}`];
    return action['kind'] === 'bpf' ? ['bpf'] : [];
  });
  return kind === 'bpf' ? ['bpf', ...byAction] : byAction;
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '?';
}
