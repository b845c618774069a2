/** What peers mean at this moment, written in a rule or not yet: servers, sets, addresses. */
import { judgeRule } from '../../../policy/bodies.ts';
import { isGroup } from '../../../policy/peers.ts';
import { judgeOf } from '../../../policy/references.ts';
import type { Peer } from '../../../policy/types.ts';
import type { Snapshot } from '../../store/store.ts';
import type { Api } from '../api.ts';
import type { ApiContext } from '../context.ts';
import { firstOf, invalid } from '../http-problem.ts';
import type { FieldError } from '../http-problem.ts';
import { meaningOf, resolverOf } from '../resolved.ts';
import * as schemas from '../schemas.ts';

export function resolveRoute(app: Api, { controlPlane }: ApiContext): void {
  app.post(
    '/resolve',
    {
      config: { access: 'view' },
      schema: {
        tags: ['servers'],
        summary: 'What addresses and groups mean now, without `except`',
        description: 'Changes nothing. A selector that matches nobody has no servers.',
        body: schemas.resolveBody,
        response: { 200: schemas.meaning, ...schemas.problems },
      },
    },
    async (request) => {
      const snapshot = await controlPlane.snapshot();
      const { peers, except = [] } = request.body;
      const judged = judgeRule('inbound', {
        ...{ protocol: 'all', sources: peers },
        ...(except.length > 0 && { except }),
      });
      if ('problems' in judged) {
        throw invalid(
          judged.problems.map(({ path, message }) => ({
            ...{ path: path.replace(/^sources/, 'peers'), message },
          })),
        );
      }
      const rule = judged.value;
      const errors = [
        ...unknownGroups(snapshot, 'peers', rule.peers ?? []),
        ...unknownGroups(snapshot, 'except', rule.except ?? []),
      ];
      if (errors.length > 0) throw invalid(errors);
      return meaningOf(resolverOf(snapshot), rule);
    },
  );
}

function unknownGroups(snapshot: Snapshot, list: string, peers: readonly Peer[]): FieldError[] {
  const judge = judgeOf(snapshot);
  const unknown = peers.flatMap((peer, index) => {
    const found = isGroup(peer) && peer.kind !== 'label' ? judge(peer) : undefined;
    return found === undefined ? [] : { path: `${list}[${index}]`, words: found.message };
  });
  // Comparing names with all that there are takes long.
  return firstOf(unknown, ({ path, words }) => ({
    path,
    message: typeof words === 'string' ? words : words(),
  }));
}
