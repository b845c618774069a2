/**
 * File, API, file: what a client reads and sends back leaves every byte of a hand-written file, and so does a label that is given and
 * taken away. A rule that is added and removed leaves all but blank lines. Files are random: comments, order, quotes, flow and block style.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ApiLab } from '../../../support/api.ts';
import { seed } from '../../../support/seed.ts';

const maybe = (text: fc.Arbitrary<string>): fc.Arbitrary<string> => fc.option(text, { nil: '' });
const comment = maybe(fc.constantFrom(' # why', ' # until the move: 2026', ' #'));
const peers = fc
  .subarray(
    [
      ...['10.0.0.0/8', '"192.0.2.7"', '198.51.100.10-198.51.100.20', '"label:role=web,env!=test"'],
      ...["'server:web-1'", '"template:web"', '"label:region in (hkg,sgp)"'],
    ],
    { minLength: 1 },
  )
  .map((each) => `[${each.join(', ')}]`);
const fields = fc
  .record({
    ports: maybe(fc.constantFrom('[80, "443"]', '["8000-8100", 22]', '443')),
    sources: maybe(peers),
    except: maybe(peers),
    enabled: maybe(fc.constantFrom('false', 'true')),
    expires: maybe(
      fc.constantFrom(
        '2030-01-31T18:00:00Z',
        '"2026-01-31T18:00:00+08:00"',
        "'2020-01-31T18:00:00Z'",
      ),
    ),
    comment: maybe(fc.constantFrom('HTTP', '"it is: quoted"')),
  })
  .chain((each) =>
    fc.shuffledSubarray(
      Object.entries({ protocol: 'tcp', ...each }).filter(([, value]) => value !== ''),
      {
        minLength: Object.values({ protocol: 'tcp', ...each }).filter((value) => value !== '')
          .length,
      },
    ),
  );
const rule = fc
  .record({
    fields,
    comment,
    above: maybe(fc.constantFrom('  # from the office\n', '\n')),
    flow: fc.boolean(),
  })
  .map(({ fields: own, comment: behind, above, flow }) => {
    const pairs = own.map(([key, value]) => `${key}: ${value}`);
    return flow
      ? `${above}  - { ${pairs.join(', ')} }${behind}\n`
      : `${above}  - ${pairs.join(`${behind}\n    `)}\n`;
  });
const template = fc
  .record({
    head: maybe(fc.constantFrom('# Ours\n', '# Ours\n\n')),
    description: maybe(
      fc.constantFrom('description: Web # short\n', 'description: |\n  Two\n  lines\n'),
    ),
    appliesTo: maybe(
      fc.constantFrom(
        'appliesTo: [role=web, "region in (hkg,sgp)"] # any\n',
        'appliesTo:\n  # these\n  - role=web\n',
      ),
    ),
    rules: fc.array(rule, { minLength: 1, maxLength: 4 }),
    tail: maybe(fc.constantFrom('# The end\n', '\n')),
  })
  .map(
    ({ head, description, appliesTo, rules, tail }) =>
      `${head}${description}${appliesTo}inbound:\n${rules.join('')}${tail}`,
  );

let lab: ApiLab;
beforeAll(async () => {
  lab = await ApiLab.create();
});
afterAll(() => lab.close());

const withoutBlanks = (text: string): string => text.replaceAll(/^ *\n/gm, '');

const servers = `# Ours
servers:
  - name: web-1 # the first
    addresses: ["10.0.0.2"]
    templates: [web] # a union
    labels: { role: web } # by hand
  - { name: db-1, region: hkg, addresses: [10.0.0.3] }
`;

it('keeps comments, order and notation', async () => {
  await fc.assert(
    fc.asyncProperty(template, async (text) => {
      await lab.directory.write({ 'templates/web.yaml': text, 'servers.yaml': servers });
      expect(await lab.controlPlane.apply()).toMatchObject({ applied: true });
      const before = await lab.directory.contents();
      const send = async (request: string, body?: unknown): Promise<unknown> => {
        const { status, json } = await lab.send(
          'owner',
          request,
          body === undefined ? {} : { body },
        );
        expect(status, JSON.stringify(json)).toBeLessThan(300);
        return json;
      };
      const unchanged = async (what: string): Promise<void> =>
        expect(await lab.directory.contents(), what).toEqual(before);

      await send('PUT /v1/templates/web', await send('GET /v1/templates/web'));
      for (const name of ['web-1', 'db-1']) {
        await send(`PUT /v1/servers/${name}`, await send(`GET /v1/servers/${name}`));
      }
      await unchanged('read and sent back');

      const added = { protocol: 'udp', ports: [53], sources: ['label:role=db'], enabled: false };
      const made = (await send('POST /v1/templates/web/rules/inbound', added)) as {
        inbound: object[];
      };
      await send(`DELETE /v1/templates/web/rules/inbound/${made.inbound.length - 1}`);
      // A rule of several lines makes room for itself: blank lines may stay behind.
      const after = await lab.directory.text('templates/web.yaml');
      expect(withoutBlanks(after), 'a rule added and removed').toBe(withoutBlanks(text));
      await lab.directory.write({ 'templates/web.yaml': text });

      await send('PATCH /v1/servers/web-1', { labels: { env: 'prod' }, region: 'sgp' });
      await send('PATCH /v1/servers/web-1', { labels: { env: null }, region: null });
      await send('POST /v1/assignments', { selector: 'role=web', templates: ['spare'] });
      await send('POST /v1/assignments/remove', { selector: 'role', templates: ['spare'] });
      await unchanged('labels and templates given and taken away');
    }),
    { seed, numRuns: 20, endOnFailure: true },
  );
});
