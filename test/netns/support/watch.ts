/** `tunwall gateway watch` in the gateway of a firewall's network, and a supervisor for the firewall, as systemd is one. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FirewallLab } from './firewall.ts';
import { program } from './firewall.ts';

export interface Gateway {
  readonly state: string;
  readonly watch: string;
  readonly problems: readonly { readonly what: string; readonly found: string }[];
}

export interface LogLine {
  readonly msg: string;
  readonly repairs?: readonly { readonly what: string; readonly times: number }[];
  readonly problems?: readonly { readonly what: string }[];
}

/** With the rights that the unit leaves: root's files, and one capability. */
const asUnit = [
  'setpriv',
  '--bounding-set=-all,+net_admin',
  '--inh-caps=-all',
  '--no-new-privs',
] as const;

export class Watch {
  readonly #firewall: FirewallLab;
  readonly #logFile: string;
  readonly process: ChildProcess;

  /** Starts it, and waits until it has looked. */
  static async started(firewall: FirewallLab, ...args: string[]): Promise<Watch> {
    const watch = new Watch(firewall, args);
    await firewall.until('the gateway is watched', async () =>
      (await watch.log()).some(({ msg }) => msg === 'the gateway is watched'),
    );
    return watch;
  }

  /** Why it does not begin: what it prints on standard error. */
  static async refused(firewall: FirewallLab): Promise<string> {
    const command = [process.execPath, program, 'gateway', 'watch'];
    return (await firewall.lab.exec('gateway', command)).stderr;
  }

  private constructor(firewall: FirewallLab, args: readonly string[]) {
    this.#firewall = firewall;
    this.#logFile = join(firewall.lab.directory, `watch-${Math.floor(performance.now())}.log`);
    const command = [...asUnit, process.execPath, program, 'gateway', 'watch', ...args];
    this.process = firewall.lab.spawn('gateway', command, openSync(this.#logFile, 'a'));
  }

  async log(): Promise<LogLine[]> {
    const lines = (await readFile(this.#logFile, 'utf8')).split('\n');
    return lines
      .filter((line) => line.startsWith('{') && line.endsWith('}'))
      .map((line) => JSON.parse(line) as LogLine);
  }

  /** Names of what was repaired so far, one for each repair. */
  async repairs(): Promise<string[]> {
    return (await this.log()).flatMap(({ repairs = [] }) => repairs.map(({ what }) => what));
  }

  /** Sends a signal, unless undefined, and waits for the end. Returns the exit code, or the signal. */
  async end(signal?: NodeJS.Signals): Promise<number | NodeJS.Signals | null> {
    const ended = once(this.process, 'exit') as Promise<[number | null, NodeJS.Signals | null]>;
    if (signal !== undefined) this.process.kill(signal);
    const [code, killedBy] = await ended;
    return code ?? killedBy;
  }

  /** What the firewall says about the gateway; undefined while it does not run. */
  async gateway(): Promise<Gateway | undefined> {
    return (await this.#firewall.healthz())?.['gateway'] as Gateway | undefined;
  }
}

/** Starts the firewall again whenever it ends. Returns a function that lets it end. */
export function supervise(firewall: FirewallLab): () => void {
  let over = false;
  const attach = (): void => {
    firewall.process?.once('exit', () => {
      if (over) return;
      // The device may be missing for a moment: then this start fails, and the next one is tried.
      firewall.spawn();
      attach();
    });
  };
  attach();
  return () => (over = true);
}
