/**
 * The panel as people have it: a firewall in namespaces (test/netns/support/firewall.ts), and Debian's Chromium in the
 * gateway's namespace, driven by playwright-core over a pipe.
 *
 * One lab and one browser for each file of tests; each person is a context of that browser, with cookies of its own. Whatever
 * a page says on its console as an error fails the test that looks at `complaints`: that is where a browser tells of what
 * the Content-Security-Policy has stopped.
 */
import { existsSync } from 'node:fs';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import type { Browser, BrowserContext, BrowserContextOptions, Page } from 'playwright-core';
import { stringify } from 'yaml';
import { roles } from '../../../src/policy/users.ts';
import type { Role } from '../../../src/policy/users.ts';
import { hashPassword } from '../../../src/store/secrets.ts';
import { FirewallLab, obstacle as noNamespaces } from '../../netns/support/firewall.ts';
import type { Config } from '../../netns/support/firewall.ts';

const program = '/usr/bin/chromium';

/** Why these tests cannot run here; undefined where they can. */
export const obstacle: string | undefined =
  noNamespaces ?? (existsSync(program) ? undefined : `${program} is missing`);
if (obstacle !== undefined) console.log(`tests of the panel do not run: ${obstacle}`);

export const address = 'http://127.0.0.1:8740';
export const password = 'a password for tests';

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

type StorageState = Awaited<ReturnType<BrowserContext['storageState']>>;

export class PanelLab {
  readonly firewall: FirewallLab;
  readonly browser: Browser;
  /** What pages have complained about, all of them together. */
  readonly complaints: string[] = [];
  readonly #sessions: Map<Role, StorageState> = new Map<Role, StorageState>();

  /** The firewall runs, with a user of each role who is named like it. */
  static async create(config: Config): Promise<PanelLab> {
    const firewall = await FirewallLab.create(config);
    try {
      const { lab, configDirectory } = firewall;
      const run = join(lab.directory, 'run');
      await mkdir(run);
      await firewall.write({
        ...config,
        gateway: { ...config.gateway, api: { socket: join(run, 'control.sock') } },
      });
      const hash = await hashPassword(password);
      const users = roles.map((role) => ({ name: role, role, passwordHash: hash }));
      const file = join(configDirectory, 'users.yaml');
      await writeFile(file, stringify({ users }), { mode: 0o600 });
      // The firewall edits its own configuration.
      await lab.mustExec('gateway', ['chown', '-R', 'nobody:nogroup', configDirectory, run]);
      await firewall.start();
      return new PanelLab(firewall, await launch(firewall));
    } catch (error) {
      await firewall.close();
      throw error;
    }
  }

  private constructor(firewall: FirewallLab, browser: Browser) {
    this.firewall = firewall;
    this.browser = browser;
  }

  /** A browser window of somebody who has not logged in. */
  async open(path = '/', options: BrowserContextOptions = {}): Promise<Page> {
    const context = await this.browser.newContext({
      ...{ baseURL: address, viewport: { width: 1280, height: 900 }, reducedMotion: 'reduce' },
      ...options,
    });
    const page = await context.newPage();
    page.setDefaultTimeout(10_000);
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

  /** A window of somebody who is logged in: by the session of the one before, as long as that is good. */
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
  async ask(method: string, path: string, body?: object): Promise<unknown> {
    const { lab } = this.firewall;
    const stdout = await lab.mustExec('gateway', [
      ...['curl', '-sS', '--fail-with-body', '--max-time', '10', '-X', method],
      ...['--unix-socket', join(lab.directory, 'run/control.sock'), '-H', 'tunwall-actor: carol'],
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

/** Chromium in the gateway's namespace: the pipes that it is driven by go along. */
async function launch({ lab }: FirewallLab): Promise<Browser> {
  const wrapper = join(lab.directory, 'chromium');
  const command = `exec ip netns exec ${lab.namespace('gateway')} ${program} "$@"`;
  await writeFile(wrapper, `#!/bin/sh\n${command}\n`);
  await chmod(wrapper, 0o755);
  return chromium.launch({ executablePath: wrapper, args: flags, timeout: 60_000 });
}

export async function logIn(page: Page, role: Role): Promise<void> {
  await page.getByLabel('Name', { exact: true }).fill(role);
  await page.getByLabel('Password', { exact: true }).fill(password);
  await page.getByRole('button', { name: 'Log in' }).click();
}
