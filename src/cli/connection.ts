/**
 * Which API a verb talks to.
 *
 * Without an option it is the firewall that listens on the control socket of this machine; if none does, the same API in
 * this process, on the configuration directory: templates, servers and users can be edited while no firewall runs, by the
 * same rules. `--config` selects the directory whether or not a firewall runs, `--socket` and `--url` a certain
 * firewall, and so do TUNWALL_SOCKET and TUNWALL_URL. TUNWALL_CONFIG is another directory where no firewall runs.
 */
import { Option } from 'commander';
import type { Command } from 'commander';
import { statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { ApiClient } from './api-client.ts';
import { UserError } from './errors.ts';
import { ownSocket } from './own-socket.ts';
import { defaultConfigDirectory } from './run-command.ts';
import { inProcessTransport, isListening, socketTransport, urlTransport } from './transport.ts';
import type { InProcessApi } from './transport.ts';

export const defaultSocket = '/run/tunwall/tunwall.sock';

export interface ConnectionFlags {
  readonly config?: string;
  readonly socket?: string;
  readonly url?: string;
  readonly tokenFile?: string;
  /** Why a change is made. */
  readonly message?: string;
  /** It is undone after this time, unless it is confirmed. */
  readonly confirm?: string;
}

export interface ConnectionParts {
  /** The API on a configuration directory, in this process. */
  readonly openDirectory: (directory: string) => Promise<InProcessApi>;
  /** The user, for the audit log. */
  readonly actor: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly warn: (message: string) => void;
  /** The control socket of this machine, if not the default one. */
  readonly socket?: string;
}

export interface Connections {
  /** The API that the options name. */
  connect(flags: ConnectionFlags): Promise<ApiClient>;
  /** The same, but only if a firewall answers there; never a directory. */
  firewall(flags: ConnectionFlags): Promise<ApiClient | undefined>;
}

const heading = 'Whom to ask (a firewall on this machine, else the directory):';

/** Adds the options that {@link ConnectionFlags} come from. */
export function addConnectionOptions(command: Command): Command {
  const options = [
    new Option(
      '--config <dir>',
      `a configuration directory (default: TUNWALL_CONFIG or ${defaultConfigDirectory}, if no firewall runs)`,
    ).conflicts(['socket', 'url']),
    new Option(
      '--socket <path>',
      `a firewall's socket (default: TUNWALL_SOCKET, else that of this network namespace, else ${defaultSocket})`,
    ).conflicts('url'),
    new Option('--url <url>', 'a firewall elsewhere: http://127.0.0.1:8740 (default: TUNWALL_URL)'),
    new Option('--token-file <file>', 'the token for --url (default: TUNWALL_TOKEN)'),
  ];
  for (const option of options) command.addOption(option.helpGroup(heading));
  return command;
}

export function createConnections(parts: ConnectionParts): Connections {
  const firewall = async (typed: ConnectionFlags): Promise<ApiClient | undefined> => {
    const flags = withEnvironment(typed, parts.environment);
    if (flags.tokenFile !== undefined && flags.url === undefined) {
      throw new UserError('--token-file is for --url', 'on the socket no token is needed');
    }
    if (flags.config !== undefined) return undefined;
    if (flags.url !== undefined) return remote(flags.url, flags, parts);
    const path = flags.socket ?? parts.socket ?? (await ownSocket(defaultSocket, parts.warn));
    switch (await isListening(path)) {
      case 'yes':
        return new ApiClient(socketTransport(path, { 'tunwall-actor': parts.actor }), flags);
      case 'denied':
        throw new UserError(
          `${path}: permission denied`,
          'the control socket is for root and its group; others need a token: --url URL --token-file FILE',
        );
      default:
        if (flags.socket === undefined) return undefined;
        throw new UserError(`no firewall listens on ${path}`, 'start it: tunwall run');
    }
  };
  return {
    firewall,
    async connect(flags) {
      const found = await firewall(flags);
      if (found !== undefined) return found;
      const { TUNWALL_CONFIG } = parts.environment;
      const directory = flags.config ?? TUNWALL_CONFIG ?? defaultConfigDirectory;
      if (directory !== defaultConfigDirectory) requireDirectory(directory);
      return new ApiClient(
        inProcessTransport(
          directory,
          { 'tunwall-actor': parts.actor },
          await parts.openDirectory(directory),
        ),
        flags,
      );
    },
  };
}

/** A misspelled name is not taken for an empty configuration. */
function requireDirectory(directory: string): void {
  const found = statSync(directory, { throwIfNoEntry: false });
  if (found?.isDirectory() === true) return;
  const reason = found === undefined ? 'does not exist' : 'is no directory';
  throw new UserError(`${directory} ${reason}`, 'expected a configuration directory');
}

/** What is typed counts; else what the environment says. */
function withEnvironment(
  flags: ConnectionFlags,
  { TUNWALL_SOCKET, TUNWALL_URL }: ConnectionParts['environment'],
): ConnectionFlags {
  if (flags.config !== undefined || flags.socket !== undefined || flags.url !== undefined) {
    return flags;
  }
  if (TUNWALL_SOCKET !== undefined && TUNWALL_URL !== undefined) {
    throw new UserError('TUNWALL_SOCKET and TUNWALL_URL are both set', 'unset one of them');
  }
  if (TUNWALL_URL !== undefined) return { ...flags, url: TUNWALL_URL };
  return TUNWALL_SOCKET === undefined ? flags : { ...flags, socket: TUNWALL_SOCKET };
}

async function remote(
  text: string,
  flags: ConnectionFlags,
  { environment, warn }: ConnectionParts,
): Promise<ApiClient> {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.username !== '') {
    throw new UserError(`${text} is no URL`, 'expected one like https://gateway.example:8740');
  }
  const { tokenFile } = flags;
  const token = tokenFile === undefined ? environment['TUNWALL_TOKEN'] : await readToken(tokenFile);
  const isLocal = /^(localhost|127\.[\d.]+|\[::1\])$/.test(url.hostname);
  if (token !== undefined && url.protocol === 'http:' && !isLocal) {
    warn(`the token goes to ${url.host} unencrypted: prefer https`);
  }
  return new ApiClient(
    urlTransport(url, token === undefined ? {} : { authorization: `Bearer ${token}` }),
    flags,
  );
}

async function readToken(file: string): Promise<string> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new UserError(
      `${file} cannot be read: ${code ?? message}`,
      'expected a file with a token in it',
      { cause: error },
    );
  }
  const token = text.trim();
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new UserError(`${file} has no token in it`, 'expected one line, the token and no more');
}
