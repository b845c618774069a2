/**
 * The panel's live page, open in a real browser in front of a running tunwall.
 *
 * Whoever looks at it usually sits elsewhere. Here the browser has to share a core with the traffic tools, so it gets what they
 * leave (SCHED_IDLE): what is measured is what the page asks of the firewall, not of the machine that it is shown on.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Network } from '../../src/lab/network.ts';
import { hashPassword } from '../../src/control/store/secrets.ts';
import { launchBrowser, logIn, panelAddress } from '../../test/support/browser.ts';
import { pinned, toolsCore } from './cores.ts';

const name = 'bench';
const password = 'only for this measurement';

/** Creates a user. Call it before the firewall starts. */
export async function writeUsers(config: string): Promise<void> {
  const passwordHash = await hashPassword(password);
  const users = JSON.stringify({ users: [{ name, role: 'member', passwordHash }] });
  writeFileSync(join(config, 'users.yaml'), users, { mode: 0o600 });
}

export interface LivePage {
  /** Resolves when it draws what passes. */
  open(): Promise<void>;
  leave(): Promise<void>;
}

/** A browser that is logged in, until the lab is closed. */
export async function browserOf(lab: Network): Promise<LivePage> {
  const browser = await launchBrowser(lab, pinned(toolsCore, ['chrt', '--idle', '0']));
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  page.setDefaultTimeout(60_000);
  await page.goto(`${panelAddress}/live`);
  await logIn(page, name, password);
  await page.locator('canvas').first().waitFor();
  return {
    async open() {
      await page.goto(`${panelAddress}/live`);
      await page.locator('canvas').first().waitFor();
    },
    async leave() {
      await page.goto('about:blank');
    },
  };
}
