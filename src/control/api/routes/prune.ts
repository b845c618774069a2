/** Removes rules that have expired: they allow nothing any more, and stay until somebody says so. */
import { Type } from 'typebox';
import { hasExpired } from '../../../policy/resolve.ts';
import { directions } from '../../../text/rule-text.ts';
import type { RuleDirection } from '../../../text/rule-text.ts';
import type { Operation, Snapshot } from '../../store/store.ts';
import type { Api } from '../api.ts';
import { makeChange } from '../changes.ts';
import type { ApiContext } from '../context.ts';
import { pruned } from '../prune-schemas.ts';
import * as schemas from '../schemas.ts';
import { requireTemplate, ruleView } from '../views.ts';
import type { RuleView } from '../views.ts';

interface ExpiredRule {
  readonly template: string;
  readonly revision: string;
  readonly direction: RuleDirection;
  readonly index: number;
  readonly rule: RuleView;
}

export function pruneRoute(app: Api, context: ApiContext): void {
  app.post(
    '/templates/prune',
    {
      schema: {
        tags: ['templates'],
        summary: 'Remove the rules that have expired, in one change',
        body: Type.Object(
          {
            templates: Type.Optional(schemas.names),
            dryRun: Type.Optional(
              Type.Boolean({ description: 'Only say which rules these are; no `applied` then.' }),
            ),
          },
          { additionalProperties: false, description: 'Without `templates`: of all of them.' },
        ),
        response: { 200: pruned, ...schemas.problems },
      },
    },
    async (request) => {
      const { templates, dryRun = false } = request.body;
      const nowMs = Date.now();
      if (dryRun) {
        const snapshot = await context.store.read();
        for (const name of templates ?? []) requireTemplate(snapshot, name);
        return { rules: expiredRules(snapshot, templates, nowMs), changed: [] };
      }
      let rules: readonly ExpiredRule[] = [];
      const { changed, applied } = await makeChange(context, request, (snapshot) => {
        for (const name of templates ?? []) requireTemplate(snapshot, name);
        rules = expiredRules(snapshot, templates, nowMs);
        // From the last one on, so that the others keep their places.
        return rules.toReversed().map(({ template, direction, index }): Operation => ({
          ...{ kind: 'remove-rule', template, direction, index },
        }));
      });
      return { rules, changed, applied };
    },
  );
}

function expiredRules(
  { templates, revisions }: Snapshot,
  only: readonly string[] | undefined,
  nowMs: number,
): ExpiredRule[] {
  return templates
    .filter(({ name }) => only === undefined || only.includes(name))
    .flatMap((template) =>
      directions.flatMap((direction) =>
        template[direction].flatMap((rule, index) =>
          hasExpired(rule, nowMs)
            ? {
                ...{ template: template.name, direction, index },
                revision: revisions.templates.get(template.name)!,
                rule: ruleView(template.name, direction, rule, undefined),
              }
            : [],
        ),
      ),
    );
}
