/**
 * The panel's live page, open in a real browser in front of a running tunwall.
 *
 * Whoever looks at it usually sits elsewhere. Here the browser has to share a core with the traffic tools, so it gets what they
 * leave (SCHED_IDLE): what is measured is what the page asks of the firewall, not of the machine that it is shown on.
 */
import { chmodSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import type { Lab } from '../../src/demo/lab.ts';
import { hashPassword } from '../../src/store/secrets.ts';
import { pinned, toolsCore } from './cores.ts';

const program = '/usr/bin/chromium';
const password = 'only for this measurement';

/** Why there is no browser, if there is none. */
export function browserObstacle(): string | undefined {
  return existsSync(program) ? undefined : `${program} is missing (Debian: chromium)`;
}

/** Lets somebody log in; before the firewall starts. */
export async function writeUsers(config: string): Promise<void> {
  const passwordHash = await hashPassword(password);
  const users = JSON.stringify({ users: [{ name: 'bench', role: 'member', passwordHash }] });
  writeFileSync(join(config, 'users.yaml'), users, { mode: 0o600 });
}

/** Opens the page; it stays open until the lab is closed. Resolves when it draws what passes. */
export async function openLivePage(lab: Lab): Promise<void> {
  const wrapper = join(lab.directory, 'chromium');
  const command = pinned(toolsCore, ['chrt', '--idle', '0', program]).join(' ');
  writeFileSync(
    wrapper,
    `#!/bin/sh\nexec ip netns exec ${lab.namespace('gateway')} ${command} "$@"\n`,
  );
  chmodSync(wrapper, 0o755);
  const browser = await chromium.launch({
    executablePath: wrapper,
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
    timeout: 60_000,
  });
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  page.setDefaultTimeout(60_000);
  await page.goto('http://127.0.0.1:8740/live');
  await page.getByLabel('Name', { exact: true }).fill('bench');
  await page.getByLabel('Password', { exact: true }).fill(password);
  await page.getByRole('button', { name: 'Log in' }).click();
  await page.getByRole('heading', { level: 1, name: 'Live' }).waitFor();
  await page.locator('canvas').first().waitFor();
}
