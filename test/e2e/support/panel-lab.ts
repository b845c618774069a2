/**
 * The panel as people have it: a firewall in namespaces (test/netns/support/firewall.ts), and Debian's Chromium in the
 * gateway's namespace, driven by playwright-core over a pipe.
 *
 * One lab and one browser for each file of tests; each person is a context of that browser, with cookies of its own. Whatever
 * a page says on its console as an error fails the test that looks at `complaints`: that is where a browser tells of what
 * the Content-Security-Policy has stopped.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type {
  Browser,
  BrowserContext,
  BrowserContextOptions,
  Locator,
  Page,
} from 'playwright-core';
import { stringify } from 'yaml';
import { roles } from '../../../src/policy/users.ts';
import type { Role } from '../../../src/policy/users.ts';
import { hashPassword } from '../../../src/control/store/secrets.ts';
import { FirewallLab, obstacle as noNamespaces } from '../../netns/support/firewall.ts';
import type { Config } from '../../netns/support/firewall.ts';
import {
  browserObstacle,
  launchBrowser,
  logIn as logInAs,
  panelAddress,
} from '../../support/browser.ts';

/** Why these tests cannot run here; undefined where they can. */
export const obstacle: string | undefined = noNamespaces ?? browserObstacle();
if (obstacle !== undefined) console.log(`tests of the panel do not run: ${obstacle}`);

export const password = 'a password for tests';

type StorageState = Awaited<ReturnType<BrowserContext['storageState']>>;

export class PanelLab {
  readonly firewall: FirewallLab;
  readonly browser: Browser;
  /** What pages have complained about, all of them together. */
  readonly complaints: string[] = [];
  readonly #sessions: Map<Role, StorageState> = new Map<Role, StorageState>();

  /**
   * The firewall runs, with a user for each role, named like the role.
   *
   * @param prepare what has to be there before it starts
   */
  static async create(
    config: Config,
    prepare: (firewall: FirewallLab) => Promise<unknown> = () => Promise.resolve(),
  ): Promise<PanelLab> {
    const firewall = await FirewallLab.create(config);
    try {
      const { lab, configDirectory } = firewall;
      const run = join(lab.directory, 'run');
      await mkdir(run);
      const api = config.gateway?.['api'] as object | undefined;
      firewall.write({
        ...config,
        gateway: { ...config.gateway, api: { ...api, socket: join(run, 'control.sock') } },
      });
      const hash = await hashPassword(password);
      const users = roles.map((role) => ({ name: role, role, passwordHash: hash }));
      const file = join(configDirectory, 'users.yaml');
      await writeFile(file, stringify({ users }), { mode: 0o600 });
      // The firewall edits its own configuration.
      await lab.mustExec('gateway', ['chown', '-R', 'nobody:nogroup', configDirectory, run]);
      await prepare(firewall);
      await firewall.start();
      return new PanelLab(firewall, await launchBrowser(lab));
    } catch (error) {
      await firewall.close();
      throw error;
    }
  }

  private constructor(firewall: FirewallLab, browser: Browser) {
    this.firewall = firewall;
    this.browser = browser;
  }

  /** A browser window without a session. */
  async open(path = '/', options: BrowserContextOptions = {}): Promise<Page> {
    const context = await this.browser.newContext({
      ...{ baseURL: panelAddress, viewport: { width: 1280, height: 900 }, reducedMotion: 'reduce' },
      ...options,
    });
    const page = await context.newPage();
    page.setDefaultTimeout(60_000);
    page.on('pageerror', (error) => this.complaints.push(error.message));
    page.on('console', (message) => {
      // A browser tells every answer that is an error, as the login's 401 is.
      if (message.type() === 'error' && !/Failed to load resource/.test(message.text())) {
        this.complaints.push(message.text());
      }
    });
    await page.goto(path);
    return page;
  }

  /** A window with a session. It reuses the session of the window before while that is valid. */
  async openAs(role: Role, path = '/', options: BrowserContextOptions = {}): Promise<Page> {
    const storageState = this.#sessions.get(role);
    const page = await this.open(path, { ...options, ...(storageState && { storageState }) });
    const login = page.getByRole('button', { name: 'Log in' });
    const account = page.getByRole('button', { name: new RegExp(`^${role}\\b`) });
    await login.or(account).first().waitFor();
    if (await login.isVisible()) {
      await logIn(page, role);
      await account.waitFor();
      this.#sessions.set(role, await page.context().storageState());
    }
    return page;
  }

  /** A request of the owner by the control socket, with nothing to do with any browser. */
  async ask(method: string, path: string, body?: object, ...headers: string[]): Promise<unknown> {
    const { lab } = this.firewall;
    const stdout = await lab.mustExec('gateway', [
      ...['curl', '-sS', '--fail-with-body', '--max-time', '10', '-X', method],
      ...['--unix-socket', join(lab.directory, 'run/control.sock'), '-H', 'tunwall-actor: carol'],
      ...headers.flatMap((header) => ['-H', header]),
      ...(body === undefined
        ? []
        : ['-H', 'content-type: application/json', '-d', JSON.stringify(body)]),
      `http://localhost${path}`,
    ]);
    return stdout === '' ? undefined : JSON.parse(stdout);
  }

  async close(): Promise<void> {
    await this.browser.close();
    await this.firewall.close();
  }
}

/** Every role's user is named like it. */
export function logIn(page: Page, role: Role): Promise<void> {
  return logInAs(page, role, password);
}

/** Opens the fields of an inbound rule. @param number from 1 */
export async function editRule(page: Page, number: number): Promise<Locator> {
  const rule = page.getByRole('group', { name: `Inbound rule ${number}` });
  await rule.getByRole('button', { name: `Edit inbound rule ${number}` }).click();
  return rule;
}
