/** A change that waits for confirmation is kept, or undone at once. */
import { requireWaiting, undo } from '../../store/confirmation.ts';
import { identityOf } from '../access.ts';
import type { Api } from '../api.ts';
import { changeOptions, inForce } from '../changes.ts';
import * as confirms from '../confirm-schemas.ts';
import type { ApiContext } from '../context.ts';
import { asProblem } from '../http-problem.ts';
import * as schemas from '../schemas.ts';
import { unconfirmedView } from '../unconfirmed.ts';

export function confirmRoutes(app: Api, context: ApiContext): void {
  const { store } = context;
  const tags = ['changes'];
  app.post(
    '/changes/confirm',
    {
      schema: {
        tags,
        summary: 'Keep the change that waits for confirmation',
        querystring: confirms.meant,
        response: { 200: confirms.confirmed, ...schemas.problems },
      },
    },
    async (request) => {
      const { actor } = identityOf(request);
      const { revision } = request.query;
      const options = changeOptions(request);
      const waiting = await asProblem(
        store.confirm(actor, {
          ...options,
          ...(revision !== undefined && { number: revision }),
        }),
      );
      // What is confirmed is what a start falls back on.
      await inForce(context);
      return { confirmed: unconfirmedView(waiting) };
    },
  );

  app.post(
    '/changes/revert',
    {
      schema: {
        tags,
        summary: 'Undo the change that waits for confirmation, now',
        querystring: confirms.meant,
        response: { 200: schemas.changeOnly, ...schemas.problems },
      },
    },
    async (request) => {
      const { actor } = identityOf(request);
      const options = changeOptions(request);
      const undone = async () => {
        const waiting = requireWaiting(await store.unconfirmed(), request.query.revision);
        const why = `revision ${waiting.number} was not to be kept`;
        return undo(store, actor, waiting, { why, ...options });
      };
      const { changed } = await asProblem(undone());
      return { changed: [...changed], applied: await inForce(context) };
    },
  );
}
