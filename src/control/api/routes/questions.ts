/** Questions about the policy as a whole: who can open what, and which rules name something. */
import { formatRange } from '../../../policy/addresses.ts';
import { addressesOf, splitEnd } from '../../../policy/ends.ts';
import type { ExplainSource } from '../../../policy/explain.ts';
import { findRules, parseFindQuestion } from '../../../policy/find.ts';
import type { FoundRule } from '../../../policy/find.ts';
import type { QuestionProtocol } from '../../../policy/opening-packet.ts';
import type { Ranges } from '../../../policy/ranges.ts';
import { TooManyPairsError, reach } from '../../../policy/reach.ts';
import type { ReachEnd, ReachQuestion, ReachRow } from '../../../policy/reach.ts';
import { formatRule } from '../../../policy/rule-notation.ts';
import type { Rule } from '../../../policy/types.ts';
import type { RuleDirection } from '../../../text/rule-text.ts';
import type { Api } from '../api.ts';
import type { ApiContext } from '../context.ts';
import { invalid } from '../http-problem.ts';
import type { FieldError } from '../http-problem.ts';
import * as answers from '../question-schemas.ts';
import type { Static } from 'typebox';
import * as schemas from '../schemas.ts';

/** Rows and ranges of one answer; how many more there are is said. */
const maxRows = 10_000;
const maxRanges = 10_000;

type RuleView = Static<typeof answers.placedRule>;

export function questionRoutes(app: Api, context: ApiContext): void {
  const tags = ['live'];
  app.get(
    '/reach',
    {
      config: { access: 'view' },
      schema: {
        tags,
        summary: 'Who can open what: exact sets of sources, destinations and ports, with the rules',
        description:
          'Of the policy in force. Between two servers both have to allow it. `from` and `to` are a server, an address, a block, a range, `any`, or a group as in a rule; ports stand behind a colon: `to=db-1:5432`. At least one of them.',
        querystring: answers.reachQuery,
        response: { 200: answers.reach, ...schemas.problems },
      },
    },
    async (request) => {
      const source = await context.controlPlane.policy();
      const rows = askReach(source, questionOf(request.query, source));
      const more = rows.length - maxRows;
      return {
        rows: rows.slice(0, maxRows).map(rowView),
        ...(more > 0 && { more }),
        epoch: source.compiled.epoch,
      };
    },
  );
  app.get(
    '/find',
    {
      config: { access: 'view' },
      schema: {
        tags,
        summary: 'Rules that name an address, a port or a text',
        description:
          'Of the policy in force. `q` is an address, a block or a range (found in peers and exceptions, through servers and sets too), a port or a range of ports, or a text (comments, names, descriptions, the rule itself). `wider`: rules for any address or all ports.',
        querystring: answers.findQuery,
        response: { 200: answers.found, ...schemas.problems },
      },
    },
    async (request) => {
      const source = await context.controlPlane.policy();
      const question = parseFindQuestion(request.query.q);
      if ('message' in question) throw invalid([{ path: 'q', message: question.message }]);
      const { rules, wider } = findRules(source, question.value);
      const view = (found: FoundRule): RuleView & { by: string } => ({
        ...placedRule(found),
        by: found.by,
      });
      return {
        kind: question.value.kind,
        rules: rules.map(view),
        wider: wider.map(view),
        epoch: source.compiled.epoch,
      };
    },
  );
}

function askReach(source: ExplainSource, question: ReachQuestion): ReachRow[] {
  try {
    return reach(source, question);
  } catch (error) {
    if (error instanceof TooManyPairsError) throw invalid([{ path: 'to', message: error.message }]);
    throw error;
  }
}

interface ReachQuery {
  readonly from?: string;
  readonly to?: string;
  readonly protocol?: QuestionProtocol;
}

/** @throws HttpProblem `invalid` with all that is wrong */
function questionOf({ from, to, protocol }: ReachQuery, source: ExplainSource): ReachQuestion {
  const errors: FieldError[] = [];
  const endOf = (path: string, text: string | undefined): Pick<ReachQuestion, 'to' | 'ports'> => {
    if (text === undefined) return {};
    const end = splitEnd(text);
    if ('message' in end) {
      errors.push({ path, message: end.message });
      return {};
    }
    const { whom, ports } = end.value;
    const addresses = addressesOf(whom, source, source.compiled.resolver);
    if ('message' in addresses) {
      errors.push({ path, message: addresses.message });
      return {};
    }
    return { to: addresses.value, ...(ports !== undefined && { ports }) };
  };
  const [sources, targets] = [endOf('from', from), endOf('to', to)];
  if (sources.ports !== undefined) {
    errors.push({ path: 'from', message: 'rules do not look at the port of the source' });
  }
  if (targets.ports !== undefined && protocol === 'icmp') {
    errors.push({ path: 'to', message: 'ICMP has no ports' });
  }
  if (from === undefined && to === undefined) {
    errors.push({ path: 'to', message: 'expected from, to, or both' });
  }
  if (errors.length > 0) throw invalid(errors);
  return {
    ...targets,
    ...(sources.to !== undefined && { from: sources.to }),
    ...(protocol !== undefined && { protocol }),
  };
}

function rowView({
  from,
  to,
  protocol,
  ports,
  outbound,
  inbound,
}: ReachRow): Static<typeof answers.reachRow> {
  return {
    from: endView(from),
    to: endView(to),
    protocol,
    ...(ports !== undefined && { ports: portTexts(ports) }),
    outbound: outbound.map((place) => placedRule({ ...place, index: place.position })),
    inbound: inbound.map((place) => placedRule({ ...place, index: place.position })),
  };
}

function endView({ servers, ranges }: ReachEnd): Static<typeof answers.reachEnd> {
  const count = ranges.length / 2;
  const shown = Array.from({ length: Math.min(count, maxRanges) }, (_, index) =>
    formatRange(ranges[index * 2]!, ranges[index * 2 + 1]!),
  );
  return {
    servers: [...servers],
    addresses: shown,
    ...(count > shown.length && { more: count - shown.length }),
  };
}

function portTexts(ports: Ranges): string[] {
  return Array.from({ length: ports.length / 2 }, (_, index) => {
    const [from, to] = [ports[index * 2]!, ports[index * 2 + 1]!];
    return from === to ? String(from) : `${from}-${to}`;
  });
}

interface Placed {
  readonly template: string;
  readonly direction: RuleDirection;
  readonly index: number;
  readonly line?: number;
  readonly rule: Rule;
}

function placedRule({ template, direction, index, line, rule }: Placed): RuleView {
  return {
    template,
    direction,
    index,
    text: formatRule(direction, rule, Date.now()),
    ...(rule.comment !== undefined && { comment: rule.comment }),
    ...(line !== undefined && { line }),
  };
}
