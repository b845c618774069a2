/** scripts/example-config is what users begin with: it is right, and shows every setting with its default. */
import { readFile } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { defaultGatewayConfig } from '../../../../src/policy/validate-gateway.ts';
import { readConfigDirectory } from '../../../../src/control/store/files/config-directory.ts';

const directory = new URL('../../../../scripts/example-config', import.meta.url).pathname;

describe('the example configuration', () => {
  it('is without a mistake, and every template is used', async () => {
    const { problems, servers, templates } = await readConfigDirectory(directory);
    expect(problems).toEqual([]);
    const used = new Set(servers.flatMap((server) => server.templates));
    expect(templates.map(({ name }) => name)).toEqual([...used].sort());
  });

  it('shows every setting of gateway.yaml with its default', async () => {
    const { gateway } = await readConfigDirectory(directory);
    expect(gateway).toEqual(defaultGatewayConfig);
    const shown = parse(await readFile(`${directory}/gateway.yaml`, 'utf8')) as object;
    expect(Object.keys(shown)).toEqual(Object.keys(defaultGatewayConfig));
    for (const key of ['flows', 'fragments', 'timeouts', 'tcp', 'log'] as const) {
      expect(shown).toHaveProperty(key, defaultGatewayConfig[key]);
    }
  });
});
