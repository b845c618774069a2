/**
 * The command behind scripts/screenshots: every page and dialog of the panel, at three widths, light and dark.
 *
 * A firewall with traffic runs in namespaces, as in the tests beside this file. For each window of `windows` each of the views
 * (support/views.ts) is opened, brought into its state as a person would, and saved as WIDTH-SCHEME/VIEW.png.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { BrowserContextOptions, Page, PageScreenshotOptions } from 'playwright-core';
import { repository } from '../netns/support/firewall.ts';
import { obstacle } from './support/panel-lab.ts';
import type { PanelLab } from './support/panel-lab.ts';
import { createBusyPanel, openView, views } from './support/views.ts';
import type { View } from './support/views.ts';

const usage = `Usage: scripts/screenshots [--only VIEW,...] [--readme] [DIRECTORY]

Runs a firewall with traffic in network namespaces, opens every page of its panel in Chromium at 390, 1000
and 1600 pixels, light and dark, and saves a picture of each. Needs root, and \`npm run build\` before.

  DIRECTORY     where the pictures go (default: dist/screenshots)
  --only VIEW   only this view, or these, in all windows
  --readme      instead: the pictures of the README, in scripts/pictures
  --help        this text`;

/** For the README: what a window of this size shows of these views. */
const readmeWindow: BrowserContextOptions = {
  viewport: { width: 1280, height: 800 },
  colorScheme: 'light',
};
const readmeViews = ['firewall', 'firewall-review', 'live'];

const maxHeights = 3;

/** Pages are drawn without a graphics card: with more at a time than cores, none is ever at rest. */
const atATime = 2;

const schemes = ['light', 'dark'] as const;
const windows = [390, 1000, 1600].flatMap((width) =>
  schemes.map((colorScheme) => ({
    name: `${width}-${colorScheme}`,
    options: { viewport: { width, height: width < 500 ? 844 : 900 }, colorScheme },
  })),
);

interface Task {
  readonly view: View;
  readonly options: BrowserContextOptions;
  readonly file: string;
  /** What does not fit into the window, too, but no more than {@link maxHeights} windows. */
  readonly whole: boolean;
  /** What is drawn of rates begins with the third look at the counters. */
  readonly afterMs: number;
}

async function take(
  panel: PanelLab,
  { view, options, file, whole, afterMs }: Task,
): Promise<number> {
  const page = await openView(panel, view, options);
  try {
    page.setDefaultTimeout(60_000);
    await sleep(afterMs);
    return (await page.screenshot({ path: file, ...(await extentOf(page, whole)) })).length;
  } finally {
    await page.context().close();
  }
}

/** A dialog lies over what the window shows, and a list may go on for ever. */
async function extentOf(page: Page, whole: boolean): Promise<PageScreenshotOptions> {
  if (!whole || (await page.getByRole('dialog').count()) > 0) return {};
  // What stays at its place in the window stands at the top of the picture, too.
  await page.evaluate('scrollTo(0, 0)');
  const full = Number(await page.evaluate('document.documentElement.scrollHeight'));
  const { width, height } = page.viewportSize()!;
  const clip = { x: 0, y: 0, width, height: Math.min(full, maxHeights * height) };
  return { fullPage: true, clip };
}

/** @returns how many could not be taken */
async function takeAll(panel: PanelLab, tasks: readonly Task[]): Promise<number> {
  const left = [...tasks];
  let done = 0;
  let failed = 0;
  const work = async (): Promise<void> => {
    for (let task = left.shift(); task !== undefined; task = left.shift()) {
      done++;
      const progress = `${done}/${tasks.length} ${task.file}`;
      try {
        const size = await take(panel, task);
        console.log(`${progress} (${Math.ceil(size / 1000)} KB)`);
      } catch (error) {
        failed++;
        console.error(`${progress}: ${(error as Error).message}`);
      }
    }
  };
  await Promise.all(Array.from({ length: atATime }, work));
  return failed;
}

interface Options {
  readonly directory: string;
  readonly only: readonly string[] | undefined;
  readonly readme: boolean;
}

function readOptions(): Options {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: {
        only: { type: 'string' },
        readme: { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) {
      console.log(usage);
      process.exit(0);
    }
    const { only, readme } = values;
    if (positionals.length > 1) fail('one directory, please');
    if (readme && (only !== undefined || positionals.length > 0))
      fail('--readme is all or nothing');
    const wanted = only?.split(',');
    const unknown = wanted?.find((each) => !views.some(({ name }) => name === each));
    if (unknown !== undefined) {
      fail(`there is no view ${unknown}; there are ${views.map(({ name }) => name).join(', ')}`);
    }
    const directory = positionals[0] ?? join(repository, 'dist/screenshots');
    return { directory, only: wanted, readme };
  } catch (error) {
    return fail((error as Error).message);
  }
}

function fail(message: string): never {
  console.error(`${message}\n\n${usage}`);
  process.exit(2);
}

function plan({ directory, only, readme }: Options): Task[] {
  if (readme) {
    return readmeViews.map((name) => ({
      view: views.find((view) => view.name === name)!,
      options: readmeWindow,
      file: join(repository, 'scripts/pictures', `${name}.png`),
      whole: false,
      afterMs: name === 'live' ? 60_000 : 3000,
    }));
  }
  const wanted = views.filter(({ name }) => only?.includes(name) ?? true);
  return windows.flatMap(({ name, options }) =>
    wanted.map((view) => ({
      view,
      options,
      file: join(directory, name, `${view.name}.png`),
      whole: true,
      afterMs: view.name === 'live' ? 20_000 : 3000,
    })),
  );
}

const options = readOptions();
const tasks = plan(options);
if (obstacle !== undefined) {
  console.error(`no pictures can be taken: ${obstacle}`);
  process.exit(1);
}
const panel = await createBusyPanel({ observing: !options.readme });
// The lab and the browser end with this process.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130));
try {
  if ((await takeAll(panel, tasks)) > 0) process.exitCode = 1;
} finally {
  await panel.close();
}
for (const complaint of panel.complaints) console.error(`a page complained: ${complaint}`);
if (panel.complaints.length > 0) process.exitCode = 1;
