/** Rules for what a server was seen to need while it observed. */
import { formatRange } from '../../../policy/addresses.ts';
import type { ExplainSource } from '../../../policy/explain.ts';
import { isObserving } from '../../../policy/observe.ts';
import { sizeOfRanges } from '../../../policy/ranges.ts';
import type { Ranges } from '../../../policy/ranges.ts';
import { formatRule } from '../../../policy/rule-notation.ts';
import { suggest } from '../../../policy/suggest.ts';
import type { AlsoAdmitted, SuggestedRule } from '../../../policy/suggest.ts';
import { ruleBody } from '../../../policy/template-body.ts';
import type { Api } from '../api.ts';
import type { ApiContext } from '../context.ts';
import { invalid } from '../http-problem.ts';
import * as schemas from '../schemas.ts';
import * as answers from '../suggestion-schemas.ts';
import type { SuggestionView } from '../suggestion-schemas.ts';
import { notFound, requireObserver } from '../views.ts';

/** Ranges that are written out; how many more there are is said. */
const maxRanges = 1000;

export function suggestionRoutes(app: Api, context: ApiContext): void {
  app.get(
    '/servers/:name/suggestion',
    {
      config: { access: 'view' },
      schema: {
        tags: ['live'],
        summary:
          'A short list of rules for what a server was seen to need, and what else they admit',
        description:
          'For what began only because the server observes, and no rule of it allows now. A rule has at most `peers` sources or destinations (default 16): where more were seen they are widened, to blocks no wider than /16, else to any. `atLeast`: kinds of flows that were seen less often are left out.',
        params: schemas.nameParams,
        querystring: answers.suggestionQuery,
        response: { 200: answers.suggestion, ...schemas.problems },
      },
    },
    async (request): Promise<SuggestionView> => {
      const observer = requireObserver(context, 'suggestions');
      const source = await context.controlPlane.policy();
      const { name } = request.params;
      const server = source.servers.find((each) => each.name === name);
      if (server === undefined) throw notFound('server', name);
      const { template, peers = answers.usualPeers, atLeast = 1 } = request.query;
      const record = observer.wouldDrops(name);
      const limits = { mostPeers: peers, atLeast };
      const { rules, allowed, leftOut } = suggest(source, name, record?.kinds ?? [], limits);
      return {
        server: name,
        observing: isObserving(server, Date.now()),
        ...(server.until !== undefined && { until: server.until }),
        ...(record !== undefined && { since: new Date(record.sinceMs).toISOString() }),
        rules: rules.map(ruleView),
        ...{ allowed, leftOut, forgotten: record?.forgotten ?? 0, lost: record?.lost ?? 0 },
        template: targetOf(source, name, template),
        epoch: source.compiled.epoch,
      };
    },
  );
}

/**
 * The template that the rules go to: the one that was asked for, else one that no other server has, else a new one.
 *
 * @throws HttpProblem `invalid` if the server does not have it
 */
function targetOf(
  { servers, templates, compiled }: ExplainSource,
  server: string,
  wanted: string | undefined,
): SuggestionView['template'] {
  const had = new Map<string, string[]>();
  servers.forEach(({ name }, index) => {
    for (const { template } of compiled.resolver.assignmentsOf(index)) {
      const known = had.get(template);
      if (known === undefined) had.set(template, [name]);
      else known.push(name);
    }
  });
  const own = [...had].filter(([, names]) => names.includes(server)).sort();
  const [name, names] =
    own.find(([template, { length }]) =>
      wanted === undefined ? length === 1 : template === wanted,
    ) ?? [];
  if (name !== undefined) {
    return { name, exists: true, otherServers: names!.filter((each) => each !== server) };
  }
  if (wanted !== undefined) {
    const message = `server ${server} does not have the template "${wanted}": its rules would not count for it`;
    throw invalid([{ path: 'template', message }]);
  }
  const taken = new Set(templates.map((each) => each.name));
  const wish = `${server.slice(0, 50)}-observed`;
  let free = wish;
  for (let number = 2; taken.has(free); number++) free = `${wish}-${number}`;
  return { name: free, exists: false, otherServers: [] };
}

function ruleView({
  direction,
  rule,
  flows,
  peers,
  lastMs,
  alsoAdmits,
}: SuggestedRule): SuggestionView['rules'][number] {
  const { ports, sources, destinations, ...rest } = ruleBody(rule, direction);
  return {
    direction,
    rule: {
      ...rest,
      ...(ports !== undefined && { ports: [...ports] }),
      ...(sources !== undefined && { sources: [...sources] }),
      ...(destinations !== undefined && { destinations: [...destinations] }),
    },
    text: formatRule(direction, rule),
    ...{ flows, peers, last: new Date(lastMs).toISOString() },
    alsoAdmits: alsoAdmits.map(admittedView),
  };
}

function admittedView({
  ports,
  addresses,
}: AlsoAdmitted): SuggestionView['rules'][number]['alsoAdmits'][number] {
  const more = addresses.length / 2 - maxRanges;
  return {
    ...(ports !== undefined && {
      ports: textsOf(ports, (from, to) => (from === to ? String(from) : `${from}-${to}`)),
    }),
    addresses: textsOf(addresses.subarray(0, 2 * maxRanges), formatRange),
    count: sizeOfRanges(addresses),
    ...(more > 0 && { more }),
  };
}

function textsOf(ranges: Ranges, write: (from: number, to: number) => string): string[] {
  return Array.from({ length: ranges.length / 2 }, (_, index) =>
    write(ranges[index * 2]!, ranges[index * 2 + 1]!),
  );
}
