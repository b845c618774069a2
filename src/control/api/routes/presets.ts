/** Pre-defined rule sets, as a start for a template. */
import { presets } from '../../../policy/presets.ts';
import type { Api } from '../api.ts';
import * as schemas from '../schemas.ts';
import { notFound } from '../views.ts';

export function presetRoutes(app: Api): void {
  const tags = ['templates'];
  app.get(
    '/presets',
    {
      config: { access: 'view' },
      schema: {
        tags,
        summary: 'The pre-defined rule sets',
        response: { 200: schemas.presetList, ...schemas.problems },
      },
    },
    () => ({ presets }),
  );

  app.get(
    '/presets/:name',
    {
      config: { access: 'view' },
      schema: {
        tags,
        summary: 'One pre-defined rule set',
        params: schemas.nameParams,
        response: { 200: schemas.preset, ...schemas.problems },
      },
    },
    (request) => {
      const { name } = request.params;
      const found = presets.find((each) => each.name === name);
      if (found === undefined) throw notFound('preset', name);
      return found;
    },
  );
}
