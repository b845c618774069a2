/** Everything that there is to see, by axe-core: nothing serious or critical, light and wide, dark and narrow. */
import axe from 'axe-core';
import type { AxeResults } from 'axe-core';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { obstacle } from './support/panel-lab.ts';
import type { PanelLab } from './support/panel-lab.ts';
import { createBusyPanel, openView, views } from './support/views.ts';

/** Rows are alike: with hundreds of them it would take half a minute. */
const look = `axe.run({ exclude: ['tbody tr:nth-child(n + 6)'] })`;

async function complaints(page: Page): Promise<string[]> {
  const { violations } = await page.evaluate<AxeResults>(look);
  return violations
    .filter(({ impact }) => impact === 'serious' || impact === 'critical')
    .flatMap(({ id, nodes }) =>
      nodes.map(({ html, any }) => `${id}: ${html.slice(0, 200)}: ${any[0]?.message}`),
    );
}

/** What reaches beyond the window, from the outside in. What floats follows a new size of the window a moment later. */
const tooWide = `document.documentElement.scrollWidth <= window.innerWidth ? [] :
  [...document.querySelectorAll('body *')]
    .filter((each) => each.getBoundingClientRect().right > window.innerWidth + 1)
    .map((each) => each.outerHTML.slice(0, 200))`;

const fits = (page: Page, message: string): Promise<void> =>
  expect.poll(() => page.evaluate(tooWide), { message, timeout: 30_000 }).toEqual([]);

describe.skipIf(obstacle !== undefined)('accessibility', () => {
  let panel: PanelLab;

  beforeAll(async () => {
    panel = await createBusyPanel();
  });
  afterAll(async () => {
    await panel.close();
  });

  it.each(views.map((view) => [view.name, view] as const))('%s', async (_, view) => {
    const page = await openView(panel, view, { colorScheme: 'light' });
    try {
      await page.evaluate(axe.source);
      expect(await complaints(page), 'light').toEqual([]);
      await page.emulateMedia({ colorScheme: 'dark' });
      await page.setViewportSize({ width: 1000, height: 844 });
      await fits(page, 'wider than 1,000 px');
      await page.setViewportSize({ width: 390, height: 844 });
      await page.locator('html[data-mantine-color-scheme=dark]').waitFor({ state: 'attached' });
      expect(await complaints(page), 'dark').toEqual([]);
      await fits(page, 'wider than 390 px');
    } finally {
      await page.context().close();
    }
  });

  it('no page has complained', () => {
    expect(panel.complaints).toEqual([]);
  });
});
