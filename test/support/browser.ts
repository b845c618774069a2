/** Debian's Chromium in the network namespace of a gateway, driven by playwright-core over a pipe. */
import { existsSync } from 'node:fs';
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import type { Browser, Page } from 'playwright-core';
import type { Network } from '../../src/lab/network.ts';

const program = '/usr/bin/chromium';

/** Where the panel is, for a browser in the gateway's namespace. */
export const panelAddress = 'http://127.0.0.1:8740';

/** What a browser that root runs needs, and that it leaves the network alone. */
const flags = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-dev-shm-usage',
];

/** Why there is no browser, if there is none. */
export function browserObstacle(): string | undefined {
  return existsSync(program) ? undefined : `${program} is missing (Debian: chromium)`;
}

/** @param prefix a command that runs the browser: how it is scheduled, say */
export async function launchBrowser(
  lab: Network,
  prefix: readonly string[] = [],
): Promise<Browser> {
  const wrapper = join(lab.directory, 'chromium');
  // The pipes that it is driven by go along.
  const command = ['ip', 'netns', 'exec', lab.namespace('gateway'), ...prefix, program].join(' ');
  await writeFile(wrapper, `#!/bin/sh\nexec ${command} "$@"\n`);
  await chmod(wrapper, 0o755);
  return chromium.launch({ executablePath: wrapper, args: flags, timeout: 60_000 });
}

export async function logIn(page: Page, name: string, password: string): Promise<void> {
  await page.getByLabel('Name', { exact: true }).fill(name);
  await page.getByLabel('Password', { exact: true }).fill(password);
  await page.getByRole('button', { name: 'Log in' }).click();
}
