/**
 * A private network: namespaces, veth pairs between them, and programs that run in them.
 *
 * Life: `Network.create` starts a watchdog, hosts and cables are added, programs run; at the end the watchdog removes all of it.
 * The watchdog is a shell that waits on a pipe whose other end only this process has. `close` closes the pipe; so does
 * the kernel when this process dies, however it dies. There is no other clean-up that could be forgotten. If both are killed at once,
 * the watchdog of the next network removes what is left.
 */
import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { constants, mkdtempSync } from 'node:fs';
import { access, stat, writeFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { LabError } from './lab-error.ts';
import type { ExecOptions, Finished } from './types.ts';

/** In a place made by `tunwall lab exec`: its first process, as seen from outside. */
export const placeVariable = 'TUNWALL_LAB_PID';

/**
 * $1: prefix of the namespaces' names, $2: directory to remove. A file that is locked as long as the watchdog lives tells the next one
 * what is left of a lab whose owner and watchdog were killed together. It gets its name when it is locked.
 */
const watchdogScript = `
trap '' INT TERM HUP
remove() {
  for namespace in $(ip netns list | cut -d ' ' -f 1 | grep "^$1-"); do
    ip netns pids "$namespace" | xargs -r kill -9
    inode=$(stat -Lc %i "/run/netns/$namespace") &&
      rm -f "/run/tunwall/gateway-$inode.json"* "/run/tunwall/watch-$inode-"*
    ip netns del "$namespace"
  done
  rm -rf "$2"
}
labs=/run/tunwall-labs
mkdir -p "$labs"
exec 9>"$labs/.$1"
flock 9
echo "$2" >&9
mv "$labs/.$1" "$labs/$1"
for left in "$labs"/*; do
  ( flock -n 8 && remove "\${left##*/}" "$(cat "$left")" && rm -f "$left" ) 8<"$left"
done
cat > /dev/null
remove "$1" "$2"
rm -f "$labs/$1"
`;

export class Network {
  /** Prefix of the names of this lab's namespaces. */
  readonly tag: string;
  /** A directory for files; it is removed with the lab. */
  readonly directory: string;
  readonly #watchdog: ChildProcess;
  readonly #children: ChildProcess[] = [];

  /** @param name short, because interface names are */
  static create(name: string): Network {
    // Several may be made within a millisecond.
    const tag = `${name}-${process.pid.toString(36)}${randomBytes(3).toString('hex')}`;
    return new Network(tag);
  }

  private constructor(tag: string) {
    this.tag = tag;
    const files = process.env[placeVariable] === undefined ? tmpdir() : '/run';
    this.directory = mkdtempSync(join(files, `${tag}-`));
    this.#watchdog = spawn('sh', ['-c', watchdogScript, 'sh', tag, this.directory], {
      stdio: ['pipe', 'ignore', 'ignore'],
      // A process group of its own: Ctrl-C must not reach it.
      detached: true,
    });
  }

  /** Name of a host's namespace. */
  namespace(host: string): string {
    return `${this.tag}-${host}`;
  }

  /** Makes namespaces. */
  async addHosts(hosts: readonly string[]): Promise<void> {
    const names = hosts.map((host) => this.namespace(host));
    if (process.env[placeVariable] === undefined) {
      await must('ip', ['-batch', '-'], names.map((name) => `netns add ${name}\n`).join(''));
      return;
    }
    // ip would return to the namespace that it comes from, which is another user's.
    await Promise.all(
      names.map(async (name) => {
        await writeFile(`/run/netns/${name}`, '');
        await must('unshare', [`--net=/run/netns/${name}`, 'true']);
      }),
    );
  }

  /** `ip` in a host's namespace; throws when it fails. */
  async ip(host: string, ...args: string[]): Promise<string> {
    return await must('ip', ['-n', this.namespace(host), ...args]);
  }

  /** Several of them, by one program: a process for each would take most of the time that a lab needs to be built. */
  async ipEach(host: string, commands: readonly string[]): Promise<void> {
    const input = commands.map((command) => `${command}\n`).join('');
    await must('ip', ['-n', this.namespace(host), '-batch', '-'], input);
  }

  /** Runs a program to its end. It is no error if it fails or is stopped after `timeoutMs` (code 124). */
  exec(host: string, command: readonly string[], options: ExecOptions = {}): Promise<Finished> {
    const args = ['netns', 'exec', this.namespace(host), ...command];
    return run('ip', args, options);
  }

  /** The same; throws when it fails. */
  async mustExec(
    host: string,
    command: readonly string[],
    options: ExecOptions = {},
  ): Promise<string> {
    const { code, stdout, stderr } = await this.exec(host, command, options);
    if (code === 0) return stdout;
    throw new Error(`${host}: ${command.join(' ')} failed with ${code}: ${stderr}${stdout}`);
  }

  /** Starts a background program; it ends with the lab at the latest. */
  spawn(
    host: string,
    command: readonly string[],
    stdio: 'ignore' | 'pipe' | number = 'ignore',
  ): ChildProcess {
    const child = spawn('ip', ['netns', 'exec', this.namespace(host), ...command], {
      stdio: ['ignore', stdio, stdio],
    });
    this.#children.push(child);
    return child;
  }

  /** This process may end without {@link close}, which the watchdog notices. */
  unref(): void {
    this.#watchdog.unref();
    (this.#watchdog.stdin as Socket).unref();
  }

  /** Whether it has been told to go. */
  get isClosed(): boolean {
    return this.#watchdog.stdin!.writableEnded;
  }

  /** Removes everything; resolves when it is gone. */
  async close(): Promise<void> {
    if (this.#watchdog.exitCode !== null) return;
    this.#watchdog.stdin!.end();
    this.#watchdog.ref();
    await once(this.#watchdog, 'exit');
  }
}

/** Runs a program and gathers what it prints. */
export function run(
  file: string,
  args: readonly string[],
  { timeoutMs = 60_000, input }: ExecOptions = {},
): Promise<Finished> {
  return new Promise((resolve) => {
    const options = { timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: 64 << 20 } as const;
    const child = execFile(file, args, options, (error, stdout, stderr) => {
      const code = error === null ? 0 : error.killed === true ? 124 : Number(error.code);
      resolve({ code: Number.isNaN(code) ? 127 : code, stdout, stderr });
    });
    // It is no error if the program ends without reading its input.
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(input);
  });
}

async function must(file: string, args: readonly string[], input?: string): Promise<string> {
  const { code, stdout, stderr } = await run(file, args, { ...(input !== undefined && { input }) });
  if (code === 0) return stdout;
  throw new Error(`${file} ${args.join(' ')} failed with ${code}: ${stderr}`);
}

/** Why a lab cannot be made here, as an error for the user; else undefined. */
export async function whyNoLab(tools: readonly string[]): Promise<LabError | undefined> {
  if (process.getuid?.() !== 0) {
    return new LabError(
      'network namespaces need root',
      'without root: tunwall lab exec -- COMMAND',
    );
  }
  for (const tool of tools) {
    if (await isInPath(tool)) continue;
    return new LabError(`the program ${tool} is missing`, 'scripts/demo installs what is missing');
  }
  const tun = await stat('/dev/net/tun').catch(() => undefined);
  if (tun?.isCharacterDevice() !== true) {
    return new LabError('/dev/net/tun is missing', 'modprobe tun');
  }
  return undefined;
}

async function isInPath(tool: string): Promise<boolean> {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    const found = await access(join(folder, tool), constants.X_OK).then(
      () => true,
      () => false,
    );
    if (found) return true;
  }
  return false;
}
